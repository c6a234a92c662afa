// The Import page: choose files, review and map columns, choose a connection and options, start, follow the job.

import { isAbort, upload } from './api.js';
import { fillConnections } from './connections.js';
import { announce, byId, dropArea, fill, h, icon, iconButton } from './dom.js';
import { number, size } from './format.js';
import { faults, JobPanel, findRunningJob } from './job.js';
import { inspector } from './mapping.js';
import { config, fieldError, sessionStore, notice, start } from './page.js';
import { importResult } from './report.js';
import { texts } from './texts.js';

const FILE_NAME = /\.(json|ndjson|jsonl|csv|tsv|txt|gz)$/i;
/**
 * The job that was started on this page last.
 * @type {Stored<{ id: string, name: string, dryRun: boolean }>}
 */
const storedJob = sessionStore('import');
/**
 * The chosen connection, options and mapping.
 * @type {Stored<ImportDraft>}
 */
const storedForm = sessionStore('import-form');
/** The members of the stored form, and the ids of their check boxes. */
const OPTIONS = /** @type {const} */ ({
  upsert: 'upsert',
  backup: 'backup',
  email: 'send-completion-email',
  dropReadOnly: 'drop-read-only',
  keepPrefix: 'keep-id-prefix',
});

/** @returns {[name: keyof typeof OPTIONS, id: (typeof OPTIONS)[keyof typeof OPTIONS]][]} */
const optionFields = () => /** @type {ReturnType<typeof optionFields>} */ (Object.entries(OPTIONS));

/**
 * Files that will be sent.
 * @type {ChosenFile[]}
 */
let chosen = [];
let running = false;
/** Whether a start waits for the inspection of the files. */
let waiting = false;
let uploading = false;

const inspection = inspector({
  files: () => chosen,
  options: () => ({ drop_read_only: byId('drop-read-only').checked, keep_id_prefix: byId('keep-id-prefix').checked }),
  changed: showFiles,
  mappingChanged: rememberForm,
  dropReadOnly: () => {
    byId('drop-read-only').checked = true;
    rememberForm();
    inspection.refresh();
  },
});

start(async () => {
  const form = byId('form');
  dropArea(byId('drop'), byId('files'), addFiles);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    run({ dryRun: false });
  });
  byId('check').addEventListener('click', () => run({ dryRun: true }));
  byId('clear').addEventListener('click', clear);
  byId('connection').addEventListener('change', () => showConnectionError(''));
  byId('upsert').addEventListener('change', showBackup);
  for (const id of /** @type {const} */ (['drop-read-only', 'keep-id-prefix'])) byId(id).addEventListener('change', () => inspection.refresh());
  const draft = storedForm.read() ?? {};
  // The backup is on unless the user has switched it off.
  for (const [name, id] of optionFields()) byId(id).checked = draft[name] ?? id === 'backup';
  showBackup();
  byId('more').open = draft.dropReadOnly === true || draft.keepPrefix === true;
  inspection.restore(draft.map);
  form.addEventListener('change', rememberForm);
  window.addEventListener('beforeunload', (event) => {
    if (!uploading) return;
    event.preventDefault();
    event.returnValue = texts.import.leaveWarning;
  });

  resume();
  await fillConnections(byId('connection'), byId('connection-notes'), { all: false, selected: draft.connection });
  // The form stays disabled while a job is followed.
  byId('connection').disabled ||= running;
});

/** @param {Child[]} text */
const showFilesError = (...text) => fieldError(byId('files'), byId('files-error'), ...text);
/** @param {string} text */
const showConnectionError = (text) => fieldError(byId('connection'), byId('connection-error'), text);

function rememberForm() {
  /** @type {ImportDraft} */
  const state = { connection: byId('connection').value || storedForm.read()?.connection, map: inspection.mappingRules({ undecided: false }) };
  for (const [name, id] of optionFields()) state[name] = byId(id).checked;
  storedForm.write(state);
}

// Files

/** @param {File[]} files */
function addFiles(files) {
  /** @type {string[]} */
  const problems = [];
  let added = 0;
  for (const file of files) {
    const problem = problemOf(file);
    if (problem) {
      problems.push(problem);
    } else {
      chosen.push({ file, inspection: null, error: null });
      added += 1;
    }
  }
  showFilesError(...problems.flatMap((problem) => [problem, h('br')]));
  if (added > 0) announce(texts.import.added(added));
  showFiles();
  if (added > 0) inspection.refresh();
}

