// Inspects the chosen files before an import: their formats, the mapping of columns to attributes, and the validation
// of their rows.

import { inspect, isAbort, toApiError } from './api.js';
import { columnsOf, conflictsOf, decisionsOf, isUnusable, rulesOf, targetsOf } from './column-mapping.js';
import { withSuggestions } from './completion.js';
import { announce, button, byId, fill, h, tableHead } from './dom.js';
import { number } from './format.js';
import { errorNotice, errorText, fieldError, notice } from './page.js';
import { cellContent } from './preview.js';
import { outcomeBar, reasonList } from './report.js';
import { config } from './session.js';
import { texts } from './texts.js';

const DELAY_MS = 500;
/** The error code of an invalid mapping. */
const INVALID_MAPPING = 'invalid_mapping';
/** The server inspects this number of bytes of a file. */
const INSPECTED_BYTES = 4 * 1024 * 1024;
/** Maximum number of columns in the preview of the first users. */
const MAX_PREVIEW_COLUMNS = 12;

/**
 * @typedef {import('./column-mapping.js').Conflict} Conflict
 * @typedef {import('./column-mapping.js').MappedColumn} MappedColumn
 */

/**
 * The table of columns: `made` is the state that it was built from.
 * @typedef {object} MappingTable
 * @property {string} made
 * @property {HTMLDetailsElement} element
 * @property {UpdateRow[]} rows
 * @property {(columns: MappedColumn[]) => void} update
 */

/**
 * Shows the target of a column, and the conflict with another column.
 * @typedef {(column: MappedColumn, conflict?: Conflict) => void} UpdateRow
 */

/**
 * The inspector. `files` returns the chosen files as `{file, inspection, error}`; the inspector sets the last two.
 * `options` returns the import options that affect the validation. Calls `changed` after an inspection,
 * `mappingChanged` when the user has mapped or skipped a column, and `dropReadOnly` to skip attributes that Auth0 sets
 * itself.
 * @param {object} page
 * @param {() => ChosenFile[]} page.files
 * @param {() => { drop_read_only: boolean, keep_id_prefix: boolean }} page.options
 * @param {() => void} page.changed
 * @param {() => void} page.mappingChanged
 * @param {() => void} page.dropReadOnly
 */
