// The Export page: which users, which columns, which file; a preview; then progress and the download.

import { post } from './api.js';
import { attributePicker } from './attribute-picker.js';
import { columnsEditor, pathRemark } from './columns.js';
import { addSuggestions } from './completion.js';
import { fillConnections } from './connections.js';
import { announce, button, byId, fill, h } from './dom.js';
import { countView, initialState, wideRemarks } from './export-state.js';
import { dateText, number } from './format.js';
import { downloadButton, JobPanel, findRunningJob } from './job.js';
import { faults } from './job-view.js';
import { askIn, config, errorNotice, errorText, fieldError, sentence, sessionStore, notice, start, takeArrival } from './page.js';
import { presetBar } from './presets.js';
import { preview } from './preview.js';
import { counter, countUsers } from './query.js';
import { toDraft, pinsOf } from './export-settings.js';
import { tenantData, suggestExpression, suggestQuery } from './suggest.js';
import { texts } from './texts.js';

/**
 * Examples of searches, and the names of the texts that say what they find.
 * @type {[query: string, meaning: keyof typeof texts.export.examples][]}
 */
const EXAMPLES = [
  ['_exists_:user_metadata', 'metadata'],
  ['email.domain:"example.com"', 'domain'],
  ['email:ada*', 'prefix'],
  ['logins_count:0 OR NOT _exists_:logins_count', 'neverSignedIn'],
  ['last_login:[2024-01-01 TO *]', 'signedInSince'],
  ['blocked:true AND email_verified:false', 'blocked'],
];

/** @type {Stored<ExportDraft>} */
const rememberedForm = sessionStore('export');
/** @type {Stored<{ id: string }>} */
const rememberedJob = sessionStore('export-job');

const state = initialState();

const counting = counter((answer) => {
  state.count = answer;
  showCount();
});
const columns = columnsEditor(changed);
const picker = attributePicker(columns, config.defaultColumns, showRemarks);
const presets = presetBar({ settings: () => (checkForm() ? request() : null), load });
const rows = preview({
  onAnswer({ columns: found, sort_remarks: sortRemarks = [] }) {
    columns.setProblem(-1, '');
    fieldError(byId('sort'), byId('sort-error'), '');
    const named = new Map(columns.usable().map(({ name, export_as }) => [export_as, name]));
    columns.setAnswers(
      (found ?? []).flatMap(({ name, kind, remarks = [] }) => {
        const expression = named.get(name);
        return expression === undefined ? [] : [{ expression, kind, remarks }];
      }),
    );
    state.sortRemarks = { sort: byId('sort').value.trim(), remarks: sortRemarks };
    showRemarks();
  },
  onRejected(error) {
    const sort = error.field === 'sort.by';
    fieldError(byId('sort'), byId('sort-error'), sort ? errorText(error) : '');
    if (sort) return true;
    const column = /^fields\[(\d+)\]/.exec(error.field ?? '');
    return columns.setProblem(column ? Number(column[1]) : -1, errorText(error));
  },
});

start(async () => {
  tenantData.documented = config.attributes;
  addSuggestions('query', suggestQuery);
  addSuggestions('sort', suggestExpression);
  const draft = rememberedForm.read();
  if (draft) restore(draft);
  else columns.set([]);
  showExamples();
  showFormatOptions();

  // Some input methods and extensions fire only `change`.
  for (const type of ['input', 'change']) {
    byId('query').addEventListener(type, () => {
      if (byId('query').value.trim() !== state.countedQuery) askCount();
    });
  }
  byId('connection').addEventListener('change', () => {
    askCount({ now: true });
    picker.load(connectionName());
  });
  byId('add-defaults').addEventListener('click', addDefaults);
  byId('empty-form').addEventListener('click', reset);
  const form = byId('form');
  for (const type of ['input', 'change']) {
    form.addEventListener(type, (event) => {
      // Columns and presets report their changes themselves; the fields of the picker are not settings.
      if (!(/** @type {HTMLElement} */ (event.target).closest('#columns, #picker, #presets'))) changed();
    });
  }
  form.addEventListener('change', showFormatOptions);
  // Enter in a field must not start a job.
  form.addEventListener('keydown', (event) => {
    const field = event.target;
    if (event.key !== 'Enter' || !(field instanceof HTMLInputElement) || field.type === 'file') return;
    event.preventDefault();
    if (field.id === 'query') refreshAll();
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    run();
  });

  resume();
  welcome();
  presets.refresh();
  picker.loadTransforms().then(showPins);
  const select = byId('connection');
  const { wanted } = select.dataset;
  if (!wanted) refreshAll();
  state.connections = await fillConnections(select, byId('connection-notes'), { all: true, selected: wanted });
  delete select.dataset.wanted;
  if (wanted) refreshAll();
});

