import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage, text, type } from './page.js';

const page = openPage('import');
const { readingFields } = await page.script('reading.js');
const { byId } = await page.script('dom.js');

const SOURCES = [
  { name: 'okta', title: 'Okta' },
  { name: 'keycloak', title: 'Keycloak' },
];
const inspection = (more = {}) => ({ columns: [], sources: SOURCES, checked: { reasons: [] }, ...more });
const warning = (code, message, more = {}) => ({ code, message, severity: 'warning', count: 1, lines: [], ...more });

function start(...inspections) {
  const files = inspections.map((found, index) => ({ file: new File(['x'], `file-${index}.csv`), inspection: found, error: null }));
  const changes = [];
  return { files, changes, ...readingFields({ files: () => files, changed: ({ typing }) => changes.push(typing) }) };
}
const change = (id, value) => {
  byId(id).value = value;
  byId(id).dispatchEvent(new Event('change', { bubbles: true }));
};

test('the sources of the server can be chosen, and the choice is kept', () => {
  const { restore, show, options, changes } = start(inspection());
  restore({ source: 'keycloak' });
  assert.equal(options().source, 'keycloak');
  show();
  assert.deepEqual(
    [...byId('source').options].map(({ value }) => value),
    ['', 'none', 'okta', 'keycloak'],
  );
  assert.equal(options().source, 'keycloak');
  change('source', 'okta');
  show();
  assert.deepEqual([options().source, changes.at(-1)], ['okta', false]);
});

test('a detected source is named; a chosen one is not', () => {
  const { restore, show } = start(inspection({ source: SOURCES[0] }));
  restore({});
  show();
  assert.equal(text(byId('source-remark')), 'file-0.csv is an export of Okta: its attributes and password hashes are converted.');
  change('source', 'okta');
  show();
  assert.equal(text(byId('source-remark')), '');
});

test('warnings are beside their fields, with the file if there are several', () => {
  const guessed = warning('ENCODING_GUESSED', 'The encoding was guessed: Shift_JIS.', { lines: [2], hint: 'Choose it.' });
  const found = inspection({ checked: { reasons: [guessed, warning('UPSERT_REPLACES', 'Metadata is replaced.'), warning('NULL_TEXT', 'NULL is a text.')] } });
  const { show } = start(found);
  show();
  assert.equal(text(byId('encoding-remark')), 'The encoding was guessed: Shift_JIS. (line 2) Choose it.');
  assert.equal(text(byId('upsert-remark')), 'Metadata is replaced.');
  assert.equal(text(byId('null-texts-remark')), 'NULL is a text.');
  const several = start(found, inspection());
  several.show();
  assert.match(text(byId('encoding-remark')), /\(file-0\.csv, line 2\)/);
  start(inspection()).show();
  for (const id of ['encoding-remark', 'upsert-remark', 'null-texts-remark']) assert.equal(text(byId(id)), '', id);
});

test('values with special letters show how the file was read', () => {
  const { show } = start(inspection({ columns: [{ name: 'name', examples: ['Ada', 'Müller'] }] }));
  show();
  assert.equal(text(byId('encoding-preview')), 'Read with this encoding: Müller');
});

test('an error of an option is at its field, until it is corrected', () => {
  const { files, show, check } = start(inspection());
  files[0].error = { status: 400, code: 'invalid_search', field: '', message: 'A quote is not closed.', hint: '' };
  show();
  assert.match(text(byId('query-error')), /A quote is not closed\./);
  assert.equal(check(), byId('query'));
  files[0].error = null;
  show();
  assert.deepEqual([text(byId('query-error')), check()], ['', null]);
});

test('remarks on the query are sentences at its field', () => {
  start(inspection({ remarks: [{ message: 'the word and is searched for', widens: true }] })).show();
  assert.equal(text(byId('query-remark')), 'The word and is searched for.');
});

test('typing in a field is reported as such, a choice is not', () => {
  const { changes, restore } = start(inspection());
  type(byId('query'), 'a:b');
  change('encoding', 'Big5');
  assert.deepEqual(changes, [true, false]);
  restore({ encoding: 'not an encoding' });
  assert.equal(byId('encoding').value, '');
});

test('fields are disabled while a job runs', () => {
  const { disable } = start(inspection());
  disable(true);
  assert.ok(['source', 'encoding', 'null-texts', 'query'].every((id) => byId(id).disabled));
  disable(false);
  assert.ok(!byId('source').disabled);
});