export function inspector({ files, options, changed, mappingChanged, dropReadOnly }) {
  const card = byId('content');
  const body = byId('content-body');
  const problems = h('div');
  const offer = h('div');
  const mapping = h('div');
  const checks = h('div');
  fill(body, problems, offer, mapping, checks);
  /**
   * The target that the user has chosen for a column, by column name; empty text skips the column.
   * @type {Map<string, string>}
   */
  let decisions = new Map();
  /**
   * A stored mapping that is applied to the columns once they are known.
   * @type {MappingRules | null}
   */
  let pendingMapping = null;
  /**
   * Rules of a stored mapping that do not map exactly one column.
   * @type {MappingRules}
   */
  let extraRules = {};
  /** @type {Timer} */
  let timer = 0;
  /** @type {AbortController | null} */
  let running = null;
  let missing = false;
  let disabled = false;
  /**
   * The mapping that each file was validated with, as JSON.
   * @type {WeakMap<ChosenFile, string>}
   */
  const sentRules = new WeakMap();
  /** Whether an inspection is pending, and the callbacks that wait for it. */
  let inspecting = false;
  /** @type {(() => void)[]} */
  const waiters = [];
  /**
   * The current table; null without columns.
   * @type {MappingTable | null}
   */
  let table = null;
  let fields = 0;

  /** @param {Timing} [timing] */
  function refresh({ now = true } = {}) {
    clearTimeout(timer);
    running?.abort();
    card.hidden = files().length === 0 || missing;
    if (card.hidden) {
      table = null;
      for (const part of [problems, offer, mapping, checks]) fill(part);
      finishInspecting();
    } else {
      inspecting = true;
      timer = setTimeout(inspectAll, now ? 0 : DELAY_MS);
    }
  }

  function finishInspecting() {
    inspecting = false;
    for (const resolve of waiters.splice(0)) resolve();
  }

  async function inspectAll() {
    running = new AbortController();
    const { signal } = running;
    card.setAttribute('aria-busy', 'true');
    try {
      for (const entry of files()) {
        await inspectOne(entry, signal);
        if (signal.aborted) return;
        if (missing) {
          card.hidden = true;
          return;
        }
      }
      applyPendingMapping();
      // Columns of later files may have changed the mapping that the first files were validated with.
      const rules = JSON.stringify(mappingRules());
      for (const entry of files()) {
        if (sentRules.get(entry) === rules || isUnusable(entry)) continue;
        await inspectOne(entry, signal);
        if (signal.aborted) return;
      }
      changed();
      show();
    } finally {
      // An aborted inspection has been replaced by a newer one.
      if (!signal.aborted) {
        card.removeAttribute('aria-busy');
        finishInspecting();
      }
    }
  }

  /**
   * The first request finds the columns; if their names suggest a mapping, a second request validates with it.
   * @param {ChosenFile} entry
   * @param {AbortSignal} signal
   */
  async function inspectOne(entry, signal) {
    try {
      const sent = mappingRules();
      entry.inspection = await send(entry, sent, signal);
      const wanted = mappingRules();
      if (JSON.stringify(wanted) !== JSON.stringify(sent)) entry.inspection = await send(entry, wanted, signal);
      entry.error = null;
    } catch (failure) {
      if (signal.aborted || isAbort(failure)) return;
      const error = toApiError(failure);
      missing = error.status === 404 || error.status === 405;
      // Keep the columns if the mapping was rejected or the server is unavailable: the fields that the user is typing
      // into depend on them, and so does the mapping that is sent.
      const ofFile = error.status >= 400 && error.status < 500 && error.status !== 429 && error.code !== INVALID_MAPPING;
      if (ofFile) entry.inspection = null;
      entry.error = error;
    }
  }

  /**
   * @param {ChosenFile} entry
   * @param {MappingRules | null} rules
   * @param {AbortSignal} signal
   */
  function send(entry, rules, signal) {
    const { file } = entry;
    const form = new FormData();
    for (const [name, value] of Object.entries(options())) form.append(name, String(value));
    if (rules) form.append('map', JSON.stringify(rules));
    sentRules.set(entry, JSON.stringify(rules));
    const partial = file.size > INSPECTED_BYTES;
    form.append('partial', String(partial));
    form.append('users', partial ? file.slice(0, INSPECTED_BYTES) : file, file.name);
    return inspect(form, { signal });
  }

  const columns = () => columnsOf(files());
  const targets = () => targetsOf(columns(), decisions, config.importAttributes);

  /** Applies a stored mapping to the columns that it mentions. */
  function applyPendingMapping() {
    if (!pendingMapping) return;
    const { decisions: stored, rest } = decisionsOf(pendingMapping, columns());
    decisions = new Map([...decisions, ...stored]);
    extraRules = rest;
    pendingMapping = null;
  }

  /**
   * The mapping for the API; null if all columns keep their names. `undecided: false` omits open columns.
   * @param {{ undecided?: boolean }} [options]
   * @returns {MappingRules | null}
   */
  function mappingRules(options) {
    if (pendingMapping) return pendingMapping;
    const rules = rulesOf(targets(), decisions, extraRules, options);
    return Object.keys(rules).length > 0 ? rules : null;
  }

  /**
   * Stores the user's decisions, pairs of `[name, target]`; a null target removes a decision.
   * @param {[name: string, target: string | null][]} pairs
   * @param {ChangeOptions} [options]
   */
  function setTargets(pairs, { typing = false } = {}) {
    for (const [name, target] of pairs) {
      if (target === null) decisions.delete(name);
      else decisions.set(name, target);
    }
    showMapping();
    mappingChanged();
    refresh({ now: !typing });
  }

  // Rendering

  function show() {
    const all = targets();
    const found = files().filter((entry) => entry.inspection);
    fill(
      problems,
      files().map((entry) => problemOf(entry)),
    );
    fill(offer, readOnlyOffer(all));
    showMapping();
    fill(
      checks,
      found.map(({ file, inspection, error }) => inspection && !error && validation(inspection, found.length > 1 ? file.name : null)),
    );
  }

  /** @param {ChosenFile} entry */
  function problemOf({ file, inspection, error }) {
    const name = files().length > 1 && h('p', { class: 'fine' }, file.name);
    if (error) return error.status === 400 ? notice('error', name, errorText(error)) : errorNotice(error, () => refresh());
    return inspection?.problem && notice('error', name, errorText(inspection.problem));
  }

  /** @param {MappedColumn[]} all */
  function readOnlyOffer(all) {
    const names = all.filter((column) => column.read_only && !column.csv).map(({ name }) => name);
    if (names.length === 0 || options().drop_read_only) return null;
    return notice(
      'warning',
      h('p', {}, texts.mapping.readOnly(names.join(', '))),
      h('div', { class: 'actions' }, button(texts.mapping.leaveOut, dropReadOnly, { kind: 'small' })),
    );
  }

  /** Rebuilds the table only if the columns have changed, to keep the field that the user is typing into. */
  function showMapping() {
    const all = targets();
    const made = JSON.stringify(columns());
    if (all.length === 0) {
      table = null;
      fill(mapping);
    } else if (table?.made !== made) {
      table = { made, ...mappingTable(all, table?.element.open) };
      fill(mapping, table.element);
    }
    const conflicts = conflictsOf(all);
    if (!table) return;
    for (const [index, column] of all.entries()) table.rows[index](column, conflicts.get(column.name));
    table.update(all);
  }

  /**
   * @param {MappedColumn[]} all
   * @param {boolean} [wasOpen]
   * @returns {Omit<MappingTable, 'made'>}
   */
  function mappingTable(all, wasOpen) {
    const head = [texts.mapping.column, texts.mapping.examples, texts.mapping.becomes];
    const rows = all.map((column) => mappingRow(column, head));
    const summary = h('summary');
    const undecided = h('div');
    let openNow = '';
    const more = h('p', { class: 'help' });
    const settled = all.every((column) => column.attribute || column.read_only);
    const element = h(
      'details',
      { class: 'more mapping', open: wasOpen ?? !settled },
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
          rows.map(({ element: row }) => row),
        ),
      ),
      more,
    );
    /** @param {MappedColumn[]} columnsNow */
    const update = (columnsNow) => {
      const open = columnsNow.filter((column) => column.open);
      const proposed = columnsNow.filter((column) => column.proposed).length;
      const words =
        open.length > 0
          ? texts.mapping.unknown(open.length, number(open.length))
          : proposed > 0
            ? texts.mapping.someProposed(proposed, number(proposed))
            : texts.mapping[columnsNow.some(({ name }) => decisions.has(name)) ? 'allDecided' : 'allKnown'](columnsNow.length, number(columnsNow.length));
      fill(summary, words);
      // Rendered only on change, because screen readers announce it.
      const state = JSON.stringify(open.map(({ name, offer: target }) => [name, target]));
      if (state !== openNow) fill(undecided, openNotice(open));
      openNow = state;
      const rules = Object.entries(extraRules);
      more.hidden = rules.length === 0;
      fill(more, rules.length > 0 && [texts.mapping.further, ' ', rules.map(([name, expression]) => [h('code', {}, `${name} = ${expression}`), ' '])]);
    };
    return { element, rows: rows.map(({ update: row }) => row), update };
  }

  /**
   * A notice about open columns, with buttons that decide all of them.
   * @param {MappedColumn[]} open
   */
  function openNotice(open) {
    if (open.length === 0) return null;
    const offered = open.filter((column) => column.offer);
    const focus = () => table?.element.querySelector('summary')?.focus();
    /** @param {[name: string, target: string][]} pairs */
    const all = (pairs) => () => {
      setTargets(pairs);
      focus();
    };
    return notice(
      'warning',
      h('p', {}, open.some((column) => column.csv) ? texts.mapping.openTable(open.length, number(open.length)) : texts.mapping.openJson),
      open.length > 1 &&
        h(
          'div',
          { class: 'actions' },
          offered.length > 0 &&
            button(texts.mapping.takeAll(number(offered.length)), all(offered.map(({ name, offer: target }) => [name, target])), { kind: 'small', disabled }),
          button(texts.mapping.leaveAllOut, all(open.map(({ name }) => [name, ''])), { kind: 'small', disabled }),
        ),
    );
  }

  /**
   * @param {MappedColumn} column
   * @param {string[]} head
   * @returns {{ element: HTMLElement, update: UpdateRow }}
   */
  function mappingRow(column, head) {
    /**
     * @param {string} label
     * @param {Child[]} children
     */
    const cell = (label, ...children) => h('td', { role: 'cell', 'data-label': label }, h('div', {}, ...children));
    const share = column.rows > 0 ? Math.round((column.filled / column.rows) * 100) : 0;
    const bar = h('span');
    bar.style.width = `${share}%`;
    const field = column.read_only || column.name === '' ? null : targetField(column);
    const element = h(
      'tr',
      { role: 'row' },
      cell(
        head[0],
        h('code', { class: 'path' }, column.name || texts.mapping.unnamed),
        h(
          'span',
          { class: 'share', title: texts.mapping.filled(share) },
          h('span', { class: 'share-bar', 'aria-hidden': 'true' }, bar),
          h('span', { 'aria-hidden': 'true' }, `${share} %`),
          h('span', { class: 'visually-hidden' }, texts.mapping.filled(share)),
        ),
      ),
      cell(
        head[1],
        h(
          'ul',
          { class: 'values' },
          column.examples.map((example) => h('li', {}, example)),
        ),
      ),
      cell(head[2], field ? field.elements : h('p', { class: 'soft' }, column.read_only ? texts.mapping.setByAuth0 : texts.mapping.noName)),
    );
    return { element, update: field?.update ?? (() => {}) };
  }

  /**
   * @param {MappedColumn} column
   * @returns {{ elements: Child[], update: UpdateRow }}
   */
  function targetField({ name, attribute }) {
    fields += 1;
    const place = h('p', { class: 'field-error', id: `target-${fields}-error` });
    const badge = h('span', { class: 'kind' });
    const choices = h('div', { class: 'actions' });
    const input = h('input', {
      type: 'text',
      class: 'code',
      'aria-label': texts.mapping.becomesOf(name),
      'aria-describedby': place.id,
      'data-column': name,
      autocomplete: 'off',
      autocapitalize: 'off',
      spellcheck: 'false',
      disabled,
      on: {
        input: () => {
          const target = input.value.trim();
          setTargets([[name, target === attribute ? null : target]], { typing: true });
        },
      },
    });
    /** @param {string} target */
    const choose = (target) => () => {
      setTargets([[name, target]]);
      input.focus();
    };
    /** @type {string | null} */
    let offered = null;
    /** @type {UpdateRow} */
    const update = (column, conflict) => {
      if (input.value.trim() !== column.target) input.value = column.target;
      input.placeholder = column.open ? texts.mapping.undecided : texts.mapping.leftOut;
      fieldError(input, place, conflict && conflictText(conflict));
      const [kind, text] = column.open
        ? ['open', texts.mapping.open]
        : column.target === ''
          ? ['', texts.mapping.leftOut]
          : column.target === attribute
            ? ['path', texts.mapping.known]
            : column.proposed
              ? ['transform', texts.mapping.proposed]
              : ['path', texts.mapping.chosen];
      badge.dataset.kind = kind;
      fill(badge, text);
      const offer = column.open ? column.offer : null;
      if (offer === offered) return;
      offered = offer;
      fill(
        choices,
        offer !== null && [
          offer && button(texts.mapping.take(offer), choose(offer), { kind: 'small', disabled, 'aria-label': texts.mapping.takeOf(name, offer) }),
          button(texts.mapping.leaveItOut, choose(''), { kind: 'small quiet', disabled, 'aria-label': texts.mapping.leaveOutOf(name) }),
        ],
      );
    };
    return { elements: [h('div', { class: 'target' }, withSuggestions(input, suggestAttribute), badge), place, choices], update };
  }

  /**
   * The validation of the inspected rows of one file.
   * @param {Inspection} inspection
   * @param {string | null} name
   */
  function validation({ checked: result, rows, complete }, name) {
    if (!result) return null;
    const total = result.good + result.failed;
    return h(
      'section',
      { class: 'checked' },
      h('h3', {}, name ? texts.mapping.checkedOf(name) : texts.mapping.checked),
      h('p', { class: 'help' }, complete ? texts.mapping.allRows(rows, number(rows)) : texts.mapping.firstRows(number(rows))),
      total > 0 &&
        outcomeBar([
          ['inserted', result.good, texts.import.good],
          ['failed', result.failed, texts.import.faulty],
        ]),
      reasonList(result.reasons),
      result.users.length > 0 && h('details', { class: 'more' }, h('summary', {}, texts.mapping.users(result.users.length)), userTable(result.users)),
    );
  }

  return {
    refresh,
    mappingRules,
    /** A promise that settles when all chosen files are inspected; null if they are. */
    whenIdle() {
      if (!inspecting) return null;
      /** @type {Promise<void>} */
      const idle = new Promise((resolve) => {
        waiters.push(resolve);
      });
      return idle;
    },
    /**
     * Resets the mapping, to a stored one if given.
     * @param {MappingRules | null} [mapping]
     */
    restore(mapping) {
      decisions = new Map();
      extraRules = {};
      pendingMapping = mapping && typeof mapping === 'object' && Object.keys(mapping).length > 0 ? mapping : null;
    },
    /**
     * The detected format of a file, as text.
     * @param {ChosenFile} entry
     */
    describe(entry) {
      const { inspection, error } = entry;
      if (error && !inspection) return texts.mapping.unreadable;
      if (!inspection) return missing ? '' : texts.mapping.looking;
      const { format, encoding, delimiter, gzip } = inspection.input;
      if (isUnusable(entry)) return [texts.mapping.formats[format] ?? format, texts.mapping.unusable].join(' · ');
      return [
        texts.mapping.formats[format] ?? format,
        delimiter && texts.mapping.delimiter(texts.mapping.delimiters[delimiter] ?? delimiter),
        encoding,
        gzip && texts.mapping.gzip,
        inspection.complete ? texts.mapping.rows(inspection.rows, number(inspection.rows)) : texts.mapping.moreRows(number(inspection.rows)),
      ]
        .filter(Boolean)
        .join(' · ');
    },
    /**
     * Marks and returns the first invalid field; null if the mapping is valid.
     * @returns {HTMLInputElement | null}
     */
    check() {
      /** @type {NodeListOf<HTMLInputElement>} */
      const inputs = body.querySelectorAll('[data-column]');
      const all = targets();
      const conflicts = conflictsOf(all);
      const wrong = all.find((column) => conflicts.has(column.name) || (column.open && column.csv));
      const refused = files().find(({ error }) => error?.code === INVALID_MAPPING)?.error;
      if (!wrong && refused && table) {
        announce(refused.message);
        table.element.open = true;
        return inputs[0] ?? null;
      }
      if (!wrong || !table) return null;
      const conflict = conflicts.get(wrong.name);
      const text = conflict ? conflictText(conflict) : texts.mapping.decide(wrong.name);
      table.element.open = true;
      const input = [...inputs].find((field) => field.dataset.column === wrong.name) ?? null;
      /** @type {HTMLElement | null | undefined} */
      const place = input?.closest('td')?.querySelector('.field-error');
      if (input && place) fieldError(input, place, text);
      announce(text);
      return input;
    },
    /** @param {boolean} value */
    disable(value) {
      disabled = value;
      /** @type {NodeListOf<HTMLInputElement | HTMLButtonElement>} */
      const fields = body.querySelectorAll('input, button');
      for (const field of fields) field.disabled = value;
    },
  };
}

/** @param {Conflict} conflict */
const conflictText = ({ kind, other, target }) => (kind === 'double' ? texts.mapping.double(other, target) : texts.mapping.doubleSkip(other, target));

/**
 * Suggestions of importable attributes.
 * @type {Suggest}
 */
function suggestAttribute(text, caret) {
  const typed = text.slice(0, caret).toLowerCase();
  const fitting = config.importAttributes.filter((name) => name.includes(typed) && name !== text);
  const below = ['user_metadata.', 'app_metadata.'].filter((name) => typed === '' || name.startsWith(typed));
  return {
    from: 0,
    to: text.length,
    options: [...fitting.filter((name) => name.startsWith(typed)), ...below, ...fitting.filter((name) => !name.startsWith(typed))].map((insert) => ({
      label: insert,
      detail: insert.endsWith('.') ? texts.mapping.ownKey : '',
      insert,
    })),
  };
}

/** @param {JsonObject[]} users */
function userTable(users) {
  const names = new Set(users.flatMap((user) => Object.keys(user)));
  const shown = [...names].slice(0, MAX_PREVIEW_COLUMNS);
  return h(
    'div',
    { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': texts.mapping.users(users.length) },
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
