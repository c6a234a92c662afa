// The state of the inspection of files and what follows from it: pure functions of the state and the chosen files.

import { columnsOf, conflictsOf, decisionsOf, isUnusable, rulesOf, targetsOf } from './column-mapping.js';
import { fieldOfError } from './reading-state.js';
import { labelOf, texts } from './texts.js';

/** The error code of an invalid mapping. */
const INVALID_MAPPING = 'invalid_mapping';

/**
 * @typedef {import('./column-mapping.js').Conflict} Conflict
 * @typedef {import('./column-mapping.js').FoundColumn} FoundColumn
 * @typedef {import('./column-mapping.js').MappedColumn} MappedColumn
 */

/**
 * The state: the target that the user has chosen for a column, by column name (empty text skips the column); a stored
 * mapping that is applied to the columns once they are known; rules of a stored mapping that do not map columns;
 * whether the server inspects files, whether it inspects some now, and whether the fields are disabled.
 * @typedef {object} MappingState
 * @property {Map<string, string>} decisions
 * @property {MappingRules | null} stored
 * @property {MappingRules} extraRules
 * @property {boolean} isSupported
 * @property {boolean} isInspecting
 * @property {boolean} isDisabled
 */

/** @returns {MappingState} */
export const initialState = () => ({
  decisions: new Map(),
  stored: null,
  extraRules: {},
  isSupported: true,
  isInspecting: false,
  isDisabled: false,
});

/**
 * The state with a stored mapping instead of the user's decisions, or without any if it is not a mapping.
 * @param {MappingState} state
 * @param {unknown} mapping
 * @returns {MappingState}
 */
export function restored(state, mapping) {
  const isMapping = mapping !== null && typeof mapping === 'object' && Object.keys(mapping).length > 0;
  return { ...state, decisions: new Map(), extraRules: {}, stored: isMapping ? /** @type {MappingRules} */ (mapping) : null };
}

/**
 * The state with further decisions, pairs of `[name, target]`; a null target removes a decision.
 * @param {MappingState} state
 * @param {[name: string, target: string | null][]} pairs
 * @returns {MappingState}
 */
export function decided(state, pairs) {
  const decisions = new Map(state.decisions);
  for (const [name, target] of pairs) {
    if (target === null) decisions.delete(name);
    else decisions.set(name, target);
  }
  return { ...state, decisions };
}

/**
 * The state after an inspection: a stored mapping becomes decisions about the columns that it mentions.
 * @param {MappingState} state
 * @param {ChosenFile[]} files
 * @returns {MappingState}
 */
export function inspected(state, files) {
  if (!state.stored) return state;
  const { decisions, rest } = decisionsOf(state.stored, columnsOf(files));
  return { ...state, decisions: new Map([...state.decisions, ...decisions]), extraRules: rest, stored: null };
}

/**
 * The mapping for the API; null if all columns keep their names. `undecided: false` omits open columns.
 * @param {MappingState} state
 * @param {ChosenFile[]} files
 * @param {string[]} attributes attributes that an import accepts
 * @param {{ undecided?: boolean }} [options]
 * @returns {MappingRules | null}
 */
export function rulesFor(state, files, attributes, options) {
  if (state.stored) return state.stored;
  const targets = targetsOf(columnsOf(files), state.decisions, attributes);
  const rules = rulesOf(targets, state.decisions, state.extraRules, options);
  return Object.keys(rules).length > 0 ? rules : null;
}

/**
 * What the failure of an inspection says: whether the server inspects files, and whether the file has no columns.
 * Columns are kept if the mapping or an option was rejected or the server is unavailable: the fields that the user is typing into
 * depend on them, and so does the mapping that is sent.
 * @param {Pick<import('./api.js').ApiError, 'status' | 'code' | 'field'>} error
 */
export function failureOf(error) {
  const { status, code } = error;
  const isSupported = status !== 404 && status !== 405;
  const isOfFile = status >= 400 && status < 500 && fieldOfError(error) === null;
  return { isSupported, dropsColumns: isOfFile && status !== 429 && code !== INVALID_MAPPING };
}

/** @param {Conflict} conflict */
const conflictText = ({ kind, other, target }) => (kind === 'double' ? texts.mapping.double({ other, target }) : texts.mapping.doubleSkip({ other, target }));

/**
 * The kind and the words of the badge of a column.
 * @param {MappedColumn} column
 * @returns {[kind: string, words: string]}
 */
export function badgeOf({ open, target, attribute, proposed }) {
  if (open) return ['open', texts.mapping.open];
  if (target === '') return ['', texts.mapping.leftOut];
  if (target === attribute) return ['path', texts.mapping.known];
  return proposed ? ['transform', texts.mapping.proposed] : ['path', texts.mapping.chosen];
}

