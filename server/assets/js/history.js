// The History page: every job, newest first.

import { get, follow as download, post } from './api.js';
import { announce, button, byId, fill, h, icon, iconButton } from './dom.js';
import { dateText, number, time } from './format.js';
import { ended, faults, isImport, statusBadge } from './job.js';
import { config, errorNotice, errorText, notice, start } from './page.js';
import { outcome, report } from './report.js';
import { texts } from './texts.js';

const REFRESH_MS = 5000;
let timer = 0;
let shown = '';

start(async () => {
  byId('reload').addEventListener('click', () => load({ asked: true }));
  fill(byId('history'), h('p', { class: 'help' }, texts.history.loading));
  await load();
});

async function load({ asked = false } = {}) {
  clearTimeout(timer);
  try {
    const { jobs } = await get('history');
    fill(byId('history-error'));
    // Shown again only when something changed, so that the focus and a selection stay.
    const state = JSON.stringify(jobs);
    if (state !== shown || asked) show(jobs);
    shown = state;
    if (asked) announce(texts.history.reloaded(jobs.length));
    if (jobs.some((job) => !ended(job))) timer = setTimeout(load, REFRESH_MS);
  } catch (error) {
    fill(byId('history-error'), errorNotice(error, () => load({ asked: true })));
    if (!shown) fill(byId('history'));
  } finally {
    byId('history').removeAttribute('aria-busy');
  }
}

function show(jobs) {
  if (jobs.length === 0) {
    fill(byId('history'), empty());
    return;
  }
  const column = (text, properties = {}) => h('th', { scope: 'col', role: 'columnheader', ...properties }, text);
  // The server lists the oldest first.
  const rows = [...jobs].reverse().map(row);
  fill(
    byId('history'),
    h(
      'div',
      { class: 'card table-card' },
      h(
        'table',
        { class: 'table stack history', role: 'table' },
        h('thead', { role: 'rowgroup' },
          h('tr', { role: 'row' },
            column(texts.history.type),
            column(texts.history.date),
            column(texts.history.status),
            column(texts.history.summary),
            column(h('span', { class: 'visually-hidden' }, texts.history.actions)),
          )),
        h('tbody', { role: 'rowgroup' }, rows),
      ),
    ),
  );
}

function empty() {
  const query = location.search;
  return h(
    'section',
    { class: 'card blank' },
    icon('history'),
    h('h2', {}, texts.history.emptyTitle),
    h('p', {}, texts.history.emptyHint),
    h(
      'div',
      { class: 'actions' },
      h('a', { class: 'button', href: `${config.basePath}import${query}` }, texts.history.startImport),
      h('a', { class: 'button', href: `${config.basePath}export${query}` }, texts.history.startExport),
    ),
  );
}

function typeText(job) {
  if (!isImport(job)) return texts.history.export;
  return job.dry_run ? texts.history.check : texts.history.import;
}

function summaryText(job) {
  const summary = job.summary ?? {};
  if (isImport(job)) {
    if (!Number.isFinite(summary.total)) return '';
    const figure = (count) => (count > 0 ? number(count) : '');
    if (job.dry_run) return texts.history.checked(number(summary.total - (summary.failed ?? 0)), figure(summary.failed));
    return texts.history.imported(figure(summary.inserted), figure(summary.updated), figure(summary.failed)) || texts.history.nobody;
  }
  if (!Number.isFinite(summary.rows)) return '';
  const users = summary.rows > 0 ? texts.history.exported(summary.rows, number(summary.rows)) : texts.history.nobody;
  const count = faults(job);
  return count > 0 ? `${users}, ${texts.history.faults(count, number(count))}` : users;
}

function row(job) {
  const cell = (label, properties, ...children) => h('td', { role: 'cell', 'data-label': label, ...properties }, ...children);
  return h(
    'tr',
    { role: 'row' },
    cell(texts.history.type, { class: 'tight' }, h('strong', {}, typeText(job))),
    cell(texts.history.date, { class: 'tight' }, time(job.date)),
    cell(texts.history.status, { class: 'tight' }, statusBadge(job)),
    cell(texts.history.summary, {}, summaryText(job)),
    cell('', { class: 'tight' }, h('div', { class: 'row-actions' }, actions(job))),
  );
}

function actions(job) {
  const act = (label, work, kind = 'small') => {
    const push = button(
      label,
      async () => {
        push.disabled = true;
        fill(byId('history-error'));
        try {
          await work();
        } catch (error) {
          fill(byId('history-error'), errorNotice(error));
        } finally {
          push.disabled = false;
        }
      },
      { kind, 'aria-label': texts.history.actionOf(label, typeText(job), dateText(job.date)) },
    );
    return push;
  };
  const id = encodeURIComponent(job.id);
  const failedRows = isImport(job) && ended(job) && faults(job) > 0;
  return [
    !ended(job) &&
      act(texts.history.cancel, async () => {
        await post(`jobs/${id}/cancel`);
        await load({ asked: true });
      }),
    !isImport(job) && job.status === 'completed' && act(texts.history.download, async () => {
      const { location } = await get(`jobs/${id}`);
      if (location) download(location);
      else fill(byId('history-error'), notice('warning', h('p', {}, texts.export.nothingToDownload)));
    }),
    act(failedRows ? texts.history.report : texts.history.details, async () => details(await get(`jobs/${id}`), job), 'small quiet'),
  ];
}

/** Shows everything about a job. `entry` is its line of the history, which knows its date. */
function details(job, entry) {
  const dialog = byId('details');
  const close = () => dialog.close();
  const fact = (name, value) => value && [h('dt', {}, name), h('dd', {}, value)];
  const dryRun = entry.dry_run === true;
  fill(
    dialog,
    h(
      'div',
      { class: 'dialog-head' },
      h('h2', { id: 'details-title' }, typeText(entry)),
      iconButton('remove', texts.history.close, close),
    ),
    h(
      'dl',
      { class: 'facts' },
      fact(texts.history.status, statusBadge(job)),
      fact(texts.history.date, time(entry.date)),
      fact(texts.history.summary, summaryText({ ...entry, summary: job.summary ?? entry.summary })),
      fact(texts.history.connection, entry.connection),
      fact(texts.history.format, entry.format?.toUpperCase()),
      fact(texts.history.id, h('code', {}, job.id)),
    ),
    job.details && notice('info', h('p', {}, job.details)),
    job.error && notice('error', errorText(job.error)),
    isImport(job) && ended(job) && Number.isFinite(job.summary?.total) && outcome(job, { dryRun }),
    isImport(job) && ended(job) && faults(job) > 0 && report(job.id),
    !isImport(job) && faults(job) > 0 && notice('warning', (job.summary.first_faults ?? []).map((text) => h('p', {}, text))),
  );
  dialog.showModal();
}
