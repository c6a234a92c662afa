// The History page: every job, newest first.

import { get, follow as download, post } from './api.js';
import { announce, withBusy, button, byId, fill, h, icon, iconButton, tableHead } from './dom.js';
import { dateText, time } from './format.js';
import { statusBadge } from './job.js';
import { ended, faults, isImport, progressView } from './job-view.js';
import { filteredJobs, importDraft, initialState, starters, summaryText, typeText } from './history-state.js';
import { arrivals, config, errorNotice, errorText, sessionStore, notice, start } from './page.js';
import { importResult } from './report.js';
import { toDraft } from './export-settings.js';
import { texts } from './texts.js';

const REFRESH_MS = 5000;
const PROGRESS_MS = 1500;
/**
 * The stored forms of the Export and Import pages.
 * @type {{ export: Stored<ExportDraft>, import: Stored<ImportDraft> }}
 */
const forms = { export: sessionStore('export'), import: sessionStore('import-form') };
/** @type {Stored<{ [filter: string]: string }>} */
const rememberedFilter = sessionStore('history-filter');
const FILTERS = /** @type {const} */ (['filter-type', 'filter-status', 'filter-by']);

const state = initialState();

start(async () => {
  byId('reload').addEventListener('click', () => load({ asked: true }));
  const wanted = rememberedFilter.read() ?? {};
  for (const id of FILTERS) {
    const select = byId(id);
    select.value = wanted[id] ?? '';
    if (select.selectedIndex < 0) select.value = '';
    select.addEventListener('change', () => {
      rememberedFilter.write(Object.fromEntries(FILTERS.map((filter) => [filter, byId(filter).value])));
      show();
      announce(texts.history.reloaded({ count: filtered().length }));
    });
  }
  fill(byId('history'), h('p', { class: 'help' }, texts.history.loading));
  await load();
});

/** @param {{ asked?: boolean, background?: boolean }} [options] */
async function load({ asked = false, background = false } = {}) {
  clearTimeout(state.reload);
  try {
    const { jobs } = await get('history', { background });
    fill(byId('history-error'));
    // Rendered only when something changed, to keep the focus and the selection.
    const answer = JSON.stringify(jobs);
    if (answer !== state.shown || asked) {
      state.jobs = jobs;
      showStarters();
      show();
    }
    state.shown = answer;
    followProgress();
    if (asked) announce(texts.history.reloaded({ count: jobs.length }));
    if (jobs.some((job) => !ended(job))) state.reload = setTimeout(() => load({ background: true }), REFRESH_MS);
  } catch (error) {
    fill(
      byId('history-error'),
      errorNotice(error, () => load({ asked: true })),
    );
    if (!state.shown) fill(byId('history'));
  } finally {
    byId('history').removeAttribute('aria-busy');
  }
}

/** The jobs that match the filters. */
const filtered = () => filteredJobs(state.jobs, { type: byId('filter-type').value, status: byId('filter-status').value, by: byId('filter-by').value });

/** Fills the filter of users who started a job. */
function showStarters() {
  const select = byId('filter-by');
  const wanted = select.value || rememberedFilter.read()?.['filter-by'] || '';
  const people = starters(state.jobs);
  fill(
    select,
    h('option', { value: '' }, texts.history.everybody),
    people.map((name) => h('option', { value: name }, name)),
  );
  select.value = people.includes(wanted) ? wanted : '';
}

