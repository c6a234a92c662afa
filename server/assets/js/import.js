// The Import page: files, connection, options, start; then one job after another.

import { upload } from './api.js';
import { fillConnections } from './connections.js';
import { announce, byId, fill, h, icon, iconButton } from './dom.js';
import { size } from './format.js';
import { faults, JobPanel } from './job.js';
import { config, fieldError, memory, start } from './page.js';
import { outcome, remark, report, retryOffer } from './report.js';
import { texts } from './texts.js';

const FILE_NAME = /\.(json|ndjson|jsonl|csv|tsv|txt|gz)$/i;
/** What is remembered of the running queue: the job that runs and the names of files that still wait. */
const remembered = memory('import');
/** The connection and the options that were chosen. */
const rememberedForm = memory('import-form');

/** Chosen files: `{file, state, row}`; state: queued, running, completed, faults, failed, canceled. */
let chosen = [];
let uploading = false;

start(async () => {
  const form = byId('form');
  const input = byId('files');
  const drop = byId('drop');

  input.addEventListener('change', () => {
    addFiles([...input.files]);
    // Choosing the same file again later must be a change, too.
    input.value = '';
  });
  for (const type of ['dragenter', 'dragover']) drop.addEventListener(type, () => drop.classList.add('over'));
  for (const type of ['dragleave', 'drop']) drop.addEventListener(type, () => drop.classList.remove('over'));
  // A file dropped beside the area would replace the page.
  for (const type of ['dragover', 'drop']) {
    window.addEventListener(type, (event) => {
      if (event.target !== input) event.preventDefault();
    });
  }
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    run({ dryRun: false });
  });
  byId('check').addEventListener('click', () => run({ dryRun: true }));
  byId('clear').addEventListener('click', clear);
  byId('connection').addEventListener('change', () => showConnectionError(''));
  const draft = rememberedForm.read() ?? {};
  byId('upsert').checked = draft.upsert === true;
  byId('send-completion-email').checked = draft.email === true;
  form.addEventListener('change', () =>
    rememberedForm.write({
      connection: byId('connection').value || draft.connection,
      upsert: byId('upsert').checked,
      email: byId('send-completion-email').checked,
    }));
  window.addEventListener('beforeunload', (event) => {
    if (!uploading) return;
    event.preventDefault();
    event.returnValue = texts.import.leaveWarning;
  });

  resume();
  await fillConnections(byId('connection'), byId('connection-notes'), { all: false, selected: draft.connection });
  // While a job is followed the form stays closed.
  byId('connection').disabled ||= running;
});

const showFilesError = (text) => fieldError(byId('files'), byId('files-error'), text);
const showConnectionError = (text) => fieldError(byId('connection'), byId('connection-error'), text);

function addFiles(files) {
  const problems = [];
  let added = 0;
  for (const file of files) {
    const problem = problemOf(file);
    if (problem) problems.push(problem);
    else {
      chosen.push({ file, state: 'queued' });
      added += 1;
    }
  }
  showFilesError(problems.join('\n'));
  fill(byId('files-error'), problems.map((problem) => h('span', {}, problem, h('br'))));
  if (added > 0) announce(texts.import.added(added));
  showFiles();
}

function problemOf(file) {
  if (!FILE_NAME.test(file.name) && !/json|gzip/.test(file.type)) return texts.import.notUsers(file.name);
  if (file.size === 0) return texts.import.emptyFile(file.name);
  if (file.size > config.uploadLimit) return texts.import.tooLarge(file.name, size(config.uploadLimit));
  const same = (other) => other.file.name === file.name && other.file.size === file.size && other.file.lastModified === file.lastModified;
  return chosen.some((other) => other.state === 'queued' && same(other)) ? texts.import.twice(file.name) : null;
}

function showFiles() {
  fill(
    byId('file-list'),
    chosen.map((entry) => {
      const kinds = { running: 'busy', completed: 'ok', faults: 'warning', failed: 'error', canceled: 'idle' };
      const symbols = { running: 'wait', completed: 'ok', faults: 'warning', failed: 'error', canceled: 'stop' };
      const state = texts.import.fileState[entry.state];
      return h(
        'li',
        {},
        icon('file'),
        h('span', { class: 'file-name' }, entry.file.name),
        h('span', { class: 'file-size' }, size(entry.file.size)),
        state && h('span', { class: `status ${kinds[entry.state]}` }, icon(symbols[entry.state]), state),
        entry.state === 'queued' && iconButton('remove', texts.import.remove(entry.file.name), () => removeFile(entry), { disabled: running }),
      );
    }),
  );
  byId('sample').hidden = chosen.length > 0;
  byId('clear').hidden = running || (chosen.length === 0 && byId('results').childElementCount === 0);
}

function removeFile(entry) {
  chosen = chosen.filter((other) => other !== entry);
  showFiles();
  byId('files').focus();
}

function clear() {
  chosen = [];
  remembered.write(null);
  fill(byId('results'));
  fill(byId('form-error'));
  showFilesError('');
  showConnectionError('');
  showFiles();
  byId('files').focus();
}

let running = false;

function setRunning(value) {
  running = value;
  for (const id of ['files', 'connection', 'upsert', 'send-completion-email', 'start', 'check']) byId(id).disabled = value;
  showFiles();
}

