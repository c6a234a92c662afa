import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage } from './page.js';

const page = openPage('history');
const { filteredJobs, importDraft, initialState, kindOf, starters, summaryText, typeText } = await page.script('history-state.js');

const entry = (id, type, status, more = {}) => ({ id, type, status, date: '', by: 'ada', ...more });
const JOBS = [
  entry('1', 'import', 'processing', { by: 'grace' }),
  entry('2', 'import', 'completed', { dry_run: true, summary: { total: 5, failed: 2 } }),
  entry('3', 'import', 'completed', { summary: { total: 5, inserted: 3, failed: 2 } }),
  entry('4', 'import', 'completed', { summary: { total: 5, inserted: 0, failed: 5 } }),
  entry('5', 'export', 'completed', { summary: { rows: 1 } }),
  entry('6', 'export', 'failed'),
];
const found = (filters) => filteredJobs(JOBS, { type: '', status: '', by: '', ...filters }).map(({ id }) => id);

test('jobs are filtered by type, outcome and starter', () => {
  assert.deepEqual(found({}), ['1', '2', '3', '4', '5', '6']);
  assert.deepEqual([found({ type: 'check' }), found({ type: 'import' }), found({ type: 'export' })], [['2'], ['1', '3', '4'], ['5', '6']]);
  assert.deepEqual([found({ status: 'running' }), found({ status: 'completed' }), found({ status: 'faults' })], [['1'], ['5'], ['2', '3']]);
  // An import without a single imported user is a failed one.
  assert.deepEqual(found({ status: 'failed' }), ['4', '6']);
  assert.deepEqual(found({ by: 'grace' }), ['1']);
  assert.deepEqual(starters([...JOBS, entry('7', 'export', 'failed', { by: '' })]), ['ada', 'grace']);
  assert.deepEqual(initialState().jobs, []);
});

test('types and results are in words', () => {
  assert.deepEqual(JOBS.map(kindOf), ['import', 'check', 'import', 'import', 'export', 'export']);
  assert.equal(typeText(JOBS[1]), 'Check');
  assert.deepEqual(JOBS.map(summaryText), ['', '3 can be imported, 2 with errors', '3 inserted, 2 failed', '5 failed', '1 user', '']);
  assert.equal(summaryText(entry('8', 'export', 'completed', { summary: { rows: 0, faults: 1 } })), 'no users, 1 error');
  assert.equal(summaryText(entry('9', 'import', 'completed', { summary: { total: 0 } })), 'no users');
});

test('settings of an import that updated users do not update users again', () => {
  const draft = importDraft({
    connection_id: 'con_1',
    upsert: true,
    backup: false,
    send_completion_email: true,
    keep_id_prefix: true,
    source: 'okta',
    null: ['NULL', '-'],
    drop_empty: true,
    map: [{ attribute: 'email', expression: 'user.Mail' }],
  });
  assert.deepEqual(draft, {
    connection: 'con_1',
    email: true,
    keepPrefix: true,
    dropReadOnly: false,
    dropEmpty: true,
    dropUnknown: false,
    source: 'okta',
    encoding: '',
    nullTexts: 'NULL, -',
    query: '',
    map: { email: 'user.Mail' },
  });
  assert.equal(importDraft({}).connection, '');
});