/** @param {File} file */
function problemOf(file) {
  if (!FILE_NAME.test(file.name) && !/json|gzip|csv/.test(file.type)) return texts.import.notUsers(file.name);
  if (file.size === 0) return texts.import.emptyFile(file.name);
  const all = chosen.reduce((sum, entry) => sum + entry.file.size, file.size);
  if (file.size > config.uploadLimit) return texts.import.tooLarge(file.name, size(config.uploadLimit));
  if (all > config.uploadLimit) return texts.import.tooLargeTogether(file.name, size(config.uploadLimit));
  /** @param {ChosenFile} other */
  const same = (other) => other.file.name === file.name && other.file.size === file.size && other.file.lastModified === file.lastModified;
  return chosen.some(same) ? texts.import.twice(file.name) : null;
}

function showFiles() {
  fill(
    byId('file-list'),
    chosen.map((entry) =>
      h(
        'li',
        {},
        icon('file'),
        h('span', { class: 'file-name' }, entry.file.name, h('span', { class: 'file-found' }, inspection.describe(entry))),
        h('span', { class: 'file-size' }, size(entry.file.size)),
        iconButton('remove', texts.import.remove(entry.file.name), () => removeFile(entry), { disabled: running }),
      ),
    ),
  );
  byId('sample').hidden = chosen.length > 0;
  byId('clear').hidden = running || (chosen.length === 0 && byId('results').childElementCount === 0);
}

/** @param {ChosenFile} entry */
function removeFile(entry) {
  chosen = chosen.filter((other) => other !== entry);
  showFiles();
  inspection.refresh();
  byId('files').focus();
}

function clear() {
  chosen = [];
  storedJob.write(null);
  inspection.restore(null);
  fill(byId('results'));
  fill(byId('form-error'));
  showFilesError('');
  showConnectionError('');
  showFiles();
  inspection.refresh();
  rememberForm();
  byId('files').focus();
}

/** The backup option applies to updates only. */
function showBackup() {
  byId('backup-choice').hidden = !byId('upsert').checked;
}

// The job

/** @param {boolean} value */
function setRunning(value) {
  running = value;
  const ids = /** @type {const} */ (['files', 'connection', 'start', 'check']);
  for (const id of [...ids, ...Object.values(OPTIONS)]) byId(id).disabled = value;
  inspection.disable(value);
  showFiles();
}

/** @param {{ dryRun: boolean }} options */
async function run({ dryRun }) {
  if (running || waiting) return;
  await waitForInspection();
  const connection = byId('connection').value;
  fill(byId('form-error'));
  showFilesError(chosen.length === 0 ? texts.import.noFiles : '');
  // A check sends nothing to Auth0, so it needs no connection.
  const noConnection = !connection && !dryRun;
  showConnectionError(noConnection ? texts.import.noConnection : '');
  const wrong = inspection.check();
  if (chosen.length === 0) byId('files').focus();
  else if (wrong) wrong.focus();
  else if (noConnection) byId('connection').focus();
  if (chosen.length === 0 || wrong || noConnection) return;

  const name = chosen.length === 1 ? chosen[0].file.name : texts.import.files(number(chosen.length));
  const form = new FormData();
  if (connection) form.append('connection_id', connection);
  form.append('upsert', String(byId('upsert').checked));
  if (!dryRun) form.append('backup', String(byId('upsert').checked && byId('backup').checked));
  form.append('send_completion_email', String(byId('send-completion-email').checked));
  form.append('drop_read_only', String(byId('drop-read-only').checked));
  form.append('keep_id_prefix', String(byId('keep-id-prefix').checked));
  form.append('dry_run', String(dryRun));
  // With a connection, a check also looks up which users exist.
  if (dryRun && connection) form.append('look_up', 'true');
  const map = inspection.mappingRules();
  if (map) form.append('map', JSON.stringify(map));
  // Last, because the server needs the settings before the files.
  for (const { file } of chosen) form.append('users', file, file.name);

  const panel = new JobPanel(dryRun ? texts.import.checking(name) : texts.import.importing(name));
  byId('form').after(byId('results'));
  fill(byId('results'), panel.element);
  panel.element.scrollIntoView({ block: 'nearest', behavior: 'smooth' });
  panel.focus();
  setRunning(true);
  try {
    const job = await send(panel, form);
    if (!job) return;
    storedJob.write({ id: job.id, name, dryRun });
    panel.announced = 0;
    await followJob(panel, job.id, name, dryRun);
  } finally {
    setRunning(false);
  }
}