const connectionName = () => state.connections.get(byId('connection').value)?.name ?? '';

/** Reloads the count, the attributes and the preview. */
function refreshAll() {
  askCount({ now: true });
  picker.load(connectionName());
  showPreview({ now: true });
}

/** Called after every change of the form. */
function changed() {
  remember();
  picker.sync();
  showRemarks();
  // A question about an earlier state of the form.
  fill(byId('form-error'));
  showPreview();
}

/** @param {Timing} [timing] */
function showPreview(timing) {
  if (!byId('connection').dataset.wanted) rows.ask({ ...request(), ...fieldsOf(columns.usable()) }, timing);
}

// Users

/** @param {Timing} [timing] */
function askCount(timing) {
  state.countedQuery = byId('query').value.trim();
  counting.ask(connectionName(), state.countedQuery, timing);
}

function showCount() {
  const view = countView(state, byId('query').value.trim());
  const words = () => [view.figure && h('strong', {}, view.figure), view.figure && ' ', view.words];
  fieldError(byId('query'), byId('query-error'), view.error && errorText(view.error));
  fill(
    byId('query-remark'),
    view.remarks.map(({ message }) => h('p', {}, sentence(message))),
  );
  fill(byId('count'), words());
  fill(byId('final-count'), view.figure && !view.note && words());
  fill(byId('start-note'), view.note);
  const push = byId('start');
  fill(push, view.button);
  push.disabled = view.isDisabled;
}

/** Shows the remarks of the server on the sort expression and the columns, or those on paths that no known attribute matches. */
function showRemarks() {
  const sort = byId('sort').value;
  const remarks = state.sortRemarks.sort === sort.trim() ? state.sortRemarks.remarks : [];
  fill(byId('sort-remark'), remarks.length > 0 ? remarks.join(' ') : pathRemark(sort));
  columns.showRemarks();
}

function showExamples() {
  fill(
    byId('examples'),
    EXAMPLES.map(([query, meaning]) => {
      const use = () => {
        byId('query').value = query;
        byId('query').focus();
        askCount({ now: true });
        changed();
      };
      return h(
        'li',
        {},
        h('button', { type: 'button', 'aria-label': texts.export.useExample({ query }), on: { click: use } }, query),
        h('span', {}, texts.export.examples[meaning]),
      );
    }),
  );
}

// The form

function addDefaults() {
  const added = config.defaultColumns.filter(([name]) => !columns.has(name));
  columns.add(added.map(([name, export_as]) => ({ name, export_as })));
  announce(texts.export.defaultsAdded({ count: added.length }));
}

/** The chosen format: a group of radio buttons. */
const formatField = () => /** @type {RadioNodeList} */ (byId('form').elements.namedItem('format'));
const formatOf = () => /** @type {ExportRequest['format']} */ (formatField().value);
const importReady = () => formatOf() === 'json' && byId('import-ready').checked;

function showFormatOptions() {
  /** @type {NodeListOf<HTMLElement>} */
  const elements = document.querySelectorAll('[data-format]');
  for (const element of elements) element.hidden = !(element.dataset.format ?? '').split(' ').includes(formatOf());
  fill(byId('no-columns'), importReady() ? texts.export.importColumns : texts.export.noColumns[formatOf()]);
}

function remember() {
  rememberedForm.write({
    query: byId('query').value,
    connection: byId('connection').value || byId('connection').dataset.wanted || '',
    columns: columns.get(),
    sort: byId('sort').value,
    descending: byId('descending').checked,
    format: formatOf(),
    importReady: byId('import-ready').checked,
    limit: byId('limit').value,
    delimiter: byId('delimiter').value,
    bom: byId('bom').checked,
    rawCells: byId('raw-cells').checked,
    gzip: byId('gzip').checked,
    stopAtFault: byId('stop-at-fault').checked,
    transforms: state.pins,
  });
}

/**
 * Fills the form with the state that `remember` stored.
 * @param {ExportDraft} form
 */
