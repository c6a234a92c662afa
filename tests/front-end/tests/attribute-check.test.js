import assert from 'node:assert/strict';
import { test } from 'node:test';

const { editDistance, unknownPath } = await import('../../../server/assets/js/attribute-check.js');

const attribute = (path, type = 'string') => ({ path, type });
const SAMPLED = [
  attribute('user.email'),
  attribute('user.app_metadata.plan'),
  attribute('user.identities[0].connection'),
  attribute('user.user_metadata.tags', 'array'),
];
const DOCUMENTED = ['user.created_at', 'user.user_metadata', 'user.app_metadata'];
const check = (expression) => unknownPath(expression, SAMPLED, DOCUMENTED);

test('a misspelled path is reported with the nearest attribute', () => {
  assert.deepEqual(check('creatd_at'), { path: 'creatd_at', nearest: 'user.created_at' });
  assert.deepEqual(check('user.emial'), { path: 'user.emial', nearest: 'user.email' });
  assert.deepEqual(check(' user.app_metadata.paln '), { path: 'user.app_metadata.paln', nearest: 'user.app_metadata.plan' });
  assert.deepEqual(check('user.favorite_color'), { path: 'user.favorite_color', nearest: null });
});

test('known paths, their groups and their members are not reported', () => {
  const known = [
    'email',
    'user.email',
    'user?.email',
    'created_at',
    'app_metadata',
    'user.identities[3].connection',
    'user.identities',
    'user.user_metadata.tags[1]',
  ];
  for (const path of [...known, 'user["email"]', 'user', '']) assert.equal(check(path), null, path);
});

test('other expressions, and paths without a sample, are not reported', () => {
  for (const expression of ['user.emial || user.name', 'upper(user.emial)', 'user.emial.trim()', '"emial"']) assert.equal(check(expression), null, expression);
  assert.equal(unknownPath('user.emial', [], DOCUMENTED), null);
});

test('a swap of neighbors is one edit', () => {
  assert.deepEqual([editDistance('emial', 'email'), editDistance('', 'ab'), editDistance('plan', 'plant'), editDistance('a', 'a')], [1, 2, 1, 0]);
});