/** Waits until the files are inspected, so that the import is started with the mapping that the page shows. */
async function waitForInspection() {
  const settled = inspection.whenIdle();
  if (!settled) return;
  waiting = true;
  fill(byId('form-error'), h('p', { class: 'help', role: 'status' }, texts.import.lookingFirst));
  await settled;
  fill(byId('form-error'));
  waiting = false;
}

/**
 * Uploads the files. Returns the job; null if the upload was canceled or failed, which is then shown.
 * @param {JobPanel} panel
 * @param {FormData} form
 */
async function send(panel, form) {
  const abort = new AbortController();
  panel.setFigures(texts.job.uploading);
  panel.offerCancel(() => abort.abort());
  uploading = true;
  try {
    return await upload('jobs/import', form, {
      signal: abort.signal,
      onProgress: (done, total) => {
        panel.setPercent(done < total ? (done / total) * 100 : NaN);
        panel.setFigures(done < total ? texts.job.uploadProgress(size(done), size(total)) : texts.job.starting);
      },
    });
  } catch (error) {
    if (isAbort(error)) {
      panel.finish({ status: 'canceled' });
      fill(panel.result, notice('info', h('p', {}, texts.job.canceledUpload)));
    } else {
      panel.fail(error);
    }
    return null;
  } finally {
    uploading = false;
  }
}

/**
 * @param {JobPanel} panel
 * @param {string} id
 * @param {string} name
 * @param {boolean} dryRun
 */
async function followJob(panel, id, name, dryRun) {
  let job;
  try {
    job = await panel.follow(id);
  } catch (error) {
    panel.fail(error);
    storedJob.write(null);
    return;
  }
  panel.finish({ ...job, dry_run: dryRun }, dryRun ? texts.import.checked(name) : texts.import.imported(name));
  fill(panel.result, importResult(job, { dryRun, retry: (begin) => retry(begin, name) }));
  if (dryRun && job.status === 'completed' && chosen.length > 0) {
    fill(panel.actions, h('p', { class: 'help' }, faults(job) > 0 ? texts.import.afterCheckWithFaults : texts.import.afterCheck));
  } else if (job.status === 'completed' && !dryRun) {
    // The users are in the tenant now; sending the same files again would only fail.
    chosen = [];
    inspection.refresh();
  }
}

/**
 * Starts a retry of the failed rows with `begin` and follows its job. `name` is the name of the first import.
 * @param {import('./report.js').Begin} begin
 * @param {string} name
 */
async function retry(begin, name) {
  if (running) return;
  const title = texts.report.retrying(name);
  const panel = new JobPanel(texts.import.importing(title));
  byId('results').prepend(panel.element);
  panel.setFigures(texts.job.starting);
  panel.element.scrollIntoView({ block: 'nearest', behavior: 'smooth' });
  panel.focus();
  setRunning(true);
  try {
    const job = await begin({ signal: new AbortController().signal, onProgress: () => {} });
    storedJob.write({ id: job.id, name: title, dryRun: false });
    await followJob(panel, job.id, title, false);
  } catch (error) {
    panel.fail(error);
  } finally {
    setRunning(false);
  }
}

/** Shows the job that this page started last, else a running import. */
async function resume() {
  let last = storedJob.read();
  if (!last?.id) {
    const job = await findRunningJob('import');
    if (!job || running) return;
    last = { id: job.id, name: texts.import.unnamed(job.connection), dryRun: job.dry_run === true };
    storedJob.write(last);
  }
  const panel = new JobPanel(last.dryRun ? texts.import.checking(last.name) : texts.import.importing(last.name));
  // Above the form, where a user who returns to the page sees it.
  byId('form').before(byId('results'));
  fill(byId('results'), panel.element);
  setRunning(true);
  await followJob(panel, last.id, last.name, last.dryRun);
  setRunning(false);
}
