// The card of a transform: its documentation, its versions, and a field that tries it on users of the tenant.

import { isAbort, post } from './api.js';
import { withSuggestions } from './completion.js';
import { button, fill, h, tableHead } from './dom.js';
import { binarySize, size, time } from './format.js';
import { errorText, notice } from './page.js';
import { cellContent } from './preview.js';
import { exampleCall, signature, suggestExpression } from './suggest.js';
import { labelOf, texts } from './texts.js';
import { paragraphsOf, secretBinding } from './transforms-state.js';

const TRIED_ROWS = 5;
const TRY_DELAY_MS = 500;

/**
 * @typedef {import('./transforms-state.js').Described} Described
 * @typedef {import('./transforms-state.js').Limits} Limits
 * @typedef {Transform['versions'][number]} Version
 */

/**
 * What the buttons of a card do. `note` is a place for messages below the card.
 * @typedef {object} CardActions
 * @property {(transform: Transform) => void} use
 * @property {(name: string, version: Version, note: HTMLElement) => void} makeActive
 * @property {(name: string, note: HTMLElement, version?: Version) => void} remove
 */

/**
 * The card of a transform of the catalog.
 * @param {Transform} transform
 * @param {Limits | null} limits
 * @param {CardActions} actions
 */
export function transformCard(transform, limits, actions) {
  const note = h('div');
  const binding = secretBinding(transform);
  const own = transform.origin === 'upload';
  const result = labelOf(texts.transforms.types, transform.output);
  return h(
    'article',
    {
      class: 'card transform',
      'aria-label': transform.name,
    },
    h(
      'div',
      { class: 'card-head' },
      h('h3', {}, h('code', {}, signature(transform)), ' ', h('span', { class: 'soft' }, transform.version)),
      h(
        'div',
        { class: 'actions' },
        h('span', { class: 'kind', 'data-kind': own ? 'transform' : '' }, labelOf(texts.transforms.origins, transform.origin)),
        own &&
          button(texts.transforms.delete, () => actions.remove(transform.name, note), {
            kind: 'small quiet',
            'aria-label': texts.transforms.deleteOf({ name: transform.name }),
          }),
        button(texts.transforms.use, () => actions.use(transform), { kind: 'small', 'aria-label': texts.transforms.useOf({ name: transform.name }) }),
      ),
    ),
    h('p', {}, inline(transform.summary)),
    h(
      'div',
      { class: 'toggles' },
      h(
        'details',
        { class: 'more' },
        h('summary', { 'aria-label': texts.transforms.moreAbout({ name: transform.name }) }, texts.transforms.more),
        documentation(transform),
        h(
          'dl',
          { class: 'facts' },
          h('dt', {}, texts.transforms.gives),
          h('dd', {}, result),
          Number.isFinite(transform.size) && [h('dt', {}, texts.transforms.size), h('dd', {}, size(transform.size))],
          limits && [h('dt', {}, texts.transforms.limits), h('dd', {}, limitText(limits))],
          h('dt', {}, 'SHA-256'),
          h('dd', {}, h('code', {}, transform.sha256)),
          binding && [h('dt', {}, texts.transforms.secretsTitle), h('dd', {}, texts.transforms.secretsHint({ binding }))],
        ),
        versionTable(transform, note, actions),
      ),
      tryOut(transform),
    ),
    note,
  );
}

/** @param {Limits} limits */
export const limitText = ({ memory: bytes, time_ms: time, result }) => texts.transforms.limit({ memory: binarySize(bytes), time, result: binarySize(result) });

/**
 * The documentation, the parameters and the examples of a transform. Markdown other than `code` is shown as plain text.
 * @param {Described} transform
 */
export const documentation = (transform) => [
  paragraphsOf(transform).map((part) => h('p', { class: 'documentation' }, inline(part))),
  parameterTable(transform),
  exampleList(transform),
];

/**
 * Text with `code` in it.
 * @param {string} text
 */
