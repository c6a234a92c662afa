import assert from 'node:assert/strict';
import { test } from 'node:test';

const { importView, initialState, obstacleOf, restoredOptions, storedOptions } = await import('../../../server/assets/js/import-state.js');

const ALL = { upsert: true, backup: false, email: true, dropEmpty: true, dropUnknown: true, dropReadOnly: true, keepPrefix: true };

test('updating existing users, and leaving out the backup, are not kept', () => {
  assert.deepEqual(storedOptions(ALL), { email: true, dropEmpty: true, dropUnknown: true, dropReadOnly: true, keepPrefix: true });
  const none = { email: false, dropEmpty: false, dropUnknown: false, dropReadOnly: false, keepPrefix: false };
  assert.deepEqual(restoredOptions({}), { upsert: false, backup: true, ...none });
  // A draft of an earlier version may have them.
  assert.deepEqual(restoredOptions(ALL), { ...ALL, upsert: false, backup: true });
});

test('a start is prevented by the first obstacle on the page', () => {
  const form = { files: 1, isUnusable: false, isMapped: true, connection: 'con_1', dryRun: false };
  assert.equal(obstacleOf(form), null);
  assert.equal(obstacleOf({ ...form, files: 0, isMapped: false }), 'files');
  assert.equal(obstacleOf({ ...form, isUnusable: true, isMapped: false }), 'unusable');
  assert.equal(obstacleOf({ ...form, isMapped: false, connection: '' }), 'mapping');
  assert.equal(obstacleOf({ ...form, connection: '' }), 'connection');
  assert.equal(obstacleOf({ ...form, connection: '', dryRun: true }), null);
  assert.equal(obstacleOf({ ...form, isUnusable: true, dryRun: true }), 'unusable');
});

test('the form can be cleared unless a job runs or nothing is there', () => {
  const files = [{}];
  assert.deepEqual(importView(initialState(), false), { isDisabled: false, showsSample: true, showsClear: false });
  assert.deepEqual(importView({ ...initialState(), files }, false), { isDisabled: false, showsSample: false, showsClear: true });
  assert.deepEqual(importView({ ...initialState(), files, running: true }, true), { isDisabled: true, showsSample: false, showsClear: false });
  assert.equal(importView(initialState(), true).showsClear, true);
});
