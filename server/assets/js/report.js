// The result of an import: a bar of outcomes, error reasons, the rows with errors, and their download.

import { post, save, stream, upload } from './api.js';
import { withBusy, button, fill, h, tableHead } from './dom.js';
import { number } from './format.js';
import { faults } from './job-view.js';
import { errorNotice, notice } from './page.js';
import { labelOf, texts } from './texts.js';

const PAGE = 50;
/** Maximum number of rows listed on the page; the download has all of them. */
const MAX_ROWS = 10_000;

/**
 * A part of a bar: its kind, its count and the words for the count.
 * @typedef {[kind: string, count: number, label: (values: { count: number }) => string]} BarPart
 */

/**
 * A bar of parts with its legend.
 * @param {BarPart[]} parts
 */
export function outcomeBar(parts) {
  const bar = h('div', { class: 'outcome', 'aria-hidden': 'true' });
  for (const [kind, count] of parts) {
    if (!(count > 0)) continue;
    const segment = h('span', { class: kind });
    segment.style.flex = `${count} 0 0`;
    bar.append(segment);
  }
  const legend = h(
    'ul',
    { class: 'legend' },
    parts.map(([kind, count, label]) => h('li', { class: kind }, h('span', {}, h('strong', {}, number(count)), ` ${label({ count })}`))),
  );
  return h('div', {}, bar, legend);
}

/**
 * The outcomes of an import as a bar and in figures.
 * @param {Job} job
 * @param {{ dryRun?: boolean }} [options]
 */
export function outcome(job, { dryRun = false } = {}) {
  const { inserted = 0, updated = 0, failed = 0, total = inserted + updated + failed } = job.summary ?? {};
  if (total === 0) return h('p', { class: 'help' }, texts.import.emptyResult);
  const left = total - inserted - updated - failed;
  const expected = job.summary?.look_up;
  /** @type {BarPart[]} */
  const parts = [
    ['inserted', inserted, texts.import.inserted],
    ['updated', updated, texts.import.updated],
    ['failed', failed, texts.import.failed],
  ];
  if (left > 0) parts.push(['left', left, texts.import.notSent]);
  if (!dryRun) return outcomeBar(parts);
  if (!expected)
    return outcomeBar([
      ['inserted', total - failed, texts.import.good],
      ['failed', failed, texts.import.faulty],
    ]);
  return outcomeBar([
    ['inserted', expected.inserted, texts.import.wouldInsert],
    ['updated', expected.updated, texts.import.wouldUpdate],
    ['left', expected.refused, texts.import.wouldRefuse],
    ['failed', failed, texts.import.faulty],
  ]);
}

/**
 * Starts a retry of the failed rows and returns its job.
 * @typedef {(options: UploadOptions) => Promise<JobView>} Begin
 */

/**
 * The result of an import that has ended. `retry` gets a function that starts a retry of the failed rows. `folded`
 * shows the rows with errors on demand only.
 * @param {JobView} job
 * @param {{ dryRun: boolean, retry?: (begin: Begin) => unknown, level?: 'h3', folded?: boolean }} options
 */
export function importResult(job, { dryRun, retry, level = 'h3', folded = false }) {
  const known = Number.isFinite(job.summary?.total);
  return [
    job.status === 'canceled' && notice('info', h('p', {}, dryRun ? texts.job.canceled : texts.job.canceledImport)),
    known && outcome(job, { dryRun }),
    known && job.summary && inputs(job.summary),
    job.summary?.backup && backup(job, job.summary.backup.users),
    warnings(job),
    faults(job) > 0 && (folded ? foldedReport(job, level) : report(job, { level })),
    faults(job) > 0 && !dryRun && retry && retryOffer(job.id, retry),
  ];
}

/**
 * The rows of a job that have errors, loaded when the user opens them.
 * @param {JobView} job
 * @param {'h3'} level
 */
function foldedReport(job, level) {
  /** @type {HTMLDetailsElement} */
  const details = h(
    'details',
    {
      class: 'more',
      on: {
        toggle: () => {
          if (details.open && details.childElementCount === 1) details.append(report(job, { level }));
        },
      },
    },
    h('summary', {}, texts.report.title),
  );
  return details;
}

/**
 * The backup of the users that an update changed.
 * @param {JobView} job
 * @param {number} users the number of users in it
 */
function backup({ id, status }, users) {
  if (users === 0) return h('p', { class: 'help' }, texts.report.backupEmpty);
  const problem = h('div');
  const push = button(
    texts.report.backupDownload,
    () =>
      withBusy(push, async () => {
        fill(problem);
        try {
          await save(`jobs/${encodeURIComponent(id)}/backup`, `backup-${id}.json`);
        } catch (error) {
          fill(problem, errorNotice(error));
        }
      }),
    { kind: 'small' },
  );
  return h('div', { class: 'kept' }, h('p', {}, texts.report.backup({ count: users })), status !== 'expired' && push, problem);
}

