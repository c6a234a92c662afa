// What an import came to: a bar of outcomes, the rows with faults, and the failed rows as a file.

import { get, post, save, upload } from './api.js';
import { button, fill, h } from './dom.js';
import { number } from './format.js';
import { errorNotice, notice } from './page.js';
import { texts } from './texts.js';

const PAGE = 50;

/** The outcomes of an import as a bar and in figures. */
export function outcome(job, { dryRun = false } = {}) {
  const summary = job.summary ?? {};
  const inserted = summary.inserted ?? 0;
  const updated = summary.updated ?? 0;
  const failed = summary.failed ?? 0;
  const total = summary.total ?? inserted + updated + failed;
  const parts = dryRun
    ? [['inserted', total - failed, texts.import.good], ['failed', failed, texts.import.faulty]]
    : [['inserted', inserted, texts.import.inserted], ['updated', updated, texts.import.updated], ['failed', failed, texts.import.failed]];

  if (total === 0) return h('p', { class: 'help' }, texts.import.emptyResult);
  const bar = h('div', { class: 'outcome', 'aria-hidden': 'true' });
  for (const [kind, count] of parts) {
    if (count === 0) continue;
    const segment = h('span', { class: kind });
    segment.style.flex = `${count} 0 0`;
    bar.append(segment);
  }
  const legend = h(
    'ul',
    { class: 'legend' },
    parts.map(([kind, count, label]) => h('li', { class: kind }, h('span', {}, h('strong', {}, number(count)), ` ${label(count)}`))),
  );
  return h('div', {}, bar, legend);
}

