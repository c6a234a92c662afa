// The preview of an export: the plan and the first rows, updated while the form is edited.

import { isAbort, post, toApiError } from './api.js';
import { byId, fill, h, icon } from './dom.js';
import { duration } from './format.js';
import { errorNotice, errorText, notice } from './page.js';
import { labelOf, texts } from './texts.js';

const DELAY_MS = 600;
const ROWS = 10;

/**
 * The preview. `onAnswer` gets the response (`columns` as `{name, kind}`, `plan`). `onRejected` gets an error of the
 * request and returns whether it has shown it at a field.
 * @param {{ onAnswer: (answer: Preview) => void, onRejected: (error: import('./api.js').ApiError) => boolean }} callbacks
 */
export function preview({ onAnswer, onRejected }) {
  const section = byId('preview');
  const place = byId('preview-rows');
  const plan = byId('preview-plan');
  /** @type {Timer} */
  let timer = 0;
  /** @type {AbortController | null} */
  let running = null;
  let last = '';

  /** @param {ExportRequest} request */
  async function show(request) {
    running = new AbortController();
    const { signal } = running;
    section.setAttribute('aria-busy', 'true');
    try {
      const answer = await post('preview', request, { signal });
      if (signal.aborted) return;
      const columns = Array.isArray(answer.columns) ? answer.columns : [];
      onAnswer(answer);
      fill(plan, planWords(answer.plan));
      fill(place, table(columns, Array.isArray(answer.rows) ? answer.rows : [], Boolean(answer.plan?.sorted)));
    } catch (failure) {
      if (signal.aborted || isAbort(failure)) return;
      const error = toApiError(failure);
      last = '';
      fill(plan);
      const shownAtField = error.status === 400 && onRejected(error);
      fill(
        place,
        shownAtField ? notice('warning', h('p', {}, texts.preview.waiting), errorText(error)) : errorNotice(error, () => ask(request, { now: true })),
      );
    } finally {
      if (!signal.aborted) section.removeAttribute('aria-busy');
    }
  }

  /**
   * @param {ExportRequest} request
   * @param {Timing} [timing]
   */
  function ask(request, { now = false } = {}) {
    const limited = { ...request, limit: Math.min(request.limit ?? ROWS, ROWS) };
    const state = JSON.stringify(limited);
    if (state === last) return;
    last = state;
    clearTimeout(timer);
    running?.abort();
    section.setAttribute('aria-busy', 'true');
    timer = setTimeout(() => show(limited), now ? 0 : DELAY_MS);
  }

  return { ask };
}

/**
 * The plan of the export: a summary and its steps.
 * @param {Preview['plan'] | null | undefined} plan
 */
function planWords(plan) {
  if (!plan) return null;
  const { source, users, capped = false, filtered, sorted, requests, before, lines = [] } = plan;
  const read = Number.isFinite(users) ? (capped ? texts.plan.usersOrMore({ count: users }) : texts.plan.users({ count: users })) : texts.plan.allUsers;
  const parts = [
    Object.hasOwn(texts.plan.source, source) ? texts.plan.source[source]({ users: read }) : read,
    // `filtered` is absent if every user that is read is exported.
    filtered && texts.plan.filtered[filtered],
    sorted && texts.plan.sorted,
  ].filter(Boolean);
  return h(
    'div',
    { class: 'plan' },
    icon('plan'),
    h(
      'div',
      {},
      h('p', {}, `${parts.join('; ')}.`, Number.isFinite(requests) && h('span', { class: 'soft' }, ` ${texts.plan.requests({ count: requests })}.`)),
      before && h('p', {}, texts.plan.before({ count: before.users, took: duration(before.seconds) })),
      lines.length > 0 &&
        h(
          'details',
          { class: 'more' },
          h('summary', {}, texts.plan.details),
          h(
            'dl',
            { class: 'facts' },
            lines.map(({ title, text }) => [h('dt', {}, title), h('dd', {}, text)]),
          ),
        ),
    ),
  );
}

/**
 * @param {Preview['columns']} columns
 * @param {Preview['rows']} rows
 * @param {boolean} sorted whether the file is sorted; the preview never is
 */
function table(columns, rows, sorted) {
  if (rows.length === 0) return h('p', { class: 'empty' }, texts.preview.noUsers);
  let faults = 0;
  const body = rows.map((row) =>
    h(
      'tr',
      {},
      row.map((cell) => {
        if (cell && 'error' in cell) {
          faults += 1;
          return h('td', { class: 'fault' }, h('span', { class: 'visually-hidden' }, texts.preview.error), cell.error);
        }
        return h('td', {}, cellContent(cell?.value));
      }),
    ),
  );
  return [
    h(
      'p',
      { class: 'help', role: 'status' },
      texts.preview.rows({ count: rows.length }),
      sorted && ` ${texts.preview.unsorted}`,
      faults > 0 && ` ${texts.preview.faults({ count: faults })}`,
    ),
    h(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': texts.preview.table },
      h(
        'table',
        { class: 'table preview-table' },
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            columns.map(({ name, kind }) =>
              h(
                'th',
                { scope: 'col' },
                name,
                ' ',
                kind && kind !== 'path' && h('span', { class: 'kind', 'data-kind': kind }, labelOf(texts.export.kinds, kind)),
              ),
            ),
          ),
        ),
        h('tbody', {}, body),
      ),
    ),
  ];
}

/**
 * The content of a table cell for a value.
 * @param {unknown} value
 */
export function cellContent(value) {
  if (value === null || value === undefined || value === '')
    return h('span', { class: 'soft' }, h('span', { 'aria-hidden': 'true' }, '–'), h('span', { class: 'visually-hidden' }, texts.preview.empty));
  if (typeof value === 'object') return h('code', {}, JSON.stringify(value));
  return String(value);
}
