// The Export page: which users, which columns, which file; then progress and the download.

import { get, follow as download, post } from './api.js';
import { fillConnections } from './connections.js';
import { announce, button, byId, fill, h, iconButton } from './dom.js';
import { number } from './format.js';
import { faults, JobPanel } from './job.js';
import { config, errorNotice, errorText, fieldError, memory, notice, start } from './page.js';
import { counter } from './query.js';
import { texts } from './texts.js';

const rememberedForm = memory('export');
const rememberedJob = memory('export-job');

/** Columns as they stand in the form: `{name, export_as}`. */
let columns = [];
let connections = new Map();
let running = false;
/** What is known of the number of users that match. */
let count = { state: 'counting' };

const counting = counter((answer) => {
  count = answer;
  showCount();
});

start(async () => {
  restore();
  showExamples();
  showColumns();
  showFormatOptions();

  byId('query').addEventListener('input', () => askCount());
  byId('connection').addEventListener('change', () => askCount({ now: true }));
  byId('add-defaults').addEventListener('click', addDefaults);
  byId('add-column').addEventListener('click', () => addColumn());
  byId('clear-columns').addEventListener('click', () => {
    columns = [];
    showColumns();
    remember();
    byId('add-column').focus();
  });
  byId('empty-form').addEventListener('click', reset);
  const form = byId('form');
  form.addEventListener('input', remember);
  form.addEventListener('change', () => {
    showFormatOptions();
    remember();
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    run();
  });

  resume();
  const select = byId('connection');
  const { wanted } = select.dataset;
  if (!wanted) askCount({ now: true });
  connections = await fillConnections(select, byId('connection-notes'), { all: true, selected: wanted });
  delete select.dataset.wanted;
  if (wanted) askCount({ now: true });
});

// Users

function askCount(options) {
  const connection = connections.get(byId('connection').value);
  counting.ask(connection?.name ?? '', byId('query').value.trim(), options);
}

function showCount() {
  const place = byId('count');
  const problem = byId('query-error');
  const push = byId('start');
  const { state, total, capped } = count;
  const query = byId('query').value.trim();
  fill(problem, state === 'failed' && count.error.status === 400 && errorText(count.error));
  if (state === 'failed' && count.error.status === 400) byId('query').setAttribute('aria-invalid', 'true');
  else byId('query').removeAttribute('aria-invalid');

  if (state === 'counting') {
    fill(place, texts.export.counting);
    fill(push, texts.export.button);
  } else if (state === 'failed') {
    fill(place, texts.export.notCounted, count.error.status !== 400 && ` ${count.error.message}`);
    fill(push, texts.export.button);
  } else if (total === 0) {
    fill(place, texts.export.nobody);
    fill(push, texts.export.buttonNothing);
  } else {
    const shown = capped ? '1000+' : number(total);
    const words = query === '' ? texts.export.everyone(total) : texts.export.matching(total);
    fill(place, h('strong', {}, shown), ' ', words);
    fill(push, capped ? texts.export.buttonCapped : texts.export.buttonCount(total, shown));
  }
  push.disabled = running || (state === 'known' && total === 0);
}

function showExamples() {
  fill(
    byId('examples'),
    texts.export.examples.map(([query, meaning]) => {
      const use = () => {
        byId('query').value = query;
        byId('query').focus();
        askCount({ now: true });
        remember();
      };
      return h(
        'li',
        {},
        h('button', { type: 'button', 'aria-label': texts.export.useExample(query), on: { click: use } }, query),
        h('span', {}, meaning),
      );
    }),
  );
}

// Columns

function showColumns() {
  fill(byId('columns'), columns.map(columnRow));
  byId('no-columns').hidden = columns.length > 0;
  byId('columns-head').hidden = columns.length === 0;
  byId('clear-columns').hidden = columns.length < 2;
}

