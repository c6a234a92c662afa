// Follows a job: polls its state, shows progress, rate and time left, and can cancel it.

import { follow as openLink, get, post, toApiError } from './api.js';
import { announce, withBusy, button, fill, h, icon } from './dom.js';
import { number } from './format.js';
import { badgeOf, ended, progressView, statusText } from './job-view.js';
import { errorNotice, errorText, notice } from './page.js';
import { texts } from './texts.js';

const FIRST_DELAY_MS = 1000;
const LAST_DELAY_MS = 5000;
/** Up to this number of parts of an import are drawn one by one. */
const MAX_SEGMENTS = 60;

/**
 * The status of a job in words, with its color and icon.
 * @param {ShownJob} job
 */
export function statusBadge(job) {
  const [kind, symbol] = badgeOf(job);
  return h('span', { class: `status ${kind}` }, icon(symbol), h('span', {}, statusText(job)));
}

/**
 * The newest running job of a type (`import` or `export`); null if no job runs or the history cannot be read.
 * @param {'import' | 'export'} type
 */
export async function findRunningJob(type) {
  try {
    const { jobs } = await get('history');
    return jobs.findLast((job) => job.type === type && !ended(job)) ?? null;
  } catch {
    // The History page shows the error.
    return null;
  }
}

/**
 * A button that downloads the file of an export. Errors are shown in `place`.
 * @param {string} id
 * @param {HTMLElement} place
 */
export function downloadButton(id, place) {
  const push = button(
    texts.export.download,
    () =>
      withBusy(push, async () => {
        fill(place);
        try {
          // The link is valid for one minute only, so it is requested on click.
          const job = await get(`jobs/${encodeURIComponent(id)}`);
          if (job.location) openLink(job.location);
          else fill(place, notice('warning', h('p', {}, texts.export.nothingToDownload)));
        } catch (error) {
          fill(place, errorNotice(error));
        }
      }),
    { kind: 'primary' },
  );
  return push;
}

/**
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
const pause = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });

/**
 * Polls a job until it ends, every second at first, every five seconds later. Transient errors are passed to `onLost`
 * and polling continues, because the job runs on the server.
 * @param {string} id
 * @param {{ onUpdate: (job: JobView) => void, onLost?: (error: import('./api.js').ApiError) => void, signal?: AbortSignal }} options
 * @returns {Promise<JobView>}
 */
export async function follow(id, { onUpdate, onLost = () => {}, signal }) {
  let delay = FIRST_DELAY_MS;
  for (;;) {
    try {
      const job = await get(`jobs/${encodeURIComponent(id)}`, { signal, background: true });
      onUpdate(job);
      if (ended(job)) return job;
    } catch (failure) {
      const error = toApiError(failure);
      const isTransient = error.code === 'network' || error.status === 429 || error.status >= 500;
      if (!isTransient) throw failure;
      onLost(error);
    }
    await pause(delay, signal);
    delay = Math.min(delay * 1.15, LAST_DELAY_MS);
  }
}

/** A section of the page that shows one job from its upload to its end. */
export class JobPanel {
  /** @param {string} name */
  constructor(name) {
    this.name = name;
    this.bar = h('span');
    this.track = h(
      'div',
      { class: 'bar unknown', role: 'progressbar', 'aria-label': texts.job.progressLabel({ name }), 'aria-valuemin': 0, 'aria-valuemax': 100 },
      this.bar,
    );
    this.title = h('h2', { tabindex: -1 }, name);
    this.badge = h('div');
    this.tools = h('div', { class: 'job-tools' });
    this.figures = h('p', { class: 'figures' });
    this.parts = h('div', { class: 'parts', hidden: true });
    this.note = h('div');
    this.actions = h('div', { class: 'actions' });
    this.result = h('div');
    this.element = h(
      'section',
      { class: 'card job', 'aria-label': name },
      h('div', { class: 'job-head' }, this.title, this.badge, this.tools),
      this.track,
      this.figures,
      this.parts,
      this.note,
      this.result,
      this.actions,
    );
    this.announced = 0;
  }

  /** Moves the focus to the title, before the focused button is removed. */
  focus() {
    this.title.focus({ preventScroll: true });
  }