/**
 * What the page shows of a column: its badge, why it cannot have its target, the share of rows with a value in percent,
 * and why it has no field.
 * @typedef {MappedColumn & { badge: [kind: string, words: string], problem: string, share: number, fixed: string }} ColumnView
 */

/**
 * @param {MappedColumn} column
 * @param {Conflict | undefined} conflict
 * @returns {ColumnView}
 */
const columnView = (column, conflict) => ({
  ...column,
  badge: badgeOf(column),
  problem: conflict ? conflictText(conflict) : '',
  share: column.rows > 0 ? Math.round((column.filled / column.rows) * 100) : 0,
  fixed: column.read_only ? texts.mapping.setByAuth0 : column.name === '' ? texts.mapping.noName : '',
});

/**
 * The state of the mapping in a few words.
 * @param {MappedColumn[]} columns
 * @param {Map<string, string>} decisions
 */
function summaryOf(columns, decisions) {
  const open = columns.filter((column) => column.open).length;
  if (open > 0) return texts.mapping.unknown({ count: open });
  const proposed = columns.filter((column) => column.proposed).length;
  if (proposed > 0) return texts.mapping.someProposed({ count: proposed });
  const isDecided = columns.some(({ name }) => decisions.has(name));
  return (isDecided ? texts.mapping.allDecided : texts.mapping.allKnown)({ count: columns.length });
}

/**
 * What the page shows of the mapping: the columns of all files, a summary, the open columns, rules that map no column,
 * attributes of JSON files that Auth0 sets itself, and whether every column has the name of an attribute. Views with
 * the same `key` have the same columns.
 * @param {MappingState} state
 * @param {ChosenFile[]} files
 * @param {string[]} attributes attributes that an import accepts
 */
export function mappingView({ decisions, extraRules }, files, attributes) {
  const found = columnsOf(files);
  const targets = targetsOf(found, decisions, attributes);
  const conflicts = conflictsOf(targets);
  const columns = targets.map((column) => columnView(column, conflicts.get(column.name)));
  return {
    key: JSON.stringify(found),
    columns,
    summary: summaryOf(columns, decisions),
    open: columns.filter((column) => column.open),
    rules: Object.entries(extraRules),
    readOnly: columns.filter((column) => column.read_only && !column.csv).map(({ name }) => name),
    isSettled: columns.every((column) => column.attribute || column.read_only),
  };
}

/** @typedef {ReturnType<typeof mappingView>} MappingView */

/**
 * What prevents a start: a message, and the column that it is about, if it is about one. Null if nothing does. An open
 * column of JSON does not: Auth0 rejects the rows that have it.
 * @param {MappingView} view
 * @param {ChosenFile[]} files
 * @returns {{ message: string, column: string | null } | null}
 */
export function obstacleOf({ columns }, files) {
  const wrong = columns.find(({ problem, open, csv }) => problem || (open && csv));
  if (wrong) return { message: wrong.problem || texts.mapping.decide({ name: wrong.name }), column: wrong.name };
  const refused = files.find(({ error }) => error?.code === INVALID_MAPPING)?.error;
  return refused ? { message: refused.message, column: null } : null;
}

/**
 * The detected format of a file in words; empty if the server does not inspect files.
 * @param {ChosenFile} entry
 * @param {Pick<MappingState, 'isSupported'>} state
 */
export function describeFile(entry, { isSupported }) {
  const { inspection, error } = entry;
  if (error && !inspection) return texts.mapping.unreadable;
  if (!inspection) return isSupported ? texts.mapping.looking : '';
  const { rows, complete, input } = inspection;
  const format = labelOf(texts.mapping.formats, input.format);
  if (isUnusable(entry)) return [format, texts.mapping.unusable].join(' · ');
  return [
    format,
    input.delimiter && texts.mapping.delimiter({ name: labelOf(texts.mapping.delimiters, input.delimiter) }),
    input.encoding,
    input.gzip && texts.mapping.gzip,
    complete ? texts.mapping.rows({ count: rows }) : texts.mapping.moreRows({ count: rows }),
  ]
    .filter(Boolean)
    .join(' · ');
}

/**
 * Suggestions of attributes that an import accepts.
 * @param {string} text
 * @param {number} caret
 * @param {string[]} attributes
 * @returns {Suggestions}
 */
export function suggestAttribute(text, caret, attributes) {
  const typed = text.slice(0, caret).toLowerCase();
  const fitting = attributes.filter((name) => name.includes(typed) && name !== text);
  const below = ['user_metadata.', 'app_metadata.'].filter((name) => typed === '' || name.startsWith(typed));
  const names = [...fitting.filter((name) => name.startsWith(typed)), ...below, ...fitting.filter((name) => !name.startsWith(typed))];
  return {
    from: 0,
    to: text.length,
    options: names.map((insert) => ({ label: insert, detail: insert.endsWith('.') ? texts.mapping.ownKey : '', insert })),
  };
}
