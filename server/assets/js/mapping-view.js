// The elements of the inspection of files: the table of columns, the validation of the rows, notices.

import { withSuggestions } from './completion.js';
import { button, fill, h, tableHead } from './dom.js';
import { suggestAttribute } from './mapping-state.js';
import { fieldError, notice } from './page.js';
import { cellContent } from './preview.js';
import { isFieldWarning } from './reading-state.js';
import { outcomeBar, reasonList } from './report.js';
import { config } from './session.js';
import { texts } from './texts.js';

/** Maximum number of columns in the preview of the first users. */
const MAX_PREVIEW_COLUMNS = 12;

/**
 * @typedef {import('./mapping-state.js').ColumnView} ColumnView
 * @typedef {import('./mapping-state.js').MappingView} MappingView
 */

/**
 * Called with the user's decisions, see `decided`. `typing` is true while the user types.
 * @typedef {(pairs: [name: string, target: string | null][], options?: { typing?: boolean }) => void} Decide
 */

/** @typedef {{ element: HTMLElement, update: (column: ColumnView, isDisabled: boolean) => void }} Row */

/**
 * Shows the mapping in `place`. The returned function shows a view; it rebuilds the table only if the columns have
 * changed, to keep the field that the user is typing into. It returns the element of the table, null without columns.
 * @param {HTMLElement} place
 * @param {Decide} decide
 */
export function mappingTable(place, decide) {
  /** @type {ReturnType<typeof tableOf> | null} */
  let table = null;
  let key = '';

  /**
   * @param {MappingView} view
   * @param {{ isDisabled: boolean }} state
   */
  return function show(view, { isDisabled }) {
    if (view.columns.length === 0) {
      table = null;
      fill(place);
      return null;
    }
    if (!table || key !== view.key) {
      table = tableOf(view, decide, table?.element.open);
      key = view.key;
      fill(place, table.element);
    }
    table.update(view, isDisabled);
    return table.element;
  };
}

/**
 * @param {MappingView} view
 * @param {Decide} decide
 * @param {boolean} [wasOpen]
 */
function tableOf({ columns, isSettled }, decide, wasOpen) {
  const head = [texts.mapping.column, texts.mapping.examples, texts.mapping.becomes];
  const rows = columns.map((column) => columnRow(column, head, decide));
  const summary = h('summary');
  const undecided = h('div');
  let openNow = '';
  const more = h('p', { class: 'help' });
  const element = h(
    'details',
    { class: 'more mapping', open: wasOpen ?? !isSettled },
    summary,
    undecided,
    h('p', { class: 'help' }, texts.mapping.help),
    h(
      'table',
      { class: 'table stack', role: 'table' },
      tableHead(head),
      h(
        'tbody',
        { role: 'rowgroup' },
        rows.map((row) => row.element),
      ),
    ),
    more,
  );
  /** @type {Decide} */
  const decideAll = (pairs) => {
    decide(pairs);
    summary.focus();
  };
  /**
   * @param {MappingView} view
   * @param {boolean} isDisabled
   */
  const update = (view, isDisabled) => {
    for (const [index, column] of view.columns.entries()) rows[index].update(column, isDisabled);
    fill(summary, view.summary);
    // Rendered only on change, because screen readers announce it.
    const open = JSON.stringify(view.open.map(({ name, offer }) => [name, offer]));
    if (open !== openNow) fill(undecided, openNotice(view.open, decideAll, isDisabled));
    openNow = open;
    more.hidden = view.rules.length === 0;
    fill(more, view.rules.length > 0 && [texts.mapping.further, ' ', view.rules.map(([name, expression]) => [h('code', {}, `${name} = ${expression}`), ' '])]);
  };
  return { element, update };
}

/**
 * A notice about open columns, with buttons that decide all of them.
 * @param {ColumnView[]} open
 * @param {Decide} decide
 * @param {boolean} disabled
 */
function openNotice(open, decide, disabled) {
  if (open.length === 0) return null;
  const offered = open.filter((column) => column.offer);
  const takeAll = () => decide(offered.map(({ name, offer }) => [name, offer]));
  const skipAll = () => decide(open.map(({ name }) => [name, '']));
  return notice(
    'warning',
    h('p', {}, open.some((column) => column.csv) ? texts.mapping.openTable({ count: open.length }) : texts.mapping.openJson),
    open.length > 1 &&
      h(
        'div',
        { class: 'actions' },
        offered.length > 0 && button(texts.mapping.takeAll({ count: offered.length }), takeAll, { kind: 'small', disabled }),
        button(texts.mapping.leaveAllOut, skipAll, { kind: 'small', disabled }),
      ),
  );
}

/**
 * @param {ColumnView} column
 * @param {string[]} head
 * @param {Decide} decide
 * @returns {Row}
 */
