// What an import came to: a bar of outcomes, the rows with faults, and the failed rows as a file.

import { get, save } from './api.js';
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
    const body = h('tbody');
    const position = h('span', { role: 'status' });
    let first = 0;
    const turn = (step) => {
      first += step;
      const last = Math.min(first + PAGE, rows.length);
      fill(body, rows.slice(first, last).map(line));
      fill(position, texts.report.page(number(first + 1), number(last), number(rows.length)));
      previous.disabled = first === 0;
      next.disabled = last === rows.length;
    };
    const previous = button(texts.report.previous, () => turn(-PAGE), { kind: 'small' });
    const next = button(texts.report.next, () => turn(PAGE), { kind: 'small' });
    turn(0);
    fill(
      element,
      h('div', { class: 'report-head' }, h(level, {}, texts.report.title), download()),
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
      rows.length > PAGE && h('div', { class: 'pager' }, position, previous, next),
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

function line(row) {
  const cell = (label, properties, ...children) => h('td', { role: 'cell', 'data-label': label, ...properties }, h('div', {}, ...children));
  if (typeof row === 'string') {
    return h('tr', { role: 'row' }, cell(texts.report.line, { class: 'tight number' }), cell(texts.report.user, {}), cell(texts.report.reason, {}, row));
  }
  const user = row.user ?? {};
  const name = [user.email, user.name, user.username, user.phone_number, user.user_id].find((value) => typeof value === 'string' && value);
  const errors = Array.isArray(row.errors) ? row.errors : [];
  return h(
    'tr',
    { role: 'row' },
    cell(texts.report.line, { class: 'tight number' }, Number.isFinite(row.line) ? number(row.line) : ''),
    cell(texts.report.user, {}, name ?? texts.report.unnamed),
    cell(texts.report.reason, {}, errors.map((error) => h('p', {}, error.message ?? String(error), ' ', error.code && h('code', {}, error.code)))),
  );
}

/** A short message above a result. */
export const remark = (kind, text) => notice(kind, h('p', {}, text));
