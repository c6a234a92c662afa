import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage } from './page.js';

const page = openPage('export', { language: 'de' });
const { labelOf, texts, textsOf } = await page.script('texts.js');

test('texts are in the language of the page', () => {
  assert.equal(texts.import.importing({ name: 'a.csv' }), 'Import von a.csv läuft');
  assert.equal(texts.errors.tryAgain, 'Noch einmal versuchen');
});

test('a text without values is a string, others are functions', () => {
  assert.equal(textsOf('Cancel'), 'Cancel');
  assert.equal(textsOf('Remove {name}')({ name: 'a.csv' }), 'Remove a.csv');
  assert.equal(textsOf({ a: { b: 'c' } }).a.b, 'c');
});

test('values are inserted once, as they are', () => {
  const text = textsOf('{name} and {other}');
  assert.equal(text({ name: '{other}', other: '$&' }), '{other} and $&');
  assert.equal(text({ name: '', other: '<b>' }), ' and <b>');
});

test('numbers are formatted in the language of the page', () => {
  assert.equal(textsOf('{count} of {all}')({ count: 12_345, all: '12345' }), '12.345 of 12345');
});

test('a count selects the plural form', () => {
  const text = textsOf({ one: 'one file', other: '{count} files' });
  assert.equal(text({ count: 1 }), 'one file');
  assert.equal(text({ count: 0 }), '0 files');
  assert.equal(text({ count: 1_000 }), '1.000 files');
  assert.equal(textsOf({ other: '{count} Stück' })({ count: 1 }), '1 Stück');
});

test('a value without a label is shown as it is', () => {
  assert.equal(labelOf({ csv: 'CSV' }, 'csv'), 'CSV');
  assert.equal(labelOf({ csv: 'CSV' }, 'constructor'), 'constructor');
  assert.equal(labelOf({ csv: 'CSV' }, 'ods', ''), '');
});
