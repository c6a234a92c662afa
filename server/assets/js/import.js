// The Import page: choose files, review and map columns, choose a connection and options, start, follow the job.

import { isAbort, upload } from './api.js';
import { isUnusable } from './column-mapping.js';
import { fillConnections } from './connections.js';
import { announce, byId, dropArea, fill, h, icon, iconButton } from './dom.js';
import { dateText, size } from './format.js';
import { importView, initialState, obstacleOf, restoredOptions, storedOptions } from './import-state.js';
import { JobPanel, findRunningJob } from './job.js';
import { faults } from './job-view.js';
import { appendParts, inspector } from './mapping.js';
import { askIn, config, fieldError, sentence, sessionStore, notice, start, takeArrival } from './page.js';
import { readingFields } from './reading.js';
import { queryRemarks, readingParts } from './reading-state.js';
import { importResult } from './report.js';
import { texts } from './texts.js';

const FILE_NAME = /\.(json|ndjson|jsonl|csv|tsv|txt|ldif|gz)$/i;
/**
 * The job that was started on this page last.
 * @type {Stored<{ id: string, name: string, dryRun: boolean }>}
 */
const storedJob = sessionStore('import');
/**
 * The chosen connection, harmless options and mapping.
 * @type {Stored<ImportDraft>}
 */
const storedForm = sessionStore('import-form');
/** The options, and the ids of their check boxes. */
const OPTIONS = /** @type {const} */ ({
  upsert: 'upsert',
  backup: 'backup',
  email: 'send-completion-email',
  dropEmpty: 'drop-empty',
  dropUnknown: 'drop-unknown',
  dropReadOnly: 'drop-read-only',
  keepPrefix: 'keep-id-prefix',
});

/** @returns {[name: keyof typeof OPTIONS, id: (typeof OPTIONS)[keyof typeof OPTIONS]][]} */
const optionFields = () => /** @type {ReturnType<typeof optionFields>} */ (Object.entries(OPTIONS));

const state = initialState();

const inspection = inspector({
  files: () => state.files,
  options: () => ({ ...checkParts(), ...readingParts(reading.options()) }),
  changed: () => {
    showFiles();
    reading.show();
  },
  mappingChanged: rememberForm,
  dropReadOnly: () => {
    byId('drop-read-only').checked = true;
    rememberForm();
    inspection.refresh();
  },
});

const reading = readingFields({
  files: () => state.files,
  changed: ({ typing }) => {
    rememberForm();
    inspection.refresh({ now: !typing });
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
  for (const id of /** @type {const} */ (['upsert', 'drop-empty', 'drop-unknown', 'drop-read-only', 'keep-id-prefix']))
    byId(id).addEventListener('change', () => inspection.refresh());
  const draft = storedForm.read() ?? {};
  setOptions(restoredOptions(draft));
  reading.restore(draft);
  byId('more').open = draft.dropReadOnly === true || draft.keepPrefix === true;
  inspection.restore(draft.map);
  form.addEventListener('change', rememberForm);
  // A question about an earlier state of the form.
  for (const type of ['change', 'input']) form.addEventListener(type, () => fill(byId('form-error')));
  window.addEventListener('beforeunload', (event) => {
    if (!state.uploading) return;
    event.preventDefault();
    event.returnValue = texts.import.leaveWarning;
  });

  resume();
  welcome();
  await fillConnections(byId('connection'), byId('connection-notes'), { all: false, selected: draft.connection });
  // The form stays disabled while a job is followed.
  byId('connection').disabled ||= state.running;
});

/** @param {Child[]} text */
const showFilesError = (...text) => fieldError(byId('files'), byId('files-error'), ...text);
/** @param {string} text */
const showConnectionError = (text) => fieldError(byId('connection'), byId('connection-error'), text);

/** @returns {import('./import-state.js').ImportOptions} */
const optionsNow = () => /** @type {ReturnType<typeof optionsNow>} */ (Object.fromEntries(optionFields().map(([name, id]) => [name, byId(id).checked])));

/** The options that the inspection and the import have in common, as parts of a request. */
const checkParts = () => ({
  upsert: byId('upsert').checked,
  drop_empty: byId('drop-empty').checked,
  drop_unknown: byId('drop-unknown').checked,
  drop_read_only: byId('drop-read-only').checked,
  keep_id_prefix: byId('keep-id-prefix').checked,
});

/** @param {import('./import-state.js').ImportOptions} options */
function setOptions(options) {
  for (const [name, id] of optionFields()) byId(id).checked = options[name];
  showBackup();
}

function rememberForm() {
  storedForm.write({
    connection: byId('connection').value || storedForm.read()?.connection,
    map: inspection.mappingRules({ undecided: false }),
    ...storedOptions(optionsNow()),
    ...reading.options(),
  });
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
      state.files.push({ file, inspection: null, error: null });
      added += 1;
    }
  }
  showFilesError(...problems.flatMap((problem) => [problem, h('br')]));
  if (added > 0) announce(texts.import.added({ count: added }));
  showFiles();
  if (added > 0) inspection.refresh();
}