/**
 * The detected formats of the files.
 * @param {JobSummary} summary
 */
function inputs({ inputs: list = [], hashes }) {
  const words = list.map(({ file, format, encoding, delimiter, gzip }) =>
    [
      file,
      labelOf(texts.mapping.formats, format),
      delimiter && texts.mapping.delimiter({ name: labelOf(texts.mapping.delimiters, delimiter) }),
      encoding,
      gzip && texts.mapping.gzip,
    ]
      .filter(Boolean)
      .join(' · '),
  );
  if (words.length === 0 && !hashes) return null;
  return h(
    'ul',
    { class: 'inputs' },
    words.map((text) => h('li', {}, text)),
    hashes && h('li', {}, texts.report.hashes({ joined: hashes.joined, read: hashes.read })),
  );
}

/** The server reports up to this number of lines per reason. */
const MAX_LINES_PER_REASON = 5;

/**
 * The first lines with a reason.
 * @param {Reason} reason
 */
function lines({ lines: some = [], count }) {
  if (some.length === 0) return null;
  const list = some.map(number);
  if (count > some.length && some.length >= MAX_LINES_PER_REASON) list.push('…');
  return h('span', { class: 'soft' }, texts.report.lines({ count: some.length, list: list.join(', ') }));
}

let lists = 0;

/**
 * A list of error and warning reasons; if it has both, warnings can be hidden.
 * @param {Reason[]} [reasons]
 */
export function reasonList(reasons = []) {
  if (reasons.length === 0) return null;
  const most = Math.max(...reasons.map(({ count }) => count));
  const list = h(
    'ul',
    { class: 'reason-list' },
    reasons.map((reason) =>
      h(
        'li',
        { class: `reason ${reason.severity}` },
        h('strong', {}, number(reason.count)),
        h(
          'span',
          {},
          reason.severity === 'warning' && h('strong', { class: 'warning' }, texts.report.warning, ' '),
          reason.message,
          ' ',
          h('code', {}, reason.code),
          ' ',
          lines(reason),
          reason.hint && h('span', { class: 'hint' }, reason.hint),
        ),
        shareBar(reason.count / most),
      ),
    ),
  );
  const kinds = new Set(reasons.map(({ severity }) => severity));
  if (kinds.size < 2) return list;
  lists += 1;
  const id = `only-errors-${lists}`;
  /** @type {HTMLInputElement} */
  const only = h('input', { type: 'checkbox', id, on: { change: () => list.classList.toggle('only-errors', only.checked) } });
  return [h('div', { class: 'check compact' }, only, h('label', { for: id }, texts.report.onlyErrors)), list];
}

/** @param {number} share */
function shareBar(share) {
  const bar = h('span');
  bar.style.width = `${Math.max(share * 100, 4)}%`;
  return h('span', { class: 'share-bar', 'aria-hidden': 'true' }, bar);
}

/**
 * The warnings, grouped by reason. Rows with warnings are imported.
 * @param {JobView} job
 */
function warnings(job) {
  const found = (job.summary?.reasons ?? []).filter(({ severity }) => severity === 'warning');
  if (found.length === 0) return null;
  const count = found.reduce((sum, reason) => sum + reason.count, 0);
  return h('details', { class: 'more warnings', open: faults(job) === 0 }, h('summary', {}, texts.report.warnings({ count })), reasonList(found));
}

/**
 * Reads up to `MAX_ROWS` rows of a report.
 * @param {`jobs/${string}/report`} path
 */
async function readRows(path) {
  const body = await stream(path);
  if (!body) return { rows: [], complete: true };
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  /** @type {ReportRow[]} */
  const rows = [];
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    rest += value ?? '';
    const parts = rest.split('\n');
    rest = done ? '' : (parts.pop() ?? '');
    for (const part of parts) {
      // A line holds one element of the array, or its bracket.
      const text = part.replace(/,\s*$/, '').trim();
      if (text === '' || text === '[' || text === ']' || text === '[]') continue;
      if (rows.length >= MAX_ROWS) {
        reader.cancel().catch(() => {});
        return { rows, complete: false };
      }
      rows.push(JSON.parse(text));
    }
    if (done) return { rows, complete: true };
  }
}

/**
 * The rows of a job that have errors, with paging and a download.
 * @param {JobView} job
 * @param {{ level?: 'h3' }} [options]
 */
