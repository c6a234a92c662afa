import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage } from './page.js';

const page = openPage('import');
const { badgeOf, ended, faults, isImport, outcomeOf, progressView, statusText } = await page.script('job-view.js');

const running = (more) => ({ id: 'job_1', type: 'users_export', status: 'processing', processed: 0, ...more });

test('a job has ended unless it is pending or in progress', () => {
  assert.deepEqual(
    ['pending', 'processing', 'completed', 'failed', 'canceled', 'expired'].map((status) => ended({ status })),
    [false, false, true, true, true, true],
  );
});

test('errors are failed rows of an import, or failed cells of an export', () => {
  assert.equal(faults({ summary: { failed: 2 } }), 2);
  assert.equal(faults({ summary: { faults: 3 } }), 3);
  assert.equal(faults({ summary: { failed: 0, rows: 1 } }), 0);
  assert.equal(faults({ summary: null }), 0);
  assert.equal(faults({}), 0);
});

test('types of jobs and of entries of the history are recognized', () => {
  assert.deepEqual(
    ['users_import', 'import', 'users_export', 'export', undefined].map((type) => isImport({ type })),
    [true, true, false, false, false],
  );
});

test('the status is in words, with the number of errors', () => {
  const completed = { status: 'completed', summary: { failed: 1200, inserted: 1 } };
  assert.equal(statusText({ ...completed, type: 'import' }), 'Completed, 1,200 failed');
  assert.equal(statusText({ ...completed, type: 'import', dry_run: true }), 'Completed with 1,200 errors');
  assert.equal(statusText({ status: 'completed', type: 'export', summary: { faults: 1 } }), 'Completed with 1 error');
  assert.equal(statusText({ status: 'completed' }), 'Completed');
  assert.equal(statusText({ status: 'failed', summary: { failed: 1 } }), 'Failed');
  assert.equal(statusText({ status: 'new' }), 'new');
  assert.deepEqual(badgeOf({ status: 'completed', summary: { failed: 1 } }), ['warning', 'warning']);
  assert.deepEqual(badgeOf({ status: 'new' }), ['idle', 'wait']);
});

test('an import without a single imported user has failed', () => {
  const job = { type: 'import', status: 'completed', summary: { total: 110, inserted: 0, updated: 0, failed: 110 } };
  assert.equal(outcomeOf(job), 'failed');
  assert.equal(statusText(job), 'Failed, no user was imported');
  assert.deepEqual(badgeOf(job), ['error', 'error']);
  for (const other of [
    { ...job, dry_run: true },
    { ...job, summary: { ...job.summary, updated: 1 } },
    { ...job, type: 'export', summary: { rows: 0, faults: 3 } },
  ]) {
    assert.equal(outcomeOf(other), 'faults');
  }
  assert.equal(outcomeOf({ ...job, summary: { total: 0, failed: 0 } }), 'completed');
});

test('no running job is shown as complete', () => {
  // The file of an unknown number of users has been read, but not all users are processed.
  const unknown = progressView(running({ processed: 48_875, total: null, percentage_done: 100, time_left_seconds: 0 }));
  assert.ok(Number.isNaN(unknown.percent));
  assert.deepEqual(unknown.figures, ['48,875 users so far']);
  const known = progressView(running({ processed: 2000, total: 2000, percentage_done: 100, time_left_seconds: 0 }));
  assert.equal(known.percent, 99);
  const half = progressView(running({ processed: 500, total: null, percentage_done: 50, time_left_seconds: 30 }));
  assert.equal(half.percent, 50);
  assert.deepEqual(half.figures, ['500 users so far', 'about 30 seconds left']);
  assert.ok(Number.isNaN(progressView(running({})).percent));
});