function columnRow(column, index) {
  const position = index + 1;
  const called = () => column.export_as || column.name || texts.export.unnamedColumn(position);
  const field = (key, label, placeholder, properties) =>
    h('input', {
      type: 'text',
      'aria-label': label,
      placeholder,
      autocomplete: 'off',
      spellcheck: 'false',
      autocapitalize: 'off',
      'aria-describedby': `column-${position}-error`,
      on: {
        input: (event) => {
          column[key] = event.target.value;
          event.target.removeAttribute('aria-invalid');
        },
      },
      ...properties,
    });
  const attribute = field('name', texts.export.attributeOf(position), texts.export.attribute, { class: 'code', list: 'attributes' });
  const name = field('export_as', texts.export.columnNameOf(position), texts.export.columnName);
  attribute.value = column.name;
  name.value = column.export_as;

  const move = (step) => () => {
    columns.splice(index, 1);
    columns.splice(index + step, 0, column);
    showColumns();
    remember();
    announce(texts.export.moved(called(), index + step + 1));
    // The focus stays on the same button of the same column, or on its neighbour at either end.
    const tools = byId('columns').children[index + step].querySelectorAll('.tools button');
    const wanted = tools[step < 0 ? 0 : 1];
    (wanted.disabled ? tools[step < 0 ? 1 : 0] : wanted).focus();
  };
  const remove = () => {
    columns.splice(index, 1);
    showColumns();
    remember();
    announce(texts.export.removed(called()));
    const next = byId('columns').children[Math.min(index, columns.length - 1)];
    (next?.querySelector('.tools button:last-child') ?? byId('add-column')).focus();
  };
  return h(
    'li',
    {},
    attribute,
    name,
    h(
      'div',
      { class: 'tools' },
      iconButton('up', texts.export.moveUp(called()), move(-1), { disabled: index === 0 }),
      iconButton('down', texts.export.moveDown(called()), move(1), { disabled: index === columns.length - 1 }),
      iconButton('remove', texts.export.removeColumn(called()), remove),
    ),
    h('p', { class: 'field-error', id: `column-${position}-error` }),
  );
}

function addColumn() {
  columns.push({ name: '', export_as: '' });
  showColumns();
  remember();
  byId('columns').lastElementChild.querySelector('input').focus();
}

function addDefaults() {
  const added = config.defaultColumns.filter(([name]) => !columns.some((column) => column.name === name));
  columns.push(...added.map(([name, export_as]) => ({ name, export_as })));
  showColumns();
  remember();
  announce(texts.export.defaultsAdded(added.length));
}

// The form

const formatOf = () => byId('form').elements.format.value;

function showFormatOptions() {
  for (const element of document.querySelectorAll('[data-format]')) element.hidden = element.dataset.format !== formatOf();
}

function remember() {
  rememberedForm.write({
    query: byId('query').value,
    connection: byId('connection').value || byId('connection').dataset.wanted || '',
    columns,
    sort: byId('sort').value,
    descending: byId('descending').checked,
    format: formatOf(),
    limit: byId('limit').value,
    delimiter: byId('delimiter').value,
    bom: byId('bom').checked,
    rawCells: byId('raw-cells').checked,
    gzip: byId('gzip').checked,
  });
}

function restore() {
  const form = rememberedForm.read();
  if (!form) return;
  byId('query').value = form.query ?? '';
  byId('connection').dataset.wanted = form.connection ?? '';
  columns = (form.columns ?? []).map(({ name, export_as }) => ({ name: String(name), export_as: String(export_as) }));
  byId('sort').value = form.sort ?? '';
  byId('descending').checked = form.descending === true;
  if (form.format) byId('form').elements.format.value = form.format;
  byId('limit').value = form.limit ?? '';
  if (form.delimiter) byId('delimiter').value = form.delimiter;
  byId('bom').checked = form.bom === true;
  byId('raw-cells').checked = form.rawCells === true;
  byId('gzip').checked = form.gzip === true;
}

function reset() {
  rememberedForm.write(null);
  byId('form').reset();
  byId('connection').value = '';
  delete byId('connection').dataset.wanted;
  columns = [];
  showColumns();
  showFormatOptions();
  checkForm({ quiet: true });
  fill(byId('form-error'));
  askCount({ now: true });
  byId('query').focus();
}