export function report(job, { level = 'h3' } = {}) {
  const path = /** @type {const} */ (`jobs/${encodeURIComponent(job.id)}/report`);
  const element = h('div', { class: 'report' }, h('p', { class: 'help', role: 'status' }, texts.report.loading));
  load();
  return element;

  async function load() {
    try {
      const { rows, complete } = await readRows(path);
      show(rows, complete);
    } catch (error) {
      fill(element, errorNotice(error, load));
    }
  }

  /**
   * @param {ReportRow[]} rows
   * @param {boolean} complete
   */
  function show(rows, complete) {
    if (rows.length === 0) {
      fill(element, h('p', { class: 'help' }, texts.report.none));
      return;
    }
    const body = h('tbody', { role: 'rowgroup' });
    const position = h('span', { role: 'status' });
    const several = rows.some((row) => row.file);
    const oneLine = !several && rows.some(sharesLine);
    let shown = rows;
    let first = 0;
    /** @param {number} step */
    const turn = (step) => {
      first += step;
      const last = Math.min(first + PAGE, shown.length);
      fill(
        body,
        shown.slice(first, last).map((row) => line(row, { several, oneLine })),
      );
      fill(
        position,
        shown.length === 0
          ? texts.report.nothing
          : shown.length > PAGE
            ? texts.report.page({ from: first + 1, to: last, total: shown.length })
            : texts.report.shown({ count: shown.length }),
      );
      previous.hidden = shown.length <= PAGE;
      next.hidden = shown.length <= PAGE;
      previous.disabled = first === 0;
      next.disabled = last === shown.length;
    };
    const previous = button(texts.report.previous, () => turn(-PAGE), { kind: 'small' });
    const next = button(texts.report.next, () => turn(PAGE), { kind: 'small' });
    const choice = rowFilter(rows, (chosen) => {
      shown = chosen;
      first = 0;
      turn(0);
    });
    turn(0);
    fill(
      element,
      h('div', { class: 'report-head' }, h(level, {}, texts.report.title), download()),
      !complete && notice('info', h('p', {}, texts.report.incomplete({ shown: rows.length, all: faults(job) }))),
      choice,
      h(
        'table',
        { class: 'table stack faults', role: 'table' },
        tableHead([texts.report.line, texts.report.user, texts.report.reason], [{ class: 'tight number' }]),
        body,
      ),
      h('div', { class: 'pager' }, position, previous, next),
    );
  }

  function download() {
    const format = h(
      'select',
      { class: 'small', 'aria-label': texts.report.format },
      Object.entries(texts.report.formats).map(([value, label]) => h('option', { value }, label)),
    );
    const problem = h('div');
    const push = button(
      texts.report.download,
      () =>
        withBusy(push, async () => {
          fill(problem);
          try {
            await save(`${path}?format=${format.value}`, `failed-${job.id}.${format.value === 'original' ? 'txt' : format.value}`);
          } catch (error) {
            fill(problem, errorNotice(error));
          }
        }),
      { kind: 'small' },
    );
    return h('div', {}, h('div', { class: 'actions' }, format, push), problem);
  }
}

/**
 * @param {ReportRow} row
 * @returns {ReportError[]}
 */
const errorsOf = (row) => (typeof row === 'object' && row !== null && Array.isArray(row.errors) ? row.errors : []);
/**
 * Removes list indexes, so that errors at different indexes of one attribute have the same reason.
 * @param {string} path
 */
const withoutIndexes = (path) => String(path).replaceAll(/\[\d+\]/g, '[]');
/**
 * The key of a reason: the error code and the attribute, if known.
 * @param {ReportError} error
 */
const reasonOf = (error) => JSON.stringify([error.code ?? error.message ?? '', error.path ? withoutIndexes(error.path) : null]);
/** @param {ReportRow} row */
const nameOf = ({ user = {} }) =>
  [user.email, user.name, user.username, user.phone_number, user.user_id].filter((value) => typeof value === 'string').find((value) => value !== '');

/**
 * Filters for the rows: one button per reason, the most frequent first, and a field that searches line, user and
 * error. Calls `choose` with the matching rows.
 * @param {ReportRow[]} rows
 * @param {(rows: ReportRow[]) => void} choose
 */