/** @param {File} file */
function problemOf(file) {
  if (!FILE_NAME.test(file.name) && !/json|gzip|csv/.test(file.type)) return texts.import.notUsers({ name: file.name });
  if (file.size === 0) return texts.import.emptyFile({ name: file.name });
  const all = state.files.reduce((sum, entry) => sum + entry.file.size, file.size);
  if (file.size > config.uploadLimit) return texts.import.tooLarge({ name: file.name, limit: size(config.uploadLimit) });
  if (all > config.uploadLimit) return texts.import.tooLargeTogether({ name: file.name, limit: size(config.uploadLimit) });
  /** @param {ChosenFile} other */
  const same = (other) => other.file.name === file.name && other.file.size === file.size && other.file.lastModified === file.lastModified;
  return state.files.some(same) ? texts.import.twice({ name: file.name }) : null;
}

function showFiles() {
  const view = importView(state, byId('results').childElementCount > 0);
  fill(
    byId('file-list'),
    state.files.map((entry) =>
      h(
        'li',
        { class: isUnusable(entry) ? 'unusable' : null },
        icon('file'),
        h('span', { class: 'file-name' }, entry.file.name, h('span', { class: 'file-found' }, inspection.describe(entry))),
        h('span', { class: 'file-size' }, size(entry.file.size)),
        iconButton('remove', texts.import.remove({ name: entry.file.name }), () => removeFile(entry), { disabled: view.isDisabled }),
      ),
    ),
  );
  byId('sample').hidden = !view.showsSample;
  byId('clear').hidden = !view.showsClear;
}

/** @param {ChosenFile} entry */
function removeFile(entry) {
  state.files = state.files.filter((other) => other !== entry);
  showFilesError('');
  fill(byId('form-error'));
  showFiles();
  inspection.refresh();
  byId('files').focus();
}

function clear() {
  state.files = [];
  storedJob.write(null);
  inspection.restore(null);
  setOptions(restoredOptions(optionsNow()));
  reading.restore({});
  reading.show();
  fill(byId('arrival'));
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
  state.running = value;
  const ids = /** @type {const} */ (['files', 'connection', 'start', 'check']);
  for (const id of [...ids, ...Object.values(OPTIONS)]) byId(id).disabled = value;
  inspection.disable(value);
  reading.disable(value);
  showFiles();
}

