// What is shown of a job: pure functions of its state, used by the job panel and the history.

import { duration, rate } from './format.js';
import { labelOf, texts } from './texts.js';

/**
 * Whether a job has ended.
 * @param {{ status: string }} job
 */
export const ended = (job) => !['pending', 'processing'].includes(job.status);

/**
 * The number of failed cells of an export or failed rows of an import.
 * @param {{ summary?: JobSummary | null }} job
 */
export const faults = (job) => job.summary?.failed || job.summary?.faults || 0;

/**
 * Whether the job is an import or a check.
 * @param {{ type?: string }} job
 */
export const isImport = (job) => String(job.type).includes('import');

/**
 * Whether a completed import has imported no user because every row failed.
 * @param {ShownJob} job
 */
const importedNothing = (job) =>
  job.status === 'completed' && isImport(job) && !job.dry_run && faults(job) > 0 && !job.summary?.inserted && !job.summary?.updated;

/**
 * The outcome of a job: its status, except that `faults` is completed with errors, and that an import whose rows have
 * all failed is `failed`.
 * @param {ShownJob} job
 */
export function outcomeOf(job) {
  if (importedNothing(job)) return 'failed';
  return job.status === 'completed' && faults(job) > 0 ? 'faults' : job.status;
}

/**
 * The status of a job in words.
 * @param {ShownJob} job
 */
export function statusText(job) {
  const count = faults(job);
  if (importedNothing(job)) return texts.job.allFailed;
  if (job.status === 'completed' && count > 0) {
    return isImport(job) && !job.dry_run ? texts.job.completedWithFailures({ count }) : texts.job.completedWithFaults({ count });
  }
  return labelOf(texts.job.status, job.status);
}

/** @type {{ [outcome: string]: [kind: string, icon: string] | undefined }} */
const BADGES = {
  pending: ['idle', 'wait'],
  processing: ['busy', 'wait'],
  completed: ['ok', 'ok'],
  faults: ['warning', 'warning'],
  failed: ['error', 'error'],
  canceled: ['idle', 'stop'],
  expired: ['idle', 'wait'],
};

/**
 * The kind and the icon of a status badge.
 * @param {ShownJob} job
 */
export const badgeOf = (job) => BADGES[outcomeOf(job)] ?? ['idle', 'wait'];

/**
 * Progress of a running job: the percentage of the bar, NaN if it is not known, and the figures below it. A job whose
 * number of users is not known has read its source before it has processed all users; its bar and its remaining time
 * are then not known. No running job is shown as complete.
 * @param {JobView} job
 */
export function progressView(job) {
  const processed = job.processed ?? 0;
  const percent = job.percentage_done ?? NaN;
  const total = Number.isFinite(job.total) && job.total > 0 ? job.total : null;
  const hasReadAll = total === null && percent >= 99;
  const started = job.status === 'processing' && (processed > 0 || percent > 0);
  const figures = [
    job.status === 'pending' && texts.job.waiting,
    job.status !== 'pending' && total !== null ? texts.job.progress({ processed, total }) : processed > 0 && texts.job.processed({ processed }),
    (job.rate ?? 0) > 0 && texts.job.rate({ rate: rate(job.rate ?? 0) }),
    Number.isFinite(job.time_left_seconds) && !hasReadAll && texts.job.timeLeft({ duration: duration(job.time_left_seconds) }),
  ].filter(Boolean);
  return { percent: started && !hasReadAll ? Math.min(percent, 99) : NaN, figures };
}