function restore(form) {
  byId('query').value = form.query ?? '';
  const select = byId('connection');
  const connection = form.connection ?? '';
  if (state.connections.size > 0) select.value = state.connections.has(connection) ? connection : '';
  else select.dataset.wanted = connection;
  columns.set(Array.isArray(form.columns) ? form.columns : []);
  byId('sort').value = form.sort ?? '';
  byId('descending').checked = form.descending === true;
  formatField().value = ['csv', 'json', 'ndjson'].includes(form.format ?? '') ? (form.format ?? '') : 'json';
  byId('import-ready').checked = form.importReady === true;
  byId('limit').value = form.limit ?? '';
  byId('delimiter').value = form.delimiter ?? ',';
  if (byId('delimiter').selectedIndex < 0) byId('delimiter').value = ',';
  byId('bom').checked = form.bom === true;
  byId('raw-cells').checked = form.rawCells === true;
  byId('gzip').checked = form.gzip === true;
  byId('stop-at-fault').checked = form.stopAtFault === true;
  state.pins = pinsOf(form.transforms);
  showPins();
}

/** Shows that saved settings use an older version of a transform, and offers the newest. */
function showPins() {
  const older = tenantData.transforms.filter(({ name, sha256 }) => state.pins[name] && state.pins[name] !== sha256).map(({ name }) => name);
  fill(
    byId('pins-note'),
    older.length > 0 &&
      notice(
        'info',
        h('p', {}, texts.presets.olderVersions({ names: older.join(', ') })),
        button(
          texts.presets.useNewest,
          () => {
            state.pins = {};
            showPins();
            changed();
            byId('preset').focus();
          },
          { kind: 'small' },
        ),
      ),
  );
}

/**
 * Fills the form with export settings in the format of the API.
 * @param {object} settings
 */
function load(settings) {
  restore(toDraft(settings));
  showFormatOptions();
  checkForm({ quiet: true });
  remember();
  refreshAll();
}

function reset() {
  rememberedForm.write(null);
  byId('form').reset();
  byId('connection').value = '';
  delete byId('connection').dataset.wanted;
  columns.set([]);
  state.pins = {};
  showPins();
  showFormatOptions();
  checkForm({ quiet: true });
  fill(byId('form-error'));
  picker.sync();
  refreshAll();
  byId('query').focus();
}

/**
 * Marks invalid fields. Returns whether the form can be sent.
 * @param {{ quiet?: boolean }} [options]
 */
function checkForm({ quiet = false } = {}) {
  let first = columns.check({ quiet });
  const limit = byId('limit');
  const limitWrong = limit.validity.badInput || (limit.value !== '' && !(Number.isInteger(Number(limit.value)) && Number(limit.value) >= 1));
  fieldError(limit, byId('limit-error'), limitWrong && !quiet ? texts.export.limitWrong : '');
  if (limitWrong) first ??= limit;
  if (first && !quiet) {
    first.closest('details')?.setAttribute('open', '');
    first.focus();
  }
  return first === null;
}

/** @param {Column[]} list */
const fieldsOf = (list) => ({ fields: list.length > 0 ? list.map(({ name, export_as }) => ({ name: name.trim(), export_as })) : undefined });

/**
 * The settings of the form in the format of the API.
 * @returns {ExportRequest}
 */
function request() {
  const csv = formatOf() === 'csv';
  const connection = byId('connection').value;
  const query = byId('query').value.trim();
  const sort = byId('sort').value.trim();
  const limit = Number(byId('limit').value);
  return {
    format: formatOf(),
    ...(importReady() && { preset: 'import' }),
    ...(connection && { connection_id: connection }),
    ...fieldsOf(columns.get()),
    ...(query && { query }),
    ...(Object.keys(state.pins).length > 0 && { transforms: state.pins }),
    ...(sort && { sort: { by: sort, descending: byId('descending').checked } }),
    ...(Number.isInteger(limit) && limit > 0 && { limit }),
    ...(csv && byId('delimiter').value !== ',' && { delimiter: byId('delimiter').value }),
    ...(csv && byId('bom').checked && { bom: true }),
    ...(csv && byId('raw-cells').checked && { raw_cells: true }),
    ...(byId('gzip').checked && { gzip: true }),
    ...(byId('stop-at-fault').checked && { on_error: 'fail' }),
  };
}

// The job

/** @param {boolean} value */
function setRunning(value) {
  state.running = value;
  showCount();
}

