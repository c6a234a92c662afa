import assert from 'node:assert/strict';
import { test } from 'node:test';

const { encodingPreview, fieldOfError, fieldWarnings, isFieldWarning, queryRemarks, readingParts, restoredReading, sourcesOf, textsOfList } = await import(
  '../../../server/assets/js/reading-state.js'
);

const file = (name, inspection, error = null) => ({ file: { name }, inspection, error });

test('a draft of an earlier version has no options', () => {
  assert.deepEqual(restoredReading({}), { source: '', encoding: '', nullTexts: '', query: '' });
  const options = { source: 'okta', encoding: 'Big5', nullTexts: 'NULL', query: 'a:b' };
  assert.deepEqual(restoredReading({ connection: 'con_1', ...options }), options);
});

test('texts are separated by commas, and each is sent once', () => {
  assert.deepEqual(textsOfList(' NULL, \\N,,NULL , not set '), ['NULL', '\\N', 'not set']);
  assert.deepEqual(textsOfList(' , '), []);
});

test('empty options are not sent', () => {
  assert.deepEqual(readingParts({ source: '', encoding: '', nullTexts: ' ', query: '  ' }), {});
  assert.deepEqual(readingParts({ source: 'none', encoding: 'Big5', nullTexts: 'NULL,-', query: ' a:b ' }), {
    source: 'none',
    encoding: 'Big5',
    query: 'a:b',
    null: ['NULL', '-'],
  });
});

test('an error of an option is shown at its field, other errors are of the file', () => {
  assert.equal(fieldOfError({ code: 'invalid_search', field: '' }), 'query');
  assert.equal(fieldOfError({ code: 'invalid_body', field: 'encoding' }), 'encoding');
  assert.equal(fieldOfError({ code: 'invalid_body', field: 'null' }), 'null-texts');
  for (const field of ['', undefined, null, 'users', 'constructor']) assert.equal(fieldOfError({ code: 'users_file_format', field }), null);
});

test('warnings about options are shown at their fields, errors and other warnings in the list of the file', () => {
  const reason = (code, severity = 'warning') => ({ code, severity, count: 1, lines: [], message: code });
  const reasons = [reason('ENCODING_GUESSED'), reason('FORMAT', 'error'), reason('RAGGED_ROW'), reason('UPSERT_REPLACES'), reason('NULL_TEXT', 'error')];
  assert.deepEqual(
    fieldWarnings([file('a', { checked: { reasons } }), file('b', { checked: null }), file('c', null)]).map(({ field, file: name }) => [field, name]),
    [
      ['encoding', 'a'],
      ['upsert', 'a'],
    ],
  );
  assert.deepEqual(reasons.map(isFieldWarning), [true, false, false, true, false]);
  assert.equal(isFieldWarning({ code: 'constructor', severity: 'warning' }), false);
});

test('attributes are left out by the option, or by the conversion of a source', () => {
  const checked = { reasons: [{ code: 'ATTRIBUTE_LEFT_OUT', severity: 'warning', count: 1, lines: [], message: '' }] };
  const fields = (inspection) => fieldWarnings([file('a', inspection)]).map(({ field }) => field);
  assert.deepEqual(fields({ checked }), ['drop-unknown']);
  assert.deepEqual(fields({ checked, source: { name: 'okta', title: 'Okta' } }), ['source']);
});

test('sources are those of the server; each file has its own', () => {
  const sources = [
    { name: 'okta', title: 'Okta' },
    { name: 'cognito', title: 'Amazon Cognito' },
  ];
  const files = [
    file('a', null),
    file('b', { sources, source: sources[1] }),
    file('c', { sources }),
    file('d', { sources, source: sources[0] }, { status: 400 }),
  ];
  assert.deepEqual(sourcesOf(files), { all: sources, detected: [{ file: 'b', title: 'Amazon Cognito' }] });
  assert.deepEqual(sourcesOf([]), { all: [], detected: [] });
});

test('the preview of an encoding has values with other letters than those of ASCII', () => {
  const columns = [
    { name: 'Größe', examples: ['ada', 'Müller'] },
    { name: 'city', examples: ['Łódź', 'Müller', 'Zürich', 'Genève', 'São'] },
  ];
  assert.deepEqual(encodingPreview([file('a', { columns }), file('b', null)]), ['Größe', 'Müller', 'Łódź', 'Zürich']);
  assert.deepEqual(encodingPreview([file('a', { columns: [{ name: 'email', examples: ['a@b'] }] })]), []);
});

test('a remark on the query is shown once for all files', () => {
  const remark = { message: 'and is a word', widens: true };
  assert.deepEqual(queryRemarks([file('a', { remarks: [remark] }), file('b', { remarks: [{ ...remark }] }), file('c', {}), file('d', null)]), [remark]);
});
