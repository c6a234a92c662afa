import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage } from './page.js';

const page = openPage('export', { language: 'de' });
const { duration, number, period, size } = await page.script('format.js');

test('a German page has German numbers and words', () => {
  assert.equal(number(48_211), '48.211');
  assert.equal(size(1_550_000), '1,6 MB');
  assert.equal(period(172_800), '2 Tage');
  assert.equal(duration(120), 'etwa 2 Minuten');
});
