import assert from 'node:assert/strict';
import { test } from 'node:test';

const { pinsOf, toDraft } = await import('../../../server/assets/js/export-settings.js');

test('settings of the API become the state of the form', () => {
  const draft = toDraft({
    format: 'csv',
    query: 'blocked:true',
    connection_id: 'con_1',
    fields: [{ name: 'user.email', export_as: 'E-mail' }, { name: 'user.name' }],
    sort: { by: 'user.name', descending: true },
    limit: 10,
    delimiter: ';',
    bom: true,
    raw_cells: true,
    gzip: true,
    on_error: 'fail',
    transforms: { upper: 'abc' },
  });
  assert.deepEqual(draft, {
    query: 'blocked:true',
    connection: 'con_1',
    columns: [
      { name: 'user.email', export_as: 'E-mail' },
      { name: 'user.name', export_as: 'user.name' },
    ],
    sort: 'user.name',
    descending: true,
    format: 'csv',
    importReady: false,
    limit: '10',
    delimiter: ';',
    bom: true,
    rawCells: true,
    gzip: true,
    stopAtFault: true,
    transforms: { upper: 'abc' },
  });
});

test('empty settings become the state of an empty form', () => {
  const draft = toDraft({});
  assert.deepEqual([draft.columns, draft.limit, draft.delimiter, draft.sort, draft.transforms], [[], '', ',', '', {}]);
  assert.equal(toDraft({ preset: 'import' }).importReady, true);
});

test('members of unexpected types are ignored', () => {
  const draft = toDraft({ query: 7, fields: [null, 'email', { name: 7 }, { name: 'a', export_as: 7 }], sort: 'name', limit: 1.5, bom: 'yes', transforms: [1] });
  assert.deepEqual(draft.columns, [{ name: 'a', export_as: 'a' }]);
  assert.deepEqual([draft.query, draft.sort, draft.descending, draft.limit, draft.bom], ['', '', false, '', false]);
  assert.deepEqual(draft.transforms, {});
  assert.deepEqual(toDraft({ fields: {}, sort: null, limit: null }).columns, []);
});

test('pins keep texts only', () => {
  assert.deepEqual(pinsOf({ upper: 'abc', lower: 7, other: null }), { upper: 'abc' });
  for (const value of [null, undefined, 'abc', ['abc']]) assert.deepEqual(pinsOf(value), {});
});