  /**
   * Sets the percentage of the bar; NaN shows an indeterminate bar.
   * @param {number} percent
   */
  setPercent(percent) {
    const known = Number.isFinite(percent);
    this.track.classList.toggle('unknown', !known);
    this.bar.style.width = known ? `${Math.min(Math.max(percent, 0), 100)}%` : '';
    if (known) this.track.setAttribute('aria-valuenow', String(Math.round(percent)));
    else this.track.removeAttribute('aria-valuenow');
    if (known && percent < 100 && percent - this.announced >= 25) {
      this.announced = Math.floor(percent / 25) * 25;
      announce(texts.job.announceProgress({ name: this.name, percent: this.announced }));
    }
  }

  /**
   * Shows figures under the bar; empty ones are skipped.
   * @param {Child[]} figures
   */
  setFigures(...figures) {
    fill(
      this.figures,
      figures.filter(Boolean).map((figure) => h('span', {}, figure)),
    );
  }

  /**
   * Offers to cancel. `cancel` may return a promise; the button waits for it.
   * @param {() => unknown} cancel
   */
  offerCancel(cancel) {
    const push = button(texts.job.cancel, () =>
      withBusy(push, async () => {
        fill(push, texts.job.canceling);
        try {
          await cancel();
        } catch (error) {
          fill(push, texts.job.cancel);
          fill(this.note, errorNotice(error));
        }
      }),
    );
    fill(this.actions, push);
  }

  /**
   * Offers to remove this section from the page, beside its title. `dismissed` is called then.
   * @param {() => void} dismissed
   */
  offerDismiss(dismissed) {
    const dismiss = () => {
      this.element.remove();
      dismissed();
    };
    fill(this.tools, button(texts.job.dismiss, dismiss, { kind: 'small' }));
  }

  /**
   * Shows the state of a running job.
   * @param {JobView} job
   */
  update(job) {
    fill(this.badge, statusBadge(job));
    // Written only when it changes, so that it is announced once.
    if (this.note.textContent !== (job.details ?? '') || this.note.dataset.lost) fill(this.note, job.details && notice('info', h('p', {}, job.details)));
    delete this.note.dataset.lost;
    const { percent, figures } = progressView(job);
    this.setPercent(percent);
    this.showParts(job.parts);
    this.setFigures(...figures);
  }

  /**
   * Shows the parts of an import. Each part is one Auth0 job.
   * @param {JobView['parts']} parts
   */
  showParts(parts) {
    this.parts.hidden = !parts || parts.total < 2;
    if (!parts || parts.total < 2) return;
    const { total, done, failed, sent } = parts;
    const bar = h('div', { class: 'part-bar', 'aria-hidden': 'true' });
    /** @type {[kind: string, count: number][]} */
    const states = [
      ['done', done],
      ['failed', failed],
      ['sent', sent],
      ['waiting', total - done - failed - sent],
    ];
    for (const [kind, count] of states) {
      // More parts than that are drawn as one segment per state.
      const pieces = total <= MAX_SEGMENTS ? count : Math.min(count, 1);
      for (let piece = 0; piece < pieces; piece += 1) {
        const segment = h('span', { class: kind });
        segment.style.flex = `${count / pieces} 0 0`;
        bar.append(segment);
      }
    }
    const words = [
      texts.job.parts({ done: done + failed, total }),
      sent > 0 && texts.job.partsSent({ count: sent }),
      failed > 0 && texts.job.partsRejected({ count: failed }),
    ];
    fill(this.parts, bar, h('p', { class: 'help' }, words.filter(Boolean).join(', ')));
  }

  /**
   * Shows that a job has ended. The caller shows its outcome in `result`.
   * @param {ShownJob} job
   * @param {string} [name]
   */
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
    announce(texts.job.announceEnd({ name, status: statusText(job) }));
  }

  /**
   * Shows that the job cannot be followed.
   * @param {unknown} error
   */
  fail(error) {
    if (this.actions.contains(document.activeElement)) this.focus();
    this.track.hidden = true;
    this.parts.hidden = true;
    fill(this.badge);
    this.setFigures();
    fill(this.actions);
    fill(this.note, errorNotice(error));
  }

  /**
   * Follows a job until it ends. Throws if that is not possible.
   * @param {string} id
   * @param {AbortSignal} [signal]
   */
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