/** Marks what is missing. Returns whether the form can be sent. */
function checkForm({ quiet = false } = {}) {
  let first = null;
  const mark = (input, place, text) => {
    fieldError(input, place, quiet ? '' : text);
    if (text) first ??= input;
  };
  columns.forEach((column, index) => {
    const row = byId('columns').children[index];
    const [attribute, name] = row.querySelectorAll('input');
    const place = row.querySelector('.field-error');
    const missing = [!column.name.trim() && texts.export.attributeMissing, !column.export_as.trim() && texts.export.nameMissing];
    mark(name, place, missing[1] || '');
    mark(attribute, place, missing[0] || '');
    if (!quiet) fill(place, missing.filter(Boolean).join(' '));
    if (missing[0]) first = first === name ? attribute : first;
  });
  const limit = byId('limit');
  const limitWrong = limit.validity.badInput || (limit.value !== '' && !(Number.isInteger(Number(limit.value)) && Number(limit.value) >= 1));
  mark(limit, byId('limit-error'), limitWrong ? texts.export.limitWrong : '');
  if (first && !quiet) {
    first.closest('details')?.setAttribute('open', '');
    first.focus();
  }
  return first === null;
}

function request() {
  const csv = formatOf() === 'csv';
  const connection = byId('connection').value;
  const query = byId('query').value.trim();
  const sort = byId('sort').value.trim();
  const limit = byId('limit').value;
  return {
    format: formatOf(),
    ...(connection && { connection_id: connection }),
    ...(columns.length > 0 && { fields: columns.map(({ name, export_as }) => ({ name: name.trim(), export_as })) }),
    ...(query && { query }),
    ...(sort && { sort: { by: sort, descending: byId('descending').checked } }),
    ...(limit && { limit: Number(limit) }),
    ...(csv && byId('delimiter').value !== ',' && { delimiter: byId('delimiter').value }),
    ...(csv && byId('bom').checked && { bom: true }),
    ...(csv && byId('raw-cells').checked && { raw_cells: true }),
    ...(byId('gzip').checked && { gzip: true }),
  };
}

// The job

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

async function follow(id) {
  const panel = new JobPanel(texts.export.exporting);
  fill(byId('results'), panel.element);
  panel.element.scrollIntoView({ block: 'nearest', behavior: 'smooth' });
  let job;
  try {
    job = await panel.follow(id);
  } catch (error) {
    rememberedJob.write(null);
    panel.fail(error);
    return;
  }
  panel.finish(job, texts.export.done);
  const dismiss = button(texts.job.dismiss, () => {
    rememberedJob.write(null);
    panel.element.remove();
    byId('start').focus();
  }, { kind: 'quiet' });
  fill(panel.result, summary(job));
  fill(panel.actions, job.status === 'completed' && downloadButton(panel, id), dismiss);
}

function summary(job) {
  if (job.status === 'canceled') return notice('info', h('p', {}, texts.job.canceled));
  if (job.status === 'expired') return notice('info', h('p', {}, texts.export.nothingToDownload));
  if (job.status !== 'completed') return null;
  const rows = job.summary?.rows ?? job.processed ?? 0;
  const first = Array.isArray(job.summary?.first_faults) ? job.summary.first_faults : [];
  return [
    h('p', { class: 'count' }, h('strong', {}, number(rows)), ' ', texts.export.rows(rows)),
    faults(job) > 0 &&
      notice('warning', h('p', {}, texts.export.faults(faults(job), number(faults(job)))), first.map((text) => h('p', { class: 'fine' }, text))),
  ];
}

function downloadButton(panel, id) {
  const push = button(texts.export.download, async () => {
    push.disabled = true;
    fill(panel.note);
    try {
      // The link is good for a minute only: it is read when it is needed.
      const job = await get(`jobs/${encodeURIComponent(id)}`);
      if (job.location) download(job.location);
      else fill(panel.note, notice('warning', h('p', {}, texts.export.nothingToDownload)));
    } catch (error) {
      fill(panel.note, errorNotice(error));
    } finally {
      push.disabled = false;
    }
  }, { kind: 'primary' });
  return push;
}

/** Shows the job that was running or ended when the page was left. */
async function resume() {
  const last = rememberedJob.read();
  if (!last?.id) return;
  setRunning(true);
  await follow(last.id);
  setRunning(false);
}