function columnRow(column, head, decide) {
  const { name, share, examples, fixed } = column;
  /**
   * @param {string} label
   * @param {Child[]} children
   */
  const cell = (label, ...children) => h('td', { role: 'cell', 'data-label': label }, h('div', {}, ...children));
  const bar = h('span');
  bar.style.width = `${share}%`;
  const field = fixed ? null : targetField(column, decide);
  const element = h(
    'tr',
    { role: 'row' },
    cell(
      head[0],
      h('code', { class: 'path' }, name || texts.mapping.unnamed),
      h(
        'span',
        { class: 'share', title: texts.mapping.filled({ percent: share }) },
        h('span', { class: 'share-bar', 'aria-hidden': 'true' }, bar),
        h('span', { 'aria-hidden': 'true' }, `${share} %`),
        h('span', { class: 'visually-hidden' }, texts.mapping.filled({ percent: share })),
      ),
    ),
    cell(
      head[1],
      h(
        'ul',
        { class: 'values' },
        examples.map((example) => h('li', {}, example)),
      ),
    ),
    cell(head[2], field ? field.elements : h('p', { class: 'soft' }, fixed)),
  );
  return { element, update: field?.update ?? (() => {}) };
}

let fields = 0;

/**
 * @param {ColumnView} column
 * @param {Decide} decide
 * @returns {{ elements: Child[], update: Row['update'] }}
 */
function targetField({ name, attribute }, decide) {
  fields += 1;
  const place = h('p', { class: 'field-error', id: `target-${fields}-error` });
  const badge = h('span', { class: 'kind' });
  const choices = h('div', { class: 'actions' });
  const input = h('input', {
    type: 'text',
    class: 'code',
    'aria-label': texts.mapping.becomesOf({ name }),
    'aria-describedby': place.id,
    'data-column': name,
    autocomplete: 'off',
    autocapitalize: 'off',
    spellcheck: 'false',
    on: {
      input: () => {
        const target = input.value.trim();
        decide([[name, target === attribute ? null : target]], { typing: true });
      },
    },
  });
  /** @param {string} target */
  const choose = (target) => () => {
    decide([[name, target]]);
    input.focus();
  };
  /** @type {string | null} */
  let offered = null;
  /** @type {Row['update']} */
  const update = ({ target, open, offer: proposal, problem, badge: [kind, words] }, disabled) => {
    if (input.value.trim() !== target) input.value = target;
    input.disabled = disabled;
    input.placeholder = open ? texts.mapping.undecided : texts.mapping.leftOut;
    fieldError(input, place, problem);
    badge.dataset.kind = kind;
    fill(badge, words);
    const offer = open ? proposal : null;
    if (offer === offered) return;
    offered = offer;
    fill(
      choices,
      offer !== null && [
        offer &&
          button(texts.mapping.take({ target: offer }), choose(offer), {
            kind: 'small',
            disabled,
            'aria-label': texts.mapping.takeOf({ name, target: offer }),
          }),
        button(texts.mapping.leaveItOut, choose(''), { kind: 'small quiet', disabled, 'aria-label': texts.mapping.leaveOutOf({ name }) }),
      ],
    );
  };
  const suggest = (/** @type {string} */ text, /** @type {number} */ caret) => suggestAttribute(text, caret, config.importAttributes);
  return { elements: [h('div', { class: 'target' }, withSuggestions(input, suggest), badge), place, choices], update };
}

/**
 * Offers to skip attributes that Auth0 sets itself.
 * @param {string[]} names
 * @param {() => void} skip
 */
export const readOnlyOffer = (names, skip) =>
  notice(
    'warning',
    h('p', {}, texts.mapping.readOnly({ names: names.join(', ') })),
    h('div', { class: 'actions' }, button(texts.mapping.leaveOut, skip, { kind: 'small' })),
  );

/**
 * The validation of the inspected rows of one file.
 * @param {Inspection} inspection
 * @param {string | null} name
 */
export function validation({ checked: result, rows, complete }, name) {
  if (!result) return null;
  const leftOut = result.left_out ?? 0;
  return h(
    'section',
    { class: 'checked' },
    h('h3', {}, name ? texts.mapping.checkedOf({ name }) : texts.mapping.checked),
    h('p', { class: 'help' }, complete ? texts.mapping.allRows({ count: rows }) : texts.mapping.firstRows({ count: rows })),
    result.good + result.failed + leftOut > 0 &&
      outcomeBar([['inserted', result.good, texts.import.good], ['failed', result.failed, texts.import.faulty], ...leftOutPart(leftOut)]),
    // The page shows the others at their fields.
    reasonList(result.reasons.filter((reason) => !isFieldWarning(reason))),
    result.users.length > 0 && h('details', { class: 'more' }, h('summary', {}, texts.mapping.users({ count: result.users.length })), userTable(result.users)),
  );
}

/**
 * @param {number} count
 * @returns {import('./report.js').BarPart[]}
 */
const leftOutPart = (count) => (count > 0 ? [['left', count, texts.import.leftOut]] : []);

/** @param {JsonObject[]} users */
function userTable(users) {
  const names = new Set(users.flatMap((user) => Object.keys(user)));
  const shown = [...names].slice(0, MAX_PREVIEW_COLUMNS);
  return h(
    'div',
    { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': texts.mapping.users({ count: users.length }) },
    h(
      'table',
      { class: 'table preview-table' },
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          shown.map((name) => h('th', { scope: 'col' }, name)),
        ),
      ),
      h(
        'tbody',
        {},
        users.map((user) =>
          h(
            'tr',
            {},
            shown.map((name) => h('td', {}, cellContent(user[name]))),
          ),
        ),
      ),
    ),
  );
}
