import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage } from './page.js';

const page = openPage('import');
const { badgeOf, decided, describeFile, failureOf, initialState, inspected, mappingView, obstacleOf, restored, rulesFor, suggestAttribute } =
  await page.script('mapping-state.js');

const ATTRIBUTES = ['email', 'name', 'username', 'given_name'];

/** A column as the server reports it. */
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
const known = (name) => column(name, { attribute: name, expression: name });

const file = (columns, { format = 'csv', rows = 10, error = null, ...more } = {}) => ({
  file: new File(['x'], 'a.csv'),
  inspection: { columns, rows, complete: true, input: { format, encoding: 'UTF-8', delimiter: null, gzip: false }, problem: null, ...more },
  error,
});
const view = (files, state = initialState()) => mappingView(state, files, ATTRIBUTES);

test('functions return a new state and leave the old one as it is', () => {
  const before = Object.freeze({ ...initialState(), decisions: new Map([['nick', 'name']]) });
  const after = decided(before, [
    ['nick', null],
    ['team', ''],
  ]);
  assert.deepEqual([...before.decisions], [['nick', 'name']]);
  assert.deepEqual([...after.decisions], [['team', '']]);
  assert.deepEqual([...restored(before, { email: 'mail' }).decisions], []);
  assert.equal(before.stored, null);
});

test('only an object with rules is a stored mapping', () => {
  assert.deepEqual(restored(initialState(), { email: 'mail' }).stored, { email: 'mail' });
  for (const nothing of [null, undefined, {}, 'text', 1]) assert.equal(restored(initialState(), nothing).stored, null);
});

test('a stored mapping is sent as it is until the columns are known', () => {
  const stored = { name: 'row["nick"]', 'user_metadata.full': 'row.a + row.b' };
  const waiting = restored(initialState(), stored);
  assert.deepEqual(rulesFor(waiting, [], ATTRIBUTES), stored);
  const files = [file([known('email'), column('nick')])];
  const ready = inspected(waiting, files);
  assert.deepEqual([ready.stored, Object.fromEntries(ready.decisions), ready.extraRules], [null, { nick: 'name' }, { 'user_metadata.full': 'row.a + row.b' }]);
  assert.deepEqual(rulesFor(ready, files, ATTRIBUTES), { ...stored });
  assert.equal(inspected(ready, files), ready);
});

test('without rules nothing is sent', () => {
  const files = [file([known('email'), column('team')])];
  assert.equal(rulesFor(initialState(), [file([known('email')])], ATTRIBUTES), null);
  assert.deepEqual(rulesFor(initialState(), files, ATTRIBUTES), { team: 'null' });
  assert.equal(rulesFor(initialState(), files, ATTRIBUTES, { undecided: false }), null);
});

test('columns are kept unless the failure is about the file', () => {
  const of = (status, code = '') => failureOf({ status, code });
  assert.deepEqual(of(400), { isSupported: true, dropsColumns: true });
  assert.deepEqual(of(400, 'invalid_mapping'), { isSupported: true, dropsColumns: false });
  for (const status of [0, 429, 500, 503]) assert.deepEqual(of(status), { isSupported: true, dropsColumns: false });
  for (const status of [404, 405]) assert.equal(of(status).isSupported, false);
});

test('each column has one badge', () => {
  const badge = (more) => badgeOf({ target: 'name', attribute: null, ...more });
  assert.deepEqual(badge({ open: true, target: '' }), ['open', 'Needs mapping']);
  assert.deepEqual(badge({ target: '' }), ['', 'Skipped']);
  assert.deepEqual(badge({ attribute: 'name' }), ['path', 'Matched']);
  assert.deepEqual(badge({ proposed: true }), ['transform', 'Suggested']);
  assert.deepEqual(badge({}), ['path', 'Mapped']);
});

test('a column without a name, or with an attribute that Auth0 sets, has no field', () => {
  const { columns } = view([file([column(''), column('user_id', { read_only: 'user_id' }), column('nick')])]);
  assert.deepEqual(
    columns.map(({ fixed }) => fixed),
    ['Skipped: it has no name.', 'Skipped: Auth0 sets this itself.', ''],
  );
});