async function run({ dryRun }) {
  if (running) return;
  // After a check or an earlier run, the same files may be sent again.
  const again = chosen.every((entry) => entry.state !== 'queued');
  if (again) for (const entry of chosen) entry.state = 'queued';
  const connection = byId('connection').value;
  showFilesError(chosen.length === 0 ? texts.import.noFiles : '');
  // A check sends nothing, so it needs no connection.
  const noConnection = !connection && !dryRun;
  showConnectionError(noConnection ? texts.import.noConnection : '');
  if (chosen.length === 0) byId('files').focus();
  else if (noConnection) byId('connection').focus();
  if (chosen.length === 0 || noConnection) return;

  const options = {
    connection,
    dryRun,
    upsert: byId('upsert').checked,
    email: byId('send-completion-email').checked,
  };
  fill(byId('results'));
  setRunning(true);
  try {
    for (;;) {
      const entry = chosen.find((candidate) => candidate.state === 'queued');
      if (!entry) break;
      entry.state = 'running';
      showFiles();
      entry.state = await importFile(entry.file, options);
      showFiles();
    }
  } finally {
    setRunning(false);
  }
  // A check is followed by the import of the same files.
  if (dryRun) {
    for (const entry of chosen) if (entry.state === 'completed' || entry.state === 'faults') entry.state = 'queued';
    showFiles();
  }
}

/** Sends one file and follows its job to the end. */
async function importFile(file, { connection, dryRun, upsert, email }) {
  const panel = new JobPanel(dryRun ? texts.import.checking(file.name) : texts.import.importing(file.name));
  byId('results').append(panel.element);
  panel.element.scrollIntoView({ block: 'nearest', behavior: 'smooth' });
  const form = new FormData();
  if (connection) form.append('connection_id', connection);
  form.append('upsert', String(upsert));
  form.append('send_completion_email', String(email));
  form.append('dry_run', String(dryRun));
  // Last, so that the server knows what to do with the file before it arrives.
  form.append('users', file, file.name);

  const abort = new AbortController();
  panel.setFigures(texts.job.uploading);
  panel.offerCancel(() => abort.abort());
  uploading = true;
  let job;
  try {
    job = await upload('jobs/import', form, {
      signal: abort.signal,
      onProgress: (done, total) => {
        panel.setPercent(done < total ? (done / total) * 100 : NaN);
        panel.setFigures(done < total ? texts.job.uploadProgress(size(done), size(total)) : texts.job.starting);
      },
    });
  } catch (error) {
    if (error.name === 'AbortError') {
      panel.finish({ status: 'canceled' });
      fill(panel.result, remark('info', texts.job.canceled));
      return 'canceled';
    }
    panel.fail(error);
    return 'failed';
  } finally {
    uploading = false;
  }
  const waiting = chosen.filter((entry) => entry.state === 'queued').map((entry) => entry.file.name);
  remembered.write({ id: job.id, name: file.name, dryRun, waiting });
  panel.announced = 0;
  return followJob(panel, job.id, file.name, dryRun);
}

async function followJob(panel, id, name, dryRun) {
  panel.file = name;
  let job;
  try {
    job = await panel.follow(id);
  } catch (error) {
    panel.fail(error);
    remembered.write(null);
    return 'failed';
  }
  panel.finish({ ...job, dry_run: dryRun }, dryRun ? texts.import.checked(name) : texts.import.imported(name));
  showResult(panel, job, dryRun);
  remembered.write({ id, name, dryRun, waiting: [] });
  if (job.status === 'completed') return faults(job) > 0 ? 'faults' : 'completed';
  return job.status === 'canceled' ? 'canceled' : 'failed';
}

function showResult(panel, job, dryRun) {
  const done = job.summary && Number.isFinite(job.summary.total);
  fill(
    panel.result,
    job.status === 'canceled' && remark('info', dryRun ? texts.job.canceled : texts.job.canceledImport),
    done && outcome(job, { dryRun }),
    faults(job) > 0 && report(job.id),
    faults(job) > 0 && !dryRun && retryOffer(job.id, (begin) => retry(begin, panel.file)),
  );
}

/** Sends the failed rows of an import again and follows that job. `name` is that of the first file. */
async function retry(begin, name) {
  if (running) return;
  const title = texts.report.retrying(name);
  const panel = new JobPanel(texts.import.importing(title));
  byId('results').prepend(panel.element);
  panel.setFigures(texts.job.starting);
  panel.element.scrollIntoView({ block: 'nearest', behavior: 'smooth' });
  setRunning(true);
  try {
    const job = await begin({ signal: new AbortController().signal, onProgress: () => {} });
    remembered.write({ id: job.id, name: title, dryRun: false, waiting: [] });
    await followJob(panel, job.id, title, false);
  } catch (error) {
    panel.fail(error);
  } finally {
    setRunning(false);
  }
}

/** Shows the job that was running or ended when the page was left. */
async function resume() {
  const last = remembered.read();
  if (!last?.id) return;
  const panel = new JobPanel(last.dryRun ? texts.import.checking(last.name) : texts.import.importing(last.name));
  fill(byId('results'), last.waiting?.length > 0 && remark('warning', texts.import.lost(last.waiting.join(', '))), panel.element);
  setRunning(true);
  await followJob(panel, last.id, last.name, last.dryRun);
  setRunning(false);
}
