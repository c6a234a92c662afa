// Follows a job: asks for its state, shows progress, rate and time left, lets it be canceled.

import { follow as openLink, get, post } from './api.js';
import { announce, busily, button, fill, h, icon } from './dom.js';
import { duration, number, rate } from './format.js';
import { errorNotice, errorText, notice } from './page.js';
import { texts } from './texts.js';

const FIRST_DELAY_MS = 1000;
const LAST_DELAY_MS = 5000;
/** Parts of an import that are drawn one by one. */
const MOST_PIECES = 60;

/** Whether a job has come to an end. */
export const ended = (job) => !['pending', 'processing'].includes(job.status);

/** Faults of an export, failed rows of an import. */
export const faults = (job) => job.summary?.failed || job.summary?.faults || 0;

/** Whether the job brings users in. */
export const isImport = (job) => String(job.type).includes('import');

/** The status of a job in words, with its colour and icon. */
export function statusBadge(job) {
  const count = faults(job);
  const kinds = {
    pending: ['idle', 'wait'],
    processing: ['busy', 'wait'],
    completed: count > 0 ? ['warning', 'warning'] : ['ok', 'ok'],
    failed: ['error', 'error'],
    canceled: ['idle', 'stop'],
    expired: ['idle', 'wait'],
  };
  const [kind, symbol] = kinds[job.status] ?? ['idle', 'wait'];
  return h('span', { class: `status ${kind}` }, icon(symbol), statusText(job));
}

/** The status of a job in words. */
export function statusText(job) {
  const count = faults(job);
  if (job.status === 'completed' && count > 0) {
    return isImport(job) && !job.dry_run ? texts.job.completedWithFailures(number(count)) : texts.job.completedWithFaults(count, number(count));
  }
  return texts.job.status[job.status] ?? job.status;
}

/** The newest job of a type (`import` or `export`) that runs; null when none does, or nobody knows. */
export async function jobThatRuns(type) {
  try {
    const { jobs } = await get('history');
    return jobs.findLast((job) => job.type === type && !ended(job)) ?? null;
  } catch {
    // The history says so itself.
    return null;
  }
}

/** A button that downloads the file of an export. What goes wrong is said in `place`. */
export function downloadButton(id, place) {
  const push = button(texts.export.download, () => busily(push, async () => {
    fill(place);
    try {
      // The link is good for a minute only: it is read when it is needed.
      const job = await get(`jobs/${encodeURIComponent(id)}`);
      if (job.location) openLink(job.location);
      else fill(place, notice('warning', h('p', {}, texts.export.nothingToDownload)));
    } catch (error) {
      fill(place, errorNotice(error));
    }
  }), { kind: 'primary' });
  return push;
}

const pause = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });

/**
 * Asks for a job until it ends, each second at first, every five later. A lost connection is told to
 * `lost` and asking goes on, since the job does.
 */
export async function follow(id, { onUpdate, onLost = () => {}, signal }) {
  let delay = FIRST_DELAY_MS;
  for (;;) {
    try {
      const job = await get(`jobs/${encodeURIComponent(id)}`, { signal, background: true });
      onUpdate(job);
      if (ended(job)) return job;
    } catch (error) {
      const passing = error.code === 'network' || error.status === 429 || error.status >= 500;
      if (!passing) throw error;
      onLost(error);
    }
    await pause(delay, signal);
    delay = Math.min(delay * 1.15, LAST_DELAY_MS);
  }
}

/** A section of the page that shows one job from its upload to its end. */
export class JobPanel {
  constructor(name) {
    this.name = name;
    this.bar = h('span');
    this.track = h(
      'div',
      { class: 'bar unknown', role: 'progressbar', 'aria-label': texts.job.progressLabel(name), 'aria-valuemin': 0, 'aria-valuemax': 100 },
      this.bar,
    );
    this.title = h('h2', { tabindex: -1 }, name);
    this.badge = h('div');
    this.figures = h('p', { class: 'figures' });
    this.parts = h('div', { class: 'parts', hidden: true });
    this.note = h('div');
    this.actions = h('div', { class: 'actions' });
    this.result = h('div');
    this.element = h(
      'section',
      { class: 'card job', 'aria-label': name },
      h('div', { class: 'job-head' }, this.title, this.badge),
      this.track,
      this.figures,
      this.parts,
      this.note,
      this.result,
      this.actions,
    );
    this.announced = 0;
  }

  /** Takes the focus from a button that has just been used up. */
  focus() {
    this.title.focus({ preventScroll: true });
  }

