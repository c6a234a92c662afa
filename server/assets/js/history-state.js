// The state of the History page and what follows from it: pure functions.

import { ended, faults, isImport, outcomeOf } from './job-view.js';
import { texts } from './texts.js';

/**
 * The state: all jobs, the response that they came with, and the timers of the next reload and the next update of
 * progress.
 * @typedef {{ jobs: HistoryEntry[], shown: string, reload: Timer, progress: Timer }} HistoryState
 */

/** @returns {HistoryState} */
export const initialState = () => ({ jobs: [], shown: '', reload: 0, progress: 0 });

/** @param {HistoryEntry | JobView} job */
export const kindOf = (job) => (!isImport(job) ? 'export' : job.dry_run ? 'check' : 'import');

/** @param {HistoryEntry | JobView} job */
export const typeText = (job) => texts.history.kinds[kindOf(job)];

/**
 * The jobs that match the filters; an empty filter matches all.
 * @param {HistoryEntry[]} jobs
 * @param {{ type: string, status: string, by: string }} filters
 */
export function filteredJobs(jobs, { type, status, by }) {
  return jobs.filter((job) => {
    if (type && kindOf(job) !== type) return false;
    if (by && job.by !== by) return false;
    return !status || (status === 'running' ? !ended(job) : outcomeOf(job) === status);
  });
}

/**
 * The users who started a job, in alphabetical order.
 * @param {HistoryEntry[]} jobs
 */
export const starters = (jobs) => [...new Set(jobs.map(({ by }) => by).filter(Boolean))].sort((a, b) => a.localeCompare(b));

/**
 * The result of a job in words; empty while it is not known.
 * @param {HistoryEntry} job
 */
export function summaryText(job) {
  const summary = job.summary ?? {};
  if (isImport(job)) {
    if (!Number.isFinite(summary.total)) return '';
    const { inserted = 0, updated = 0, failed = 0 } = summary;
    const parts = job.dry_run
      ? [texts.history.canImport({ count: summary.total - failed }), failed > 0 && texts.history.withErrors({ count: failed })]
      : [
          inserted > 0 && texts.history.inserted({ count: inserted }),
          updated > 0 && texts.history.updated({ count: updated }),
          failed > 0 && texts.history.failed({ count: failed }),
        ];
    return parts.filter(Boolean).join(', ') || texts.history.noUsers;
  }
  if (!Number.isFinite(summary.rows)) return '';
  const users = summary.rows > 0 ? texts.history.exported({ count: summary.rows }) : texts.history.noUsers;
  const count = faults(job);
  return count > 0 ? `${users}, ${texts.history.faults({ count })}` : users;
}

/**
 * The settings of an import as the draft of the Import page. Options that change existing users are not part of it.
 * @param {JobSettings} settings
 * @returns {ImportDraft}
 */
export const importDraft = (settings) => ({
  connection: settings.connection_id ?? '',
  email: settings.send_completion_email === true,
  keepPrefix: settings.keep_id_prefix === true,
  dropReadOnly: settings.drop_read_only === true,
  dropEmpty: settings.drop_empty === true,
  dropUnknown: settings.drop_unknown === true,
  source: settings.source ?? '',
  encoding: settings.encoding ?? '',
  nullTexts: (settings.null ?? []).join(', '),
  query: settings.query ?? '',
  map: Array.isArray(settings.map) ? Object.fromEntries(settings.map.map(({ attribute, expression }) => [attribute, expression])) : settings.map,
});
