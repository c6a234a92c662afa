import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage } from './page.js';

const page = openPage('transforms');
const { matchesSearch, paragraphsOf, secretBinding, unusedName, uploadView, withColumn } = await page.script('transforms-state.js');

test('a transform is found by all words of a search, anywhere in its texts', () => {
  const transform = { name: 'mask_email', summary: 'Hides an address', documentation: 'Keeps the domain.' };
  for (const search of ['', 'mask', 'MASK domain', 'address keeps']) assert.equal(matchesSearch(transform, search), true, search);
  assert.equal(matchesSearch(transform, 'mask phone'), false);
  assert.equal(matchesSearch({ name: 'join', summary: '', documentation: null }, 'undefined'), false);
});

test('the summary is not repeated in the documentation', () => {
  assert.deepEqual(paragraphsOf({ summary: 'First.', documentation: 'First.\n\n  Second.  \n \nThird.' }), ['Second.', 'Third.']);
  assert.deepEqual(paragraphsOf({ summary: 'First.' }), []);
});

test('a secret is bound to the name of a shipped transform, and to the digest of another', () => {
  const transform = { name: 'hash', origin: 'shipped', sha256: 'abc', parameters: [{ secret: false }, { secret: true }] };
  assert.equal(secretBinding(transform), 'hash');
  assert.equal(secretBinding({ ...transform, origin: 'upload' }), 'sha256:abc');
  assert.equal(secretBinding({ ...transform, parameters: [{ secret: false }] }), null);
  assert.equal(secretBinding({ ...transform, parameters: undefined }), null);
});

test('a new column gets a name that no other column has', () => {
  const named = (...names) => names.map((export_as) => ({ name: 'x', export_as }));
  assert.equal(unusedName('mask', named('Email')), 'mask');
  assert.equal(unusedName('mask', named('mask', 'mask 2')), 'mask 3');
});

test('a column is added to the form of the Export page, and the rest of the form is kept', () => {
  assert.deepEqual(withColumn(null, 'mask(user.email)', 'mask'), {
    draft: { columns: [{ name: 'mask(user.email)', export_as: 'mask' }] },
    name: 'mask',
  });
  const draft = { query: 'a', columns: [{ name: 'user.email', export_as: 'mask' }] };
  const { draft: after, name } = withColumn(draft, 'mask(user.email)', 'mask');
  assert.deepEqual([after.query, after.columns.length, name, draft.columns.length], ['a', 2, 'mask 2', 1]);
  // A form of an earlier version.
  assert.equal(withColumn({ columns: 'none' }, 'x', 'x').draft.columns.length, 1);
});

test('a file without a manifest, or with the name of a transform of the server, cannot be added', () => {
  const shipped = [{ name: 'join', version: '1.0.0', origin: 'shipped' }];
  assert.deepEqual(uploadView(null, shipped).mayAdd, false);
  assert.match(uploadView(null, shipped).remark, /no transform manifest/);
  const reserved = uploadView({ name: 'join' }, shipped);
  assert.deepEqual([reserved.mayAdd, reserved.kind], [false, 'warning']);
  assert.match(reserved.remark, /join 1\.0\.0 already exists/);
});

test('a file adds a transform, or a version of an uploaded one', () => {
  assert.deepEqual(uploadView({ name: 'mine' }, []), { mayAdd: true, kind: 'info', remark: '' });
  const again = uploadView({ name: 'mine' }, [{ name: 'mine', version: '1.0.0', origin: 'upload' }]);
  assert.deepEqual([again.mayAdd, again.kind], [true, 'info']);
  assert.match(again.remark, /keep it/);
});