  /** The bar at a percentage, or moving to and fro when that is not known. */
  setPercent(percent) {
    const known = Number.isFinite(percent);
    this.track.classList.toggle('unknown', !known);
    this.bar.style.width = known ? `${Math.min(Math.max(percent, 0), 100)}%` : '';
    if (known) this.track.setAttribute('aria-valuenow', String(Math.round(percent)));
    else this.track.removeAttribute('aria-valuenow');
    if (known && percent < 100 && percent - this.announced >= 25) {
      this.announced = Math.floor(percent / 25) * 25;
      announce(texts.job.announceProgress(this.name, this.announced));
    }
  }

  /** Figures under the bar; empty ones are left out. */
  setFigures(...figures) {
    fill(this.figures, figures.filter(Boolean).map((figure) => h('span', {}, figure)));
  }

  /** Offers to cancel. `cancel` may return a promise; the button waits for it. */
  offerCancel(cancel) {
    const push = button(texts.job.cancel, () => busily(push, async () => {
      fill(push, texts.job.canceling);
      try {
        await cancel();
      } catch (error) {
        fill(push, texts.job.cancel);
        fill(this.note, errorNotice(error));
      }
    }));
    fill(this.actions, push);
  }

  /** Shows a job that still runs. */
  update(job) {
    fill(this.badge, statusBadge(job));
    // Written only when it changes, so that it is announced once.
    if (this.note.textContent !== (job.details ?? '') || this.note.dataset.lost) fill(this.note, job.details && notice('info', h('p', {}, job.details)));
    delete this.note.dataset.lost;
    const processed = job.processed ?? 0;
    const total = Number.isFinite(job.total) ? job.total : null;
    const working = job.status === 'processing' && (processed > 0 || job.percentage_done > 0);
    this.setPercent(working ? (job.percentage_done ?? NaN) : NaN);
    this.showParts(job.parts);
    this.setFigures(
      job.status === 'pending' && texts.job.waiting,
      job.status !== 'pending' && total !== null && total > 0
        ? texts.job.progress(number(processed), number(total))
        : processed > 0 && texts.job.processed(number(processed)),
      job.rate > 0 && texts.job.rate(rate(job.rate)),
      Number.isFinite(job.time_left_seconds) && texts.job.timeLeft(duration(job.time_left_seconds)),
    );
  }

  /** Shows the parts of an import: each is a job of its own at Auth0. */
  showParts(parts) {
    this.parts.hidden = !parts || parts.total < 2;
    if (this.parts.hidden) return;
    const { total, done, failed, sent } = parts;
    const bar = h('div', { class: 'part-bar', 'aria-hidden': 'true' });
    for (const [kind, count] of [['done', done], ['failed', failed], ['sent', sent], ['waiting', total - done - failed - sent]]) {
      // Many parts are drawn as one piece: nobody counts them.
      const pieces = total <= MOST_PIECES ? count : Math.min(count, 1);
      for (let piece = 0; piece < pieces; piece += 1) {
        const segment = h('span', { class: kind });
        segment.style.flex = `${count / pieces} 0 0`;
        bar.append(segment);
      }
    }
    fill(this.parts, bar, h('p', { class: 'help' }, texts.job.parts(number(done + failed), number(total), sent, failed && number(failed))));
  }

  /** Shows that a job has ended; what it came to is shown by the caller in `result`. */
  finish(job, name = this.name) {
    if (this.actions.contains(document.activeElement)) this.focus();
    fill(this.title, name);
    this.element.setAttribute('aria-label', name);
    fill(this.badge, statusBadge(job));
    this.track.hidden = true;
    this.parts.hidden = true;
    this.setFigures();
    fill(this.actions);
    fill(this.note, job.status === 'failed' && notice('error', job.error ? errorText(job.error) : h('p', {}, texts.job.failedTitle)));
    announce(texts.job.announceEnd(name, statusText(job)));
  }

  /** Shows that following the job is not possible. */
  fail(error) {
    if (this.actions.contains(document.activeElement)) this.focus();
    this.track.hidden = true;
    this.parts.hidden = true;
    fill(this.badge);
    this.setFigures();
    fill(this.actions);
    fill(this.note, errorNotice(error));
  }

  /** Follows a job to its end, or throws why that is not possible. */
  async follow(id, signal) {
    this.offerCancel(async () => {
      const job = await post(`jobs/${encodeURIComponent(id)}/cancel`);
      if (!ended(job)) fill(this.badge, h('span', { class: 'status idle' }, icon('stop'), texts.job.canceling));
    });
    return follow(id, {
      signal,
      onUpdate: (job) => this.update(job),
      onLost: (error) => {
        if (this.note.dataset.lost === error.message) return;
        this.note.dataset.lost = error.message;
        fill(this.note, notice('warning', h('p', {}, texts.errors.connectionLost), error.code !== 'network' && h('p', { class: 'fine' }, error.message)));
      },
    });
  }
}