test('the share of a column is of the rows of all files; without rows it is 0', () => {
  const share = (files) => view(files).columns.map((found) => found.share);
  assert.deepEqual(share([file([column('a', { filled: 1 })], { rows: 3 })]), [33]);
  assert.deepEqual(share([file([column('a')]), file([column('b', { filled: 5 })])]), [5, 25]);
  assert.deepEqual(share([file([column('a', { filled: 0 })], { rows: 0 })]), [0]);
});

test('the summary says what is left to do', () => {
  const summary = (columns, decisions = []) => view([file(columns)], decided(initialState(), decisions)).summary;
  assert.equal(summary([known('email'), column('x')]), '1 column needs a mapping');
  assert.equal(summary([column('Mail', { proposal: 'email' }), column('Name', { proposal: 'name' })]), '2 columns were matched by name. Please review.');
  assert.equal(summary([known('email'), known('name')]), 'All 2 columns are matched');
  assert.equal(summary([known('email'), column('x')], [['x', '']]), 'All 2 columns are mapped');
});

test('read-only attributes of JSON are offered for removal, those of CSV are left out anyway', () => {
  const columns = [known('email'), column('user_id', { read_only: 'user_id' })];
  assert.deepEqual(view([file(columns, { format: 'json' })]).readOnly, ['user_id']);
  assert.deepEqual(view([file(columns)]).readOnly, []);
});

test('the table is rebuilt for other columns only', () => {
  const files = [file([known('email'), column('x')])];
  assert.equal(view(files).key, view(files, decided(initialState(), [['x', 'name']])).key);
  assert.notEqual(view(files).key, view([file([known('email')])]).key);
});

test('a start is prevented by a conflict, an open column of CSV, and a refused mapping', () => {
  const obstacle = (files, decisions = []) => obstacleOf(view(files, decided(initialState(), decisions)), files);
  assert.equal(obstacle([file([known('email')])]), null);
  assert.deepEqual(obstacle([file([known('email'), column('x')])]), { message: 'Map “x” or skip it.', column: 'x' });
  assert.equal(obstacle([file([known('email'), column('x')], { format: 'json' })]), null);
  const double = obstacle([file([known('email'), column('x')])], [['x', 'email']]);
  assert.deepEqual(double, { message: '“email” is already mapped to email.', column: 'x' });
  const refused = { status: 400, code: 'invalid_mapping', message: 'Not an attribute.' };
  assert.deepEqual(obstacle([file([known('email')], { error: refused })]), { message: 'Not an attribute.', column: null });
  assert.equal(obstacle([file([known('email')], { error: { ...refused, code: 'other' } })]), null);
});

test('a file is described by its format', () => {
  const state = initialState();
  const error = { status: 400, code: 'users_file_format' };
  assert.equal(describeFile({ inspection: null, error: null }, state), 'Checking…');
  assert.equal(describeFile({ inspection: null, error: null }, { ...state, isSupported: false }), '');
  assert.equal(describeFile({ inspection: null, error }, state), 'Cannot be read (see below)');
  assert.equal(describeFile(file([], { rows: 1 }), state), 'CSV · UTF-8 · 1 row');
  assert.equal(describeFile(file([], { rows: 4000, complete: false }), state), 'CSV · UTF-8 · more than 4,000 rows');
  const input = { format: 'csv', encoding: 'UTF-16LE', delimiter: ';', gzip: true };
  assert.equal(describeFile(file([], { input }), state), 'CSV · separated by semicolon · UTF-16LE · compressed · 10 rows');
  assert.equal(describeFile(file([], { problem: { errorCode: 'users_file_empty' } }), state), 'CSV · Cannot be imported (see below)');
});

test('attributes that start with the text are suggested first, then metadata', () => {
  const labels = (text) => suggestAttribute(text, text.length, ATTRIBUTES).options.map(({ label }) => label);
  assert.deepEqual(labels('NAME'), ['name', 'username', 'given_name']);
  assert.deepEqual(labels('name'), ['username', 'given_name']);
  assert.deepEqual(labels('u'), ['username', 'user_metadata.']);
  assert.deepEqual(labels(''), [...ATTRIBUTES, 'user_metadata.', 'app_metadata.']);
});