export const inline = (text) => text.split(/`([^`]+)`/).map((piece, index) => (index % 2 === 1 ? h('code', {}, piece) : piece));

/** @param {Described} transform */
function parameterTable({ parameters = [] }) {
  if (parameters.length === 0) return null;
  const head = [texts.transforms.parameter, texts.transforms.type, texts.transforms.meaning];
  return h(
    'table',
    { class: 'table stack', role: 'table' },
    tableHead(head),
    h(
      'tbody',
      { role: 'rowgroup' },
      parameters.map((parameter) => {
        /**
         * @param {string} label
         * @param {Child[]} children
         */
        const cell = (label, ...children) => h('td', { role: 'cell', 'data-label': label }, h('div', {}, ...children));
        const remarks = [parameter.optional && texts.transforms.optional, parameter.secret && texts.transforms.secret].filter(Boolean);
        return h(
          'tr',
          { role: 'row' },
          cell(head[0], h('code', {}, parameter.name)),
          cell(head[1], [labelOf(texts.transforms.types, parameter.type), ...remarks].join(', ')),
          cell(head[2], parameter.description),
        );
      }),
    ),
  );
}

/**
 * The versions of an uploaded transform: when and by whom each was uploaded, and which is active.
 * @param {Transform} transform
 * @param {HTMLElement} note
 * @param {CardActions} actions
 */
function versionTable({ name, versions = [] }, note, actions) {
  if (versions.length < 2) return null;
  const head = [texts.transforms.version, 'SHA-256', texts.transforms.uploaded, ''];
  return [
    h('h4', {}, texts.transforms.versions),
    h(
      'table',
      { class: 'table stack', role: 'table' },
      tableHead(head),
      h(
        'tbody',
        { role: 'rowgroup' },
        versions.map((version) => {
          /**
           * @param {string} label
           * @param {Child[]} children
           */
          const cell = (label, ...children) => h('td', { role: 'cell', 'data-label': label }, h('div', {}, ...children));
          const short = version.sha256.slice(0, 12);
          return h(
            'tr',
            { role: 'row' },
            cell(head[0], version.version),
            cell(head[1], h('code', { title: version.sha256 }, `${short}…`)),
            cell(head[2], version.uploaded_at && time(version.uploaded_at), version.uploaded_by && ` ${version.uploaded_by}`),
            cell(
              head[3],
              version.active
                ? texts.transforms.active
                : h(
                    'div',
                    { class: 'actions' },
                    button(texts.transforms.makeActive, () => actions.makeActive(name, version, note), {
                      kind: 'small',
                      'aria-label': texts.transforms.makeActiveOf({ version: version.version, sha256: short }),
                    }),
                    button(texts.transforms.delete, () => actions.remove(name, note, version), {
                      kind: 'small quiet',
                      'aria-label': texts.transforms.deleteVersionOf({ version: version.version, sha256: short }),
                    }),
                  ),
            ),
          );
        }),
      ),
    ),
  ];
}

/** @param {Described} transform */
function exampleList({ examples = [] }) {
  if (examples.length === 0) return null;
  return [
    h('h4', {}, texts.transforms.examples),
    h(
      'ul',
      { class: 'example-calls' },
      examples.map(({ call, gives }) =>
        h(
          'li',
          {},
          h('code', {}, call),
          h('span', { class: 'soft' }, ` ${texts.transforms.becomes} `),
          gives === null ? h('em', {}, texts.transforms.nothingGiven) : h('code', {}, typeof gives === 'string' ? gives : JSON.stringify(gives)),
        ),
      ),
    ),
  ];
}

/**
 * Evaluates an expression for the first users while it is typed; shows each result with the user's e-mail address.
 * @param {Transform} transform
 */
function tryOut(transform) {
  const place = h('div', { role: 'status' });
  const expression = h('input', {
    type: 'text',
    class: 'code',
    'aria-label': texts.transforms.expressionOf({ name: transform.name }),
    autocomplete: 'off',
    autocapitalize: 'off',
    spellcheck: 'false',
  });
  expression.value = exampleCall(transform);
  /** @type {Timer} */
  let timer = 0;
  /** @type {AbortController | null} */
  let running = null;
  let asked = '';
  /** @param {number} delay */
  const soon = (delay) => {
    clearTimeout(timer);
    timer = setTimeout(run, delay);
  };
  expression.addEventListener('input', () => soon(TRY_DELAY_MS));
  expression.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') soon(0);
  });

  async function run() {
    const text = expression.value.trim();
    if (!text || text === asked) return;
    asked = text;
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    place.setAttribute('aria-busy', 'true');
    try {
      /** @type {ExportRequest} */
      const request = {
        format: 'csv',
        limit: TRIED_ROWS,
        fields: [
          { name: 'user.email || user.user_id', export_as: 'user' },
          { name: text, export_as: 'result' },
        ],
      };
      const answer = await post('preview', request, { signal });
      if (!signal.aborted) fill(place, results(answer.rows ?? []));
    } catch (error) {
      if (signal.aborted || isAbort(error)) return;
      asked = '';
      fill(place, notice('error', errorText(error)));
    } finally {
      if (!signal.aborted) place.removeAttribute('aria-busy');
    }
  }

  /** @type {HTMLDetailsElement} */
  const details = h(
    'details',
    { class: 'more', on: { toggle: () => details.open && soon(0) } },
    h('summary', { 'aria-label': texts.transforms.tryOutOf({ name: transform.name }) }, texts.transforms.tryOut),
    withSuggestions(expression, suggestExpression),
    place,
  );
  return details;
}

/**
 * The value of a cell; `undefined` if it has none.
 * @param {Preview['rows'][number][number] | undefined} cell
 */
const cellValue = (cell) => (cell && 'value' in cell ? cell.value : undefined);

/** @param {Preview['rows']} rows */
function results(rows) {
  if (rows.length === 0) return h('p', { class: 'help' }, texts.preview.noUsers);
  return h(
    'table',
    { class: 'table tried' },
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, texts.report.user), h('th', { scope: 'col' }, texts.transforms.result))),
    h(
      'tbody',
      {},
      rows.map(([user, result]) =>
        h(
          'tr',
          {},
          h('td', {}, cellContent(cellValue(user))),
          result && 'error' in result ? h('td', { class: 'fault' }, texts.preview.error, result.error) : h('td', {}, cellContent(cellValue(result))),
        ),
      ),
    ),
  );
}
