// The mapping of columns to attributes, for one or several files: pure functions of the inspected files and the user's
// decisions.

import { fieldOfError } from './reading-state.js';

/** The error codes of a file whose columns need another mapping. Other problems make a file unusable. */
const MAPPING_PROBLEMS = ['users_file_columns', 'invalid_mapping'];
/** Statuses below 500 that say nothing about a file: the session, a server without inspection, and limits. */
const OF_SERVER = [401, 403, 404, 405, 408, 429];

/**
 * A column of the chosen files: the indexes of the files that have it, how many rows of all files were inspected, and
 * whether a CSV file has it.
 * @typedef {Inspection['columns'][number] & { files: number[], rows: number, csv: boolean }} FoundColumn
 */

/**
 * A column with its target, see `targetsOf`.
 * @typedef {FoundColumn & { target: string, proposed?: boolean, open?: boolean }} SettledColumn
 * @typedef {SettledColumn & { offer: string }} MappedColumn
 */

/**
 * A column that cannot have its target because of another column: `double` if both are in one file, `skip` if the
 * column is skipped although a column of another file is mapped to its attribute.
 * @typedef {{ kind: 'double' | 'skip', other: string, target: string }} Conflict
 */

/**
 * Whether a file cannot be imported, whatever the mapping is. An error of an option, and an unreachable server, say
 * nothing about the file.
 * @param {ChosenFile} entry
 */
export function isUnusable({ inspection, error }) {
  if (error && fieldOfError(error)) return false;
  if (error) return error.status >= 400 && error.status < 500 && !OF_SERVER.includes(error.status) && !MAPPING_PROBLEMS.includes(error.code);
  const problem = inspection?.problem;
  return Boolean(problem) && !MAPPING_PROBLEMS.includes(problem?.errorCode ?? '');
}

/**
 * The distinct columns of all files that can be imported.
 * @param {ChosenFile[]} files
 * @returns {FoundColumn[]}
 */
export function columnsOf(files) {
  /** @type {Map<string, FoundColumn>} */
  const all = new Map();
  let rows = 0;
  for (const [index, entry] of files.entries()) {
    const { inspection } = entry;
    if (!inspection || isUnusable(entry)) continue;
    rows += inspection.rows;
    const csv = inspection.input.format === 'csv';
    for (const column of inspection.columns) {
      const known = all.get(column.name);
      if (known) {
        // A file may have two columns of one name.
        if (!known.files.includes(index)) known.files.push(index);
        known.filled += column.filled;
        known.csv ||= csv;
      } else {
        all.set(column.name, { ...column, files: [index], rows: 0, csv });
      }
    }
  }
  return [...all.values()].map((column) => ({ ...column, rows }));
}

/**
 * Whether one file has both columns.
 * @param {FoundColumn} one
 * @param {FoundColumn} other
 */
const shareFile = (one, other) => one.files.some((file) => other.files.includes(file));

/**
 * The columns with their targets: `target` is a path, or empty for a skipped column. A CSV header that names an Auth0
 * attribute is mapped to it, unless another column of its file has that attribute. Every other unknown column stays
 * `open` until the user decides: data is never moved into metadata, and a JSON attribute never renamed, without the
 * user's decision. `offer` is the suggestion for an open column.
 * @param {FoundColumn[]} columns
 * @param {Map<string, string>} decisions
 * @param {string[]} importAttributes
 * @returns {MappedColumn[]}
 */
export function targetsOf(columns, decisions, importAttributes) {
  // A column that is matched to an attribute keeps it; other columns with that target are reported as duplicates.
  const meant = columns.filter(({ attribute }) => attribute).map((column) => ({ column, name: /** @type {string} */ (column.attribute) }));
  /** @type {SettledColumn[]} */
  const settled = columns.map((column) => {
    const name = column.proposal ?? '';
    const isTaken = meant.some((other) => other.name === name && shareFile(other.column, column));
    const proposed = column.csv && importAttributes.includes(name) && !isTaken;
    if (proposed) meant.push({ column, name });
    const decision = decisions.get(column.name);
    if (decision !== undefined) return { ...column, target: decision };
    if (column.attribute) return { ...column, target: column.attribute };
    if (proposed) return { ...column, target: name, proposed };
    return { ...column, target: '', open: column.name !== '' && !column.read_only };
  });
  const taken = settled.map((column) => ({ column, target: column.target }));
  return settled.map((column) => {
    const name = column.proposal ?? '';
    const isTaken = taken.some((other) => other.target === name && shareFile(other.column, column));
    const offer = column.open && name && !isTaken ? name : '';
    if (offer) taken.push({ column, target: offer });
    return { ...column, offer };
  });
}