function show() {
  // The filters keep their space while hidden, so that the layout does not shift when the jobs arrive.
  if (state.jobs.length === 0) byId('filters').setAttribute('aria-hidden', 'true');
  else byId('filters').removeAttribute('aria-hidden');
  if (state.jobs.length === 0) {
    fill(byId('history'), empty());
    return;
  }
  const jobs = filtered();
  if (jobs.length === 0) {
    fill(
      byId('history'),
      h(
        'section',
        { class: 'card blank' },
        icon('history'),
        h('h2', {}, texts.history.nothing),
        h(
          'div',
          { class: 'actions' },
          button(texts.history.showAll, () => {
            for (const id of FILTERS) byId(id).value = '';
            rememberedFilter.write(null);
            show();
            byId('filter-type').focus();
          }),
        ),
      ),
    );
    return;
  }
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
        tableHead([texts.history.type, texts.history.date, texts.history.summary, h('span', { class: 'visually-hidden' }, texts.history.actions)]),
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

/** Updates the progress of running jobs; when one ends, reloads the list. */
function followProgress() {
  clearTimeout(state.progress);
  /** @type {NodeListOf<HTMLElement>} */
  const places = document.querySelectorAll('[data-running]');
  if (places.length === 0) return;
  state.progress = setTimeout(async () => {
    let over = false;
    for (const place of places) {
      try {
        const job = await get(`jobs/${encodeURIComponent(place.dataset.running ?? '')}`, { background: true });
        over ||= ended(job);
        showProgress(place, job);
      } catch {
        // The next reload of the list shows the error.
      }
    }
    if (over) load({ background: true });
    else followProgress();
  }, PROGRESS_MS);
}

/**
 * @param {HTMLElement} place
 * @param {JobView} job
 */
function showProgress(place, job) {
  const { percent, figures } = progressView(job);
  const known = Number.isFinite(percent);
  const bar = h('span');
  bar.style.width = known ? `${percent}%` : '';
  const track = {
    class: known ? 'bar' : 'bar unknown',
    role: 'progressbar',
    'aria-label': texts.job.progressLabel({ name: typeText(job) }),
    'aria-valuemin': 0,
    'aria-valuemax': 100,
  };
  const words = [...figures, job.details].filter(Boolean);
  fill(place, h('div', { ...track, 'aria-valuenow': known ? percent : null }, bar), words.length > 0 && h('p', { class: 'help' }, words.join(', ')));
}

/**
 * Writes the settings of a job into the form of its page and opens that page.
 * @param {HistoryEntry} job
 */
async function useSettings(job) {
  const { settings } = await get(`jobs/${encodeURIComponent(job.id)}`);
  if (!settings) throw new Error(texts.history.noSettings);
  const page = isImport(job) ? 'import' : 'export';
  if (page === 'import') forms.import.write(importDraft(settings));
  else forms.export.write(toDraft(settings));
  // The result of an earlier job above the form would look like that of these settings.
  sessionStore(page === 'import' ? 'import' : 'export-job').write(null);
  arrivals.write({ page, kind: 'settings', date: job.date, upsert: settings.upsert === true });
  location.assign(`${config.basePath}${page}${location.search}`);
}

/** @param {HistoryEntry} job */
function row(job) {
  /**
   * @param {string} label
   * @param {Properties} properties
   * @param {Child[]} children
   */
  const cell = (label, properties, ...children) => h('td', { role: 'cell', 'data-label': label, ...properties }, ...children);
  return h(
    'tr',
    { role: 'row' },
    cell(
      texts.history.type,
      {},
      h('div', {}, h('strong', {}, typeText(job)), h('span', { class: 'where' }, [job.connection, job.format?.toUpperCase()].filter(Boolean).join(' · '))),
    ),
    cell(texts.history.date, {}, h('div', {}, time(job.date), job.by && h('span', { class: 'where', title: job.by }, texts.history.byWhom({ name: job.by })))),
    cell(
      texts.history.summary,
      {},
      h(
        'div',
        {},
        statusBadge(job),
        ended(job)
          ? h('span', { class: 'where' }, job.error?.message && job.status === 'failed' ? job.error.message : summaryText(job))
          : h('div', { class: 'progress', 'data-running': job.id }),
      ),
    ),
    cell('', { class: 'tight' }, h('div', { class: 'row-actions' }, actions(job))),
  );
}

/** @param {HistoryEntry} job */
function actions(job) {
  /**
   * @param {string} label
   * @param {() => unknown} work
   */
  const act = (label, work, kind = 'small') => {
    const push = button(
      label,
      () =>
        withBusy(push, async () => {
          fill(byId('history-error'));
          try {
            await work();
          } catch (error) {
            fill(byId('history-error'), errorNotice(error));
          }
        }),
      { kind, 'aria-label': texts.history.actionOf({ action: label, type: typeText(job), date: dateText(job.date) }) },
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
    !isImport(job) &&
      job.status === 'completed' &&
      act(texts.history.download, async () => {
        const { location } = await get(`jobs/${id}`);
        if (location) download(location);
        else fill(byId('history-error'), notice('warning', h('p', {}, texts.export.nothingToDownload)));
      }),
    isImport(job) &&
      !job.dry_run &&
      ['failed', 'canceled'].includes(job.status) &&
      act(texts.history.resume, async () => {
        await post(`jobs/${id}/resume`);
        await load({ asked: true });
      }),
    ended(job) && act(texts.history.again, () => useSettings(job), 'small quiet'),
    act(failedRows ? texts.history.report : texts.history.details, async () => details(await get(`jobs/${id}`), job), 'small quiet'),
  ];
}

/** @typedef {(name: string, value: Child) => Child} Fact */

/**
 * Shows the details of a job. `entry` is its entry in the history, which has the date.
 * @param {JobView} job
 * @param {HistoryEntry} entry
 */
function details(job, entry) {
  const dialog = byId('details');
  const close = () => dialog.close();
  /** @type {Fact} */
  const fact = (name, value) => value && [h('dt', {}, name), h('dd', {}, value)];
  const dryRun = entry.dry_run === true;
  fill(
    dialog,
    h('div', { class: 'dialog-head' }, h('h2', { id: 'details-title' }, typeText(entry)), iconButton('remove', texts.history.close, close)),
    h(
      'dl',
      { class: 'facts' },
      fact(texts.history.status, statusBadge(job)),
      fact(texts.history.date, time(entry.date)),
      fact(texts.history.by, entry.by),
      fact(texts.history.summary, summaryText({ ...entry, summary: job.summary ?? entry.summary })),
      fact(texts.history.connection, entry.connection),
      fact(texts.history.format, entry.format?.toUpperCase()),
      settingFacts(job, fact),
      fact(texts.history.id, h('code', {}, job.id)),
    ),
    job.details && notice('info', h('p', {}, job.details)),
    job.error && notice('error', errorText(job.error)),
    isImport(job) && ended(job) && importResult(job, { dryRun }),
    !isImport(job) &&
      faults(job) > 0 &&
      notice(
        'warning',
        (job.summary?.first_faults ?? []).map((text) => h('p', {}, text)),
      ),
  );
  dialog.showModal();
}

/**
 * The settings of a job as facts.
 * @param {JobView} job
 * @param {Fact} fact
 */
function settingFacts(job, fact) {
  const settings = job.settings ?? {};
  if (isImport(job))
    return fact(
      texts.history.options,
      [settings.upsert && texts.history.upsert, settings.backup && texts.history.backup, settings.send_completion_email && texts.history.email]
        .filter(Boolean)
        .join(', '),
    );
  const fields = Array.isArray(settings.fields) ? settings.fields : [];
  return [
    fact(texts.history.search, settings.query && h('code', {}, settings.query)),
    fact(
      texts.history.columns,
      fields.length > 0 &&
        h(
          'ul',
          {},
          fields.map(({ name, export_as }) => h('li', {}, export_as ?? name, ' ', h('code', {}, name))),
        ),
    ),
    fact(
      texts.history.sorted,
      settings.sort && [h('code', {}, settings.sort.by), settings.sort.descending ? ` ${texts.history.descending}` : ''].map((part) => h('span', {}, part)),
    ),
    fact(texts.history.preset, settings.preset === 'import' && texts.presets.importReady),
  ];
}
