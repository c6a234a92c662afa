// The Export page: which users, which columns, which file; a preview; then progress and the download.

import { post } from './api.js';
import { columnsEditor } from './columns.js';
import { addSuggestions } from './completion.js';
import { fillConnections } from './connections.js';
import { announce, button, byId, fill, h } from './dom.js';
import { number } from './format.js';
import { downloadButton, faults, JobPanel, findRunningJob } from './job.js';
import { config, errorNotice, errorText, fieldError, sessionStore, notice, start } from './page.js';
import { attributePicker } from './picker.js';
import { presetBar } from './presets.js';
import { preview } from './preview.js';
import { counter } from './query.js';
import { toDraft, pinsOf } from './export-settings.js';
import { tenantData, suggestExpression, suggestQuery } from './suggest.js';
import { texts } from './texts.js';

/** @type {Stored<ExportDraft>} */
const rememberedForm = sessionStore('export');
/** @type {Stored<{ id: string }>} */
const rememberedJob = sessionStore('export-job');

/** @type {Map<string, Connection>} */
let connections = new Map();
let running = false;
/**
 * The number of matching users, see `counter` in query.js.
 * @type {Count}
 */
let count = { state: 'counting' };
/**
 * The query of the last count request.
 * @type {string | null}
 */
let lastCountedQuery = null;

/** Auth0 counts up to this number. A smaller capped number is the number of matches in a sample of users. */
const COUNT_LIMIT = 1000;

/**
 * Transform versions that the settings of the form are pinned to, see `pinsOf`.
 * @type {{ [name: string]: string }}
 */
let pins = {};

const counting = counter((answer) => {
  count = answer;
  showCount();
});
const columns = columnsEditor(changed);
const picker = attributePicker(columns, config.defaultColumns);
const presets = presetBar({ settings: () => (checkForm() ? request() : null), load });
const rows = preview({
  onAnswer({ columns: found }) {
    columns.setProblem(-1, '');
    fieldError(byId('sort'), byId('sort-error'), '');
    const named = new Map(columns.usable().map(({ name, export_as }) => [export_as, name]));
    columns.setKinds(
      (found ?? []).flatMap(({ name, kind }) => {
        const expression = named.get(name);
        return expression === undefined ? [] : [[expression, kind]];
      }),
    );
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
      if (byId('query').value.trim() !== lastCountedQuery) askCount();
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
  presets.refresh();
  picker.loadTransforms().then(showPins);
  const select = byId('connection');
  const { wanted } = select.dataset;
  if (!wanted) refreshAll();
  connections = await fillConnections(select, byId('connection-notes'), { all: true, selected: wanted });
  delete select.dataset.wanted;
  if (wanted) refreshAll();
});

const connectionName = () => connections.get(byId('connection').value)?.name ?? '';

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
  showPreview();
}

/** @param {Timing} [timing] */
function showPreview(timing) {
  if (!byId('connection').dataset.wanted) rows.ask({ ...request(), ...fieldsOf(columns.usable()) }, timing);
}

// Users

/** @param {Timing} [timing] */
function askCount(timing) {
  lastCountedQuery = byId('query').value.trim();
  counting.ask(connectionName(), lastCountedQuery, timing);
}

function showCount() {
  const place = byId('count');
  const problem = byId('query-error');
  const push = byId('start');
  const { state } = count;
  const { total, capped } = count.state === 'known' ? count : { total: 0, capped: false };
  const error = count.state === 'failed' ? count.error : null;
  const query = byId('query').value.trim();
  fill(problem, error?.status === 400 && errorText(error));
  if (error?.status === 400) byId('query').setAttribute('aria-invalid', 'true');
  else byId('query').removeAttribute('aria-invalid');

  if (state === 'counting') {
    fill(place, texts.export.counting);
    fill(push, texts.export.button);
  } else if (error) {
    fill(place, texts.export.notCounted, error.status !== 400 && ` ${error.message}`);
    fill(push, texts.export.button);
  } else if (capped && total < COUNT_LIMIT) {
    fill(place, texts.export.uncounted(total, number(total)));
    fill(push, texts.export.button);
  } else if (total === 0) {
    fill(place, texts.export.noMatch);
    fill(push, texts.export.buttonNothing);
  } else {
    const shown = capped ? '1000+' : number(total);
    const words = query === '' ? texts.export.everyone(total) : texts.export.matching(total);
    fill(place, h('strong', {}, shown), ' ', words);
    fill(push, capped ? texts.export.buttonCapped : texts.export.buttonCount(total, shown));
  }
  fill(byId('final-count'), state === 'known' && total > 0 ? [...place.cloneNode(true).childNodes] : '');
  push.disabled = running || (state === 'known' && total === 0 && !capped);
}