/** Whether the user confirms the remarks on the search, if it has some that must be confirmed. */
async function isSearchMeant() {
  const query = byId('query').value.trim();
  const isCurrent = state.count.state === 'known' && state.countedQuery === query;
  const count = isCurrent || query === '' ? state.count : await countUsers(connectionName(), query);
  const remarks = query !== '' && count ? wideRemarks(count) : [];
  if (remarks.length === 0) return true;
  const list = remarks.map(({ message }) => h('p', {}, sentence(message)));
  const message = [h('p', {}, h('strong', {}, texts.export.confirmWide)), list];
  const isMeant = await askIn(byId('form-error'), { message, yes: texts.export.confirmYes, no: texts.export.confirmNo });
  if (!isMeant) byId('query').focus();
  return isMeant;
}

async function run() {
  if (state.running) return;
  fill(byId('form-error'));
  if (!checkForm() || !(await isSearchMeant()) || state.running) return;
  setRunning(true);
  // Shown before the server answers, which may take a while.
  const panel = showPanel();
  panel.setFigures(texts.job.starting);
  panel.element.scrollIntoView({ block: 'nearest', behavior: 'smooth' });
  panel.focus();
  try {
    const job = await post('jobs/export', request());
    rememberedJob.write({ id: job.id });
    await follow(panel, job.id);
  } catch (error) {
    panel.element.remove();
    fill(byId('form-error'), errorNotice(error));
    byId('form-error').scrollIntoView({ block: 'nearest' });
  } finally {
    setRunning(false);
  }
}

/** Shows a job above the form, instead of an earlier one. */
function showPanel() {
  const panel = new JobPanel(texts.export.exporting);
  fill(byId('results'), panel.element);
  return panel;
}

/**
 * Follows a job to its end. The result can be dismissed.
 * @param {JobPanel} panel
 * @param {string} id
 */
async function follow(panel, id) {
  const dismissed = () => {
    rememberedJob.write(null);
    byId('start').focus();
  };
  let job;
  try {
    job = await panel.follow(id);
  } catch (error) {
    rememberedJob.write(null);
    panel.fail(error);
    panel.offerDismiss(dismissed);
    return;
  }
  panel.finish(job, texts.export.done);
  panel.offerDismiss(dismissed);
  fill(panel.result, summary(job));
  fill(panel.actions, job.status === 'completed' && downloadButton(id, panel.note));
}

/**
 * @param {JobView} job
 * @returns {Child}
 */
function summary(job) {
  if (job.status === 'canceled') return notice('info', h('p', {}, texts.job.canceled));
  if (job.status === 'expired') return notice('info', h('p', {}, texts.export.nothingToDownload));
  if (job.status !== 'completed') return null;
  const rows = job.summary?.rows ?? job.processed ?? 0;
  const first = Array.isArray(job.summary?.first_faults) ? job.summary.first_faults : [];
  return [
    h('p', { class: 'count' }, h('strong', {}, number(rows)), ' ', texts.export.rows({ count: rows })),
    faults(job) > 0 &&
      notice(
        'warning',
        h('p', {}, texts.export.faults({ count: faults(job) })),
        first.map((text) => h('p', { class: 'fine' }, text)),
      ),
  ];
}

/** Shows the job that this page started last, else a running export. */
async function resume() {
  const remembered = rememberedJob.read()?.id;
  // A reload would scroll to where the form was, and hide the job above it.
  if (remembered) window.history.scrollRestoration = 'manual';
  const id = remembered ?? (await findRunningJob('export'))?.id;
  if (!id || state.running) return;
  rememberedJob.write({ id });
  setRunning(true);
  const panel = showPanel();
  panel.element.scrollIntoView({ block: 'nearest' });
  await follow(panel, id);
  setRunning(false);
}

/** Says what another page has done to the form, and shows a column that it has added. */
function welcome() {
  const arrival = takeArrival('export');
  if (!arrival) return;
  if (arrival.kind === 'settings') {
    fill(byId('arrival'), notice('info', h('p', {}, texts.export.settingsLoaded({ date: dateText(arrival.date) }))));
    return;
  }
  const fields = byId('columns').lastElementChild?.querySelectorAll('input');
  fields?.[0].focus();
  fields?.[0].scrollIntoView({ block: 'center' });
  announce(texts.export.columnAdded({ name: arrival.name }));
}