/** @param {{ dryRun: boolean }} options */
async function run({ dryRun }) {
  if (state.running || state.waiting) return;
  await waitForInspection();
  const { files } = state;
  const connection = byId('connection').value;
  fill(byId('form-error'));
  const unusable = files.find(isUnusable);
  const wrong = files.length > 0 && !unusable ? (reading.check() ?? inspection.check()) : null;
  const obstacle = obstacleOf({ files: files.length, isUnusable: Boolean(unusable), isMapped: !wrong, connection, dryRun });
  showFilesError(obstacle === 'files' && texts.import.noFiles, unusable && texts.import.unusable({ name: unusable.file.name }));
  showConnectionError(obstacle === 'connection' ? texts.import.noConnection : '');
  if (obstacle) {
    /** @type {HTMLElement | null} */
    const remove = byId('file-list').querySelector('.unusable button');
    const places = { files: byId('files'), unusable: remove, mapping: wrong, connection: byId('connection') };
    places[obstacle]?.focus();
    return;
  }
  const wide = queryRemarks(files).filter(({ widens }) => widens);
  if (wide.length > 0 && !dryRun) {
    const message = [h('p', {}, h('strong', {}, texts.import.confirmWide)), wide.map(({ message: remark }) => h('p', {}, sentence(remark)))];
    const isMeant = await askIn(byId('form-error'), { message, yes: texts.import.confirmWideYes, no: texts.export.confirmNo });
    if (!isMeant) byId('query').focus();
    if (!isMeant || state.running) return;
  }
  if (byId('upsert').checked && !dryRun) {
    const message = h(
      'p',
      {},
      (byId('backup').checked ? texts.import.confirmUpsertBackup : texts.import.confirmUpsert)({ connection: byId('connection').selectedOptions[0].text }),
    );
    const isMeant = await askIn(byId('form-error'), { message, yes: texts.import.confirmYes, no: texts.import.confirmNo });
    if (!isMeant) byId('start').focus();
    if (!isMeant || state.running) return;
  }

  const name = files.length === 1 ? files[0].file.name : texts.import.files({ count: files.length });
  const form = new FormData();
  if (connection) form.append('connection_id', connection);
  if (!dryRun) form.append('backup', String(byId('upsert').checked && byId('backup').checked));
  form.append('send_completion_email', String(byId('send-completion-email').checked));
  appendParts(form, { ...checkParts(), ...readingParts(reading.options()) });
  form.append('dry_run', String(dryRun));
  // With a connection, a check also looks up which users exist.
  if (dryRun && connection) form.append('look_up', 'true');
  const map = inspection.mappingRules();
  if (map) form.append('map', JSON.stringify(map));
  // Last, because the server needs the settings before the files.
  for (const { file } of files) form.append('users', file, file.name);

  const panel = new JobPanel(dryRun ? texts.import.checking({ name }) : texts.import.importing({ name }));
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
  state.waiting = true;
  fill(byId('form-error'), h('p', { class: 'help', role: 'status' }, texts.import.lookingFirst));
  await settled;
  fill(byId('form-error'));
  state.waiting = false;
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
  state.uploading = true;
  try {
    return await upload('jobs/import', form, {
      signal: abort.signal,
      onProgress: (done, total) => {
        panel.setPercent(done < total ? (done / total) * 100 : NaN);
        panel.setFigures(done < total ? texts.job.uploadProgress({ done: size(done), total: size(total) }) : texts.job.starting);
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
    state.uploading = false;
  }
}

/**
 * @param {JobPanel} panel
 * @param {string} id
 * @param {string} name
 * @param {boolean} dryRun
 * @param {{ folded?: boolean }} [options] `folded` shows the rows with errors on demand only
 */
async function followJob(panel, id, name, dryRun, { folded = false } = {}) {
  const dismissed = () => {
    storedJob.write(null);
    showFiles();
    byId('files').focus();
  };
  let job;
  try {
    job = await panel.follow(id);
  } catch (error) {
    panel.fail(error);
    panel.offerDismiss(dismissed);
    storedJob.write(null);
    return;
  }
  panel.finish({ ...job, dry_run: dryRun }, dryRun ? texts.import.checked({ name }) : texts.import.imported({ name }));
  panel.offerDismiss(dismissed);
  fill(panel.result, importResult(job, { dryRun, retry: (begin) => retry(begin, name), folded }));
  // The next import may be an unrelated one.
  if (!dryRun) setOptions(restoredOptions(optionsNow()));
  if (dryRun && job.status === 'completed' && state.files.length > 0) {
    fill(panel.actions, h('p', { class: 'help' }, faults(job) > 0 ? texts.import.afterCheckWithFaults : texts.import.afterCheck));
  } else if (job.status === 'completed' && !dryRun) {
    // The users are in the tenant now; sending the same files again would only fail.
    state.files = [];
    reading.restore({});
    reading.show();
    inspection.refresh();
    rememberForm();
  }
}

/**
 * Starts a retry of the failed rows with `begin` and follows its job. `name` is the name of the first import.
 * @param {import('./report.js').Begin} begin
 * @param {string} name
 */
async function retry(begin, name) {
  if (state.running) return;
  const title = texts.report.retrying({ name });
  const panel = new JobPanel(texts.import.importing({ name: title }));
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
  // A reload would scroll to where the form was, and hide the job above it.
  if (last?.id) window.history.scrollRestoration = 'manual';
  if (!last?.id) {
    const job = await findRunningJob('import');
    if (!job || state.running) return;
    last = { id: job.id, name: job.connection ? texts.import.unnamedOf({ connection: job.connection }) : texts.import.unnamed, dryRun: job.dry_run === true };
    storedJob.write(last);
  }
  const panel = new JobPanel(last.dryRun ? texts.import.checking({ name: last.name }) : texts.import.importing({ name: last.name }));
  // Above the form, where a user who returns to the page sees it.
  byId('form').before(byId('results'));
  fill(byId('results'), panel.element);
  panel.element.scrollIntoView({ block: 'nearest' });
  setRunning(true);
  await followJob(panel, last.id, last.name, last.dryRun, { folded: true });
  setRunning(false);
}

/** Says what another page has done to the form. */
function welcome() {
  const arrival = takeArrival('import');
  if (arrival?.kind === 'settings') {
    fill(
      byId('arrival'),
      notice(
        'info',
        h('p', {}, [texts.import.settingsLoaded({ date: dateText(arrival.date) }), arrival.upsert && texts.import.upsertOff].filter(Boolean).join(' ')),
      ),
    );
  }
}