function showExamples() {
  fill(
    byId('examples'),
    texts.export.examples.map(([query, meaning]) => {
      const use = () => {
        byId('query').value = query;
        byId('query').focus();
        askCount({ now: true });
        changed();
      };
      return h('li', {}, h('button', { type: 'button', 'aria-label': texts.export.useExample(query), on: { click: use } }, query), h('span', {}, meaning));
    }),
  );
}

// The form

function addDefaults() {
  const added = config.defaultColumns.filter(([name]) => !columns.has(name) && !columns.has(`user.${name}`));
  columns.add(added.map(([name, export_as]) => ({ name, export_as })));
  announce(texts.export.defaultsAdded(added.length));
}

/** The chosen format: a group of radio buttons. */
const formatField = () => /** @type {RadioNodeList} */ (byId('form').elements.namedItem('format'));
const formatOf = () => /** @type {ExportRequest['format']} */ (formatField().value);
const importReady = () => formatOf() === 'json' && byId('import-ready').checked;

function showFormatOptions() {
  /** @type {NodeListOf<HTMLElement>} */
  const elements = document.querySelectorAll('[data-format]');
  for (const element of elements) element.hidden = element.dataset.format !== formatOf();
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
    transforms: pins,
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
  if (connections.size > 0) select.value = connections.has(connection) ? connection : '';
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
  pins = pinsOf(form.transforms);
  showPins();
}

/** Shows that saved settings use an older version of a transform, and offers the newest. */
function showPins() {
  const older = tenantData.transforms.filter(({ name, sha256 }) => pins[name] && pins[name] !== sha256).map(({ name }) => name);
  fill(
    byId('pins-note'),
    older.length > 0 &&
      notice(
        'info',
        h('p', {}, texts.presets.olderVersions(older)),
        button(
          texts.presets.useNewest,
          () => {
            pins = {};
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
  pins = {};
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
    ...(Object.keys(pins).length > 0 && { transforms: pins }),
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
  running = value;
  showCount();
}

async function run() {
  if (running) return;
  fill(byId('form-error'));
  if (!checkForm()) return;
  setRunning(true);
  try {
    const job = await post('jobs/export', request());
    rememberedJob.write({ id: job.id });
    await follow(job.id);
  } catch (error) {
    fill(byId('form-error'), errorNotice(error));
  } finally {
    setRunning(false);
  }
}

/**
 * @param {string} id
 * @param {{ above?: boolean }} [options]
 */
async function follow(id, { above = false } = {}) {
  if (above) byId('form').before(byId('results'));
  else byId('form').after(byId('results'));
  const panel = new JobPanel(texts.export.exporting);
  fill(byId('results'), panel.element);
  if (!above) {
    panel.element.scrollIntoView({ block: 'nearest', behavior: 'smooth' });
    panel.focus();
  }
  let job;
  try {
    job = await panel.follow(id);
  } catch (error) {
    rememberedJob.write(null);
    panel.fail(error);
    return;
  }
  panel.finish(job, texts.export.done);
  const dismiss = button(
    texts.job.dismiss,
    () => {
      rememberedJob.write(null);
      panel.element.remove();
      byId('start').focus();
    },
    { kind: 'quiet' },
  );
  fill(panel.result, summary(job));
  fill(panel.actions, job.status === 'completed' && downloadButton(id, panel.note), dismiss);
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
    h('p', { class: 'count' }, h('strong', {}, number(rows)), ' ', texts.export.rows(rows)),
    faults(job) > 0 &&
      notice(
        'warning',
        h('p', {}, texts.export.faults(faults(job), number(faults(job)))),
        first.map((text) => h('p', { class: 'fine' }, text)),
      ),
  ];
}

/** Shows the job that this page started last, else a running export. */
async function resume() {
  const id = rememberedJob.read()?.id ?? (await findRunningJob('export'))?.id;
  if (!id || running) return;
  rememberedJob.write({ id });
  setRunning(true);
  // Above the form, where a user who returns to the page sees it.
  await follow(id, { above: true });
  setRunning(false);
}