function rowFilter(rows, choose) {
  /** @typedef {{ key: string, error: ReportError, count: number, same: boolean }} RowReason */
  /** @type {Map<string, RowReason>} */
  const reasons = new Map();
  for (const row of rows) {
    const seen = new Set();
    for (const error of errorsOf(row)) {
      const key = reasonOf(error);
      if (seen.has(key)) continue;
      seen.add(key);
      const reason = reasons.get(key) ?? { key, error, count: 0, same: true };
      reason.count += 1;
      reason.same &&= reason.error.message === error.message;
      reasons.set(key, reason);
    }
  }

  /** @type {string | null} */
  let wanted = null;
  /** @type {string[]} */
  let words = [];
  const entries = [...reasons.values()].sort((a, b) => b.count - a.count);
  const most = entries[0]?.count ?? 1;
  const choices = [{ key: null, count: rows.length }, ...entries].map((entry) => {
    const push = h(
      'button',
      {
        type: 'button',
        class: 'reason',
        'aria-pressed': String(entry.key === null),
        on: {
          click: () => {
            wanted = entry.key;
            for (const other of choices) other.setAttribute('aria-pressed', String(other === push));
            apply();
          },
        },
      },
      h('strong', {}, number(entry.count)),
      entry.key === null
        ? h('span', {}, texts.report.showAll)
        : h(
            'span',
            {},
            entry.error.message,
            ' ',
            entry.error.code && h('code', {}, entry.error.code),
            !entry.same && ` ${texts.report.andMore({ count: entry.count - 1 })}`,
          ),
      entry.key === null ? null : shareBar(entry.count / most),
    );
    return push;
  });
  const search = h('input', {
    type: 'text',
    placeholder: texts.report.find,
    'aria-label': texts.report.find,
    autocomplete: 'off',
    spellcheck: 'false',
    on: {
      input: () => {
        words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
        apply();
      },
    },
  });

  function apply() {
    choose(
      rows.filter((row) => {
        const errors = errorsOf(row);
        if (wanted !== null && !errors.some((error) => reasonOf(error) === wanted)) return false;
        if (words.length === 0) return true;
        const text =
          `${row.line ?? ''} ${row.file ?? ''} ${nameOf(row) ?? ''} ${errors.map(({ code, message, path }) => `${code} ${message} ${path ?? ''}`).join(' ')}`.toLowerCase();
        return words.every((word) => text.includes(word));
      }),
    );
  }

  if (reasons.size < 2 && rows.length <= PAGE) return null;
  return [
    reasons.size > 1 && h('div', { class: 'reason-list', role: 'group', 'aria-label': texts.report.reasons }, choices),
    rows.length > PAGE && h('div', { class: 'search' }, search),
  ];
}

/**
 * Buttons that send the failed rows of an import again, unchanged or from a corrected file. `started` gets a function
 * that starts the job and returns a promise.
 * @param {string} id
 * @param {(begin: Begin) => unknown} started
 */
function retryOffer(id, started) {
  const path = /** @type {const} */ (`jobs/${encodeURIComponent(id)}/retry`);
  const file = h('input', {
    type: 'file',
    hidden: true,
    accept: '.json,.ndjson,.jsonl,.csv,.ldif,.gz',
    on: {
      change: () => {
        const corrected = file.files?.[0];
        file.value = '';
        if (!corrected) return;
        const form = new FormData();
        form.append('users', corrected, corrected.name);
        started((options) => upload(path, form, options));
      },
    },
  });
  return h(
    'div',
    { class: 'retry' },
    h(
      'div',
      { class: 'actions' },
      button(texts.report.retry, () => started(() => post(path))),
      button(texts.report.retryFile, () => file.click(), { kind: 'quiet' }),
      file,
    ),
    h('p', { class: 'help' }, texts.report.retryHelp),
  );
}

/**
 * Whether other rows precede this row in its line, as in JSON without line breaks. Not used for several files, because
 * their rows are numbered across all files.
 * @param {ReportRow} row
 */
const sharesLine = ({ line = 0, row = 0 }) => line > 0 && row > line;

/**
 * @param {ReportRow} row
 * @param {{ several: boolean, oneLine: boolean }} files whether the rows are of several files, and whether they share
 * lines, so that their numbers identify them and not their lines
 */
function line(row, { several, oneLine }) {
  /**
   * @param {string} label
   * @param {Properties} properties
   * @param {Child[]} children
   */
  const cell = (label, properties, ...children) => h('td', { role: 'cell', 'data-label': label, ...properties }, h('div', {}, ...children));
  return h(
    'tr',
    { role: 'row' },
    cell(
      texts.report.line,
      { class: 'tight number' },
      oneLine
        ? [texts.report.row({ count: row.row ?? 0 }), h('span', { class: 'soft file' }, `${texts.report.line} ${number(row.line ?? 0)}`)]
        : row.line && row.line > 0
          ? number(row.line)
          : '–',
      several && row.file && h('span', { class: 'soft file' }, row.file),
    ),
    cell(texts.report.user, {}, nameOf(row) ?? h('span', { class: 'soft' }, texts.report.unnamed)),
    cell(
      texts.report.reason,
      {},
      errorsOf(row).map((error) =>
        h('p', {}, error.message ?? String(error), ' ', error.code && h('code', {}, error.code), error.hint && h('span', { class: 'hint' }, error.hint)),
      ),
    ),
  );
}
