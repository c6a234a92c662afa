import assert from 'node:assert/strict';
import { test } from 'node:test';

const { columnsOf, conflictsOf, decisionsOf, isUnusable, rulesOf, targetsOf } = await import('../../../server/assets/js/column-mapping.js');

const ATTRIBUTES = ['email', 'name', 'given_name'];
const column = (name, more = {}) => ({
  name,
  expression: `row["${name}"]`,
  filled: 1,
  examples: [],
  attribute: null,
  proposal: null,
  read_only: null,
  ...more,
});
const known = (name) => column(name, { attribute: name, expression: `row.${name}` });
const file = (columns, { format = 'csv', rows = 10, problem = null, error = null } = {}) => ({
  file: { name: 'a' },
  inspection: { columns, rows, input: { format }, problem },
  error,
});
/** Targets, rules and conflicts of files after these decisions. */
function mapped(files, decided = {}) {
  const decisions = new Map(Object.entries(decided));
  const columns = targetsOf(columnsOf(files), decisions, ATTRIBUTES);
  return {
    targets: Object.fromEntries(columns.map(({ name, target }) => [name, target])),
    offers: Object.fromEntries(columns.map(({ name, offer }) => [name, offer])),
    rules: rulesOf(columns, decisions, {}),
    conflicts: Object.fromEntries(conflictsOf(columns)),
  };
}

test('a column is matched although a column of another file has the attribute', () => {
  const files = [file([known('email'), known('name')]), file([column('E-Mail', { proposal: 'email' }), column('Full name', { proposal: 'name' })])];
  const { targets, rules, conflicts } = mapped(files);
  assert.deepEqual(targets, { email: 'email', name: 'name', 'E-Mail': 'email', 'Full name': 'name' });
  assert.deepEqual(rules, { email: 'row["E-Mail"]', name: 'row["Full name"]' });
  assert.deepEqual(conflicts, {});
});

test('columns of different files with one target are alternatives; in one file they exclude each other', () => {
  const mail = column('Mail', { proposal: 'email' });
  const address = column('E-Mail', { proposal: 'email' });
  assert.deepEqual(mapped([file([mail]), file([address])]).rules, { email: 'row["Mail"] || row["E-Mail"]' });
  const together = mapped([file([mail, address])], { 'E-Mail': 'email' });
  assert.deepEqual(together.conflicts, { 'E-Mail': { kind: 'double', other: 'Mail', target: 'email' } });
  // A third file with both makes them exclude each other too.
  assert.deepEqual(Object.keys(mapped([file([mail]), file([address]), file([mail, address])], { 'E-Mail': 'email' }).conflicts), ['E-Mail']);
});

test('a suggestion is offered to columns of different files', () => {
  const team = column('Team', { proposal: 'user_metadata.team' });
  const group = column('team', { proposal: 'user_metadata.team' });
  assert.deepEqual(mapped([file([team]), file([group])]).offers, { Team: 'user_metadata.team', team: 'user_metadata.team' });
  assert.deepEqual(mapped([file([team, group])]).offers, { Team: 'user_metadata.team', team: '' });
});

test('a column cannot be skipped if a column of another file is mapped to its attribute', () => {
  const files = [file([known('email'), known('name')]), file([known('email'), column('Full name', { proposal: 'name' })])];
  assert.deepEqual(mapped(files, { name: '' }).conflicts, { name: { kind: 'skip', other: 'Full name', target: 'name' } });
  // In one file the rule replaces the column.
  assert.deepEqual(mapped([file([known('name'), column('Full name')])], { name: '', 'Full name': 'name' }).conflicts, {});
});

test('the share of filled rows is of the rows of all files', () => {
  const [email, given] = columnsOf([file([known('email')]), file([known('email'), known('given_name')], { rows: 30 })]);
  assert.deepEqual([email.rows, email.filled, email.files], [40, 2, [0, 1]]);
  assert.deepEqual([given.rows, given.filled, given.files], [40, 1, [1]]);
});

test('a column is one of CSV if any CSV file has it', () => {
  const [first] = columnsOf([file([column('Mail')], { format: 'json' }), file([column('Mail')])]);
  assert.equal(first.csv, true);
});

test('files that no mapping makes importable have no columns', () => {
  const empty = file([known('email')], { rows: 0, problem: { errorCode: 'users_file_empty' } });
  const headers = file([column('Mail')], { problem: { errorCode: 'users_file_columns' } });
  assert.deepEqual([isUnusable(empty), isUnusable(headers)], [true, false]);
  assert.deepEqual(columnsOf([empty]), []);
  assert.equal(columnsOf([headers]).length, 1);
});

test('an error of the server says nothing about a file', () => {
  const failed = (status, code = '') => isUnusable({ inspection: null, error: { status, code } });
  assert.deepEqual([failed(400), failed(413)], [true, true]);
  assert.deepEqual([failed(0), failed(401), failed(403), failed(404), failed(429), failed(503), failed(400, 'invalid_mapping')], Array(7).fill(false));
});

test('a stored mapping becomes decisions again', () => {
  const columns = columnsOf([file([column('Mail'), column('Notes')]), file([column('E-Mail')])]);
  const rules = { email: 'row["Mail"] || row["E-Mail"]', Notes: 'null', 'user_metadata.full': 'row.a + row.b' };
  const { decisions, rest } = decisionsOf(rules, columns);
  assert.deepEqual(Object.fromEntries(decisions), { Mail: 'email', 'E-Mail': 'email', Notes: '' });
  assert.deepEqual(rest, { 'user_metadata.full': 'row.a + row.b' });
});

test('alternatives of one file stay a rule', () => {
  const columns = columnsOf([file([column('Full name'), column('Mail')])]);
  const rules = { name: 'row["Full name"] || row["Mail"]' };
  assert.deepEqual(decisionsOf(rules, columns), { decisions: new Map(), rest: rules });
});