/** The rows of a job that have faults, page by page, and the offer to download them. */
export function report(id, { level = 'h3' } = {}) {
  const path = `jobs/${encodeURIComponent(id)}/report`;
  const element = h('div', { class: 'report' }, h('p', { class: 'help', role: 'status' }, texts.report.loading));
  load();
  return element;

  async function load() {
    let rows;
    try {
      rows = await get(path);
    } catch (error) {
      fill(element, errorNotice(error, load));
      return;
    }
    show(Array.isArray(rows) ? rows : []);
  }

  function show(rows) {
    if (rows.length === 0) {
      fill(element, h('p', { class: 'help' }, texts.report.none));
      return;
    }
    const body = h('tbody', { role: 'rowgroup' });
    const position = h('span', { role: 'status' });
    let shown = rows;
    let first = 0;
    const turn = (step) => {
      first += step;
      const last = Math.min(first + PAGE, shown.length);
      fill(body, shown.slice(first, last).map(line));
      fill(position, shown.length > PAGE ? texts.report.page(number(first + 1), number(last), number(shown.length)) : texts.report.shown(shown.length, number(shown.length)));
      previous.hidden = shown.length <= PAGE;
      next.hidden = shown.length <= PAGE;
      previous.disabled = first === 0;
      next.disabled = last === shown.length;
    };
    const previous = button(texts.report.previous, () => turn(-PAGE), { kind: 'small' });
    const next = button(texts.report.next, () => turn(PAGE), { kind: 'small' });
    const choice = chooser(rows, (chosen) => {
      shown = chosen;
      first = 0;
      turn(0);
    });
    turn(0);
    fill(
      element,
      h('div', { class: 'report-head' }, h(level, {}, texts.report.title), download()),
      choice,
      h(
        'table',
        { class: 'table stack', role: 'table' },
        h('thead', { role: 'rowgroup' },
          h('tr', { role: 'row' },
            h('th', { scope: 'col', role: 'columnheader', class: 'tight number' }, texts.report.line),
            h('th', { scope: 'col', role: 'columnheader' }, texts.report.user),
            h('th', { scope: 'col', role: 'columnheader' }, texts.report.reason),
          )),
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
    const push = button(texts.report.download, async () => {
      push.disabled = true;
      fill(problem);
      try {
        await save(`${path}?format=${format.value}`, texts.report.fileName(id, format.value));
      } catch (error) {
        fill(problem, errorNotice(error));
      } finally {
        push.disabled = false;
      }
    }, { kind: 'small' });
    return h('div', {}, h('div', { class: 'actions' }, format, push), problem);
  }
}

const errorsOf = (row) => (typeof row === 'object' && row !== null && Array.isArray(row.errors) ? row.errors : []);
const isWarning = (error) => error.severity === 'warning';
/** What faults of one reason share: their code, and the attribute where it is told. */
const reasonOf = (error) => JSON.stringify([error.code ?? error.message ?? '', error.attribute ?? error.path ?? null]);

/**
 * The reasons of all faults, the commonest first, each a button that leaves only its rows; and the choice
 * to leave out rows with nothing but warnings. `choose` is told the rows that are left.
 */
function chooser(rows, choose) {
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
  const warnings = rows.some((row) => errorsOf(row).some(isWarning));
  if (reasons.size < 2 && !warnings) return null;

  let wanted = null;
  const only = h('input', { type: 'checkbox', id: `only-errors-${crypto.getRandomValues(new Uint32Array(1))[0]}`, on: { change: apply } });
  const entries = [...reasons.values()].sort((a, b) => b.count - a.count);
  const most = entries[0]?.count ?? 1;
  const choices = [{ key: null, count: rows.length }, ...entries].map((entry) => {
    const bar = h('span');
    bar.style.width = `${entry.key === null ? 100 : (entry.count / most) * 100}%`;
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
        : h('span', {}, entry.error.message, ' ', entry.error.code && h('code', {}, entry.error.code), !entry.same && ` ${texts.report.andMore(number(entry.count - 1))}`),
      entry.key === null ? null : h('span', { class: 'share-bar', 'aria-hidden': 'true' }, bar),
    );
    return push;
  });

  function apply() {
    choose(rows.filter((row) => {
      const errors = errorsOf(row);
      if (only.checked && errors.length > 0 && errors.every(isWarning)) return false;
      return wanted === null || errors.some((error) => reasonOf(error) === wanted);
    }));
  }

  return h(
    'div',
    { class: 'reason-list', role: 'group', 'aria-label': texts.report.reasons },
    choices,
    warnings && h('div', { class: 'check compact' }, only, h('label', { for: only.id }, texts.report.onlyErrors)),
  );
}

/** Whether the server can send failed rows again; asked once. */
let retryKnown = null;
function canRetry() {
  retryKnown ??= get('openapi.json').then((document) => Boolean(document.paths?.['/api/jobs/{id}/retry']), () => false);
  return retryKnown;
}

/**
 * The offer to send the failed rows of an import again, as they were or from a mended file. Shown once the
 * server is known to take them. `started` gets a promise-making function that starts the job.
 */
export function retryOffer(id, started) {
  const element = h('div', { class: 'retry', hidden: true });
  const path = `jobs/${encodeURIComponent(id)}/retry`;
  const file = h('input', {
    type: 'file',
    hidden: true,
    accept: '.json,.ndjson,.jsonl,.csv,.gz',
    on: {
      change: () => {
        const [mended] = file.files;
        file.value = '';
        if (!mended) return;
        const form = new FormData();
        form.append('users', mended, mended.name);
        started((options) => upload(path, form, options));
      },
    },
  });
  fill(
    element,
    h('div', { class: 'actions' }, button(texts.report.retry, () => started(() => post(path))), button(texts.report.retryFile, () => file.click(), { kind: 'quiet' }), file),
    h('p', { class: 'help' }, texts.report.retryHelp),
  );
  canRetry().then((known) => {
    element.hidden = !known;
  });
  return element;
}

function line(row) {
  const cell = (label, properties, ...children) => h('td', { role: 'cell', 'data-label': label, ...properties }, h('div', {}, ...children));
  if (typeof row === 'string') {
    return h('tr', { role: 'row' }, cell(texts.report.line, { class: 'tight number' }), cell(texts.report.user, {}), cell(texts.report.reason, {}, row));
  }
  const user = row.user ?? {};
  const name = [user.email, user.name, user.username, user.phone_number, user.user_id].find((value) => typeof value === 'string' && value);
  const errors = errorsOf(row);
  return h(
    'tr',
    { role: 'row' },
    cell(texts.report.line, { class: 'tight number' }, Number.isFinite(row.line) ? number(row.line) : ''),
    cell(texts.report.user, {}, name ?? texts.report.unnamed),
    cell(texts.report.reason, {}, errors.map((error) => h('p', {}, isWarning(error) && h('strong', { class: 'warning' }, texts.report.warning, ' '), error.message ?? String(error), ' ', error.code && h('code', {}, error.code), error.hint && h('span', { class: 'soft' }, ` ${error.hint}`)))),
  );
}

/** A short message above a result. */
export const remark = (kind, text) => notice(kind, h('p', {}, text));