/**
 * The mapping for the API. Columns of different files with the same target become alternatives of one rule. A rule
 * without a value for a row keeps the row's own attribute, so it does not disturb the files that have no such column.
 * `undecided: false` omits open columns.
 * @param {MappedColumn[]} columns
 * @param {Map<string, string>} decisions
 * @param {MappingRules} extraRules
 * @param {{ undecided?: boolean }} [options]
 * @returns {MappingRules}
 */
export function rulesOf(columns, decisions, extraRules, { undecided = true } = {}) {
  const rules = { ...extraRules };
  const computed = new Set(columns.filter(({ target, attribute }) => target !== attribute).map(({ target }) => target));
  /** @type {Map<string, string[]>} */
  const sources = new Map();
  /** @param {string} name */
  const skip = (name) => {
    // The rule that computes an attribute of this name replaces the column.
    if (!computed.has(name)) rules[name] = 'null';
  };
  for (const column of columns) {
    if (column.name === '' || (column.read_only && !decisions.get(column.name))) continue;
    if (column.open) {
      // An unknown CSV header fails the whole file, so it is skipped here. Unknown JSON attributes fail row by row.
      if (undecided && column.csv) skip(column.name);
      continue;
    }
    if (column.target === column.attribute) continue;
    if (column.target === '') skip(column.name);
    else sources.set(column.target, [...(sources.get(column.target) ?? []), column.expression]);
  }
  for (const [target, expressions] of sources) rules[target] = expressions.join(' || ');
  return rules;
}

/**
 * Columns whose target another column prevents, by column name.
 * @param {MappedColumn[]} columns
 * @returns {Map<string, Conflict>}
 */
export function conflictsOf(columns) {
  /** @type {Map<string, Conflict>} */
  const conflicts = new Map();
  for (const [index, column] of columns.entries()) {
    const { name, target, attribute, open } = column;
    if (target !== '') {
      const other = columns.slice(0, index).find((earlier) => earlier.target === target && shareFile(earlier, column));
      if (other) conflicts.set(name, { kind: 'double', other: other.name, target });
    } else if (attribute && !open) {
      const other = columns.find((candidate) => candidate.target === attribute);
      if (other && !shareFile(other, column)) conflicts.set(name, { kind: 'skip', other: other.name, target: attribute });
    }
  }
  return conflicts;
}

/**
 * The decisions of a stored mapping for these columns, and its rules that do not map columns.
 * @param {MappingRules} rules
 * @param {FoundColumn[]} columns
 * @returns {{ decisions: Map<string, string>, rest: MappingRules }}
 */
export function decisionsOf(rules, columns) {
  const rest = { ...rules };
  /** @type {Map<string, string>} */
  const decisions = new Map();
  for (const [target, expression] of Object.entries(rules)) {
    if (expression === 'null') {
      if (!columns.some(({ name }) => name === target)) continue;
      decisions.set(target, '');
      delete rest[target];
      continue;
    }
    const parts = [expression, ...expression.split(' || ')];
    const whole = columns.filter((column) => column.expression === parts[0]);
    const sources = whole.length > 0 ? whole : parts.slice(1).map((part) => columns.find((column) => column.expression === part));
    const found = sources.filter(Boolean);
    const isApart = found.every((one, index) => found.slice(index + 1).every((other) => !shareFile(one, other)));
    if (found.length < sources.length || !isApart) continue;
    for (const { name } of found) if (!decisions.has(name)) decisions.set(name, target);
    delete rest[target];
  }
  // A column whose attribute is computed from another column of its file was skipped.
  for (const column of columns) {
    const { name, attribute } = column;
    if (!attribute || decisions.has(name)) continue;
    if (columns.some((other) => decisions.get(other.name) === attribute && shareFile(other, column))) decisions.set(name, '');
  }
  return { decisions, rest };
}
