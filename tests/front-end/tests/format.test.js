import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage } from './page.js';

const page = openPage();
const { binarySize, dateText, duration, number, period, rate, size, time } = await page.script('format.js');

test('numbers have group separators', () => assert.equal(number(48_211), '48,211'));

test('a size has the decimal unit that fits', () => {
  const cases = [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1 KB'],
    [500_000, '500 KB'],
    [999_949, '999.9 KB'],
    [999_950, '1 MB'],
    [1_550_000_000, '1.6 GB'],
    [5e15, '5,000 TB'],
  ];
  for (const [bytes, words] of cases) assert.equal(size(bytes), words);
});

test('a binary size has the binary unit that fits', () => {
  assert.equal(binarySize(1023), '1,023 B');
  assert.equal(binarySize(1024), '1 KiB');
  assert.equal(binarySize(2 * 1024 ** 3), '2 GiB');
  assert.equal(binarySize(64 * 1024 ** 2), '64 MiB');
});

test('a period is exact', () => {
  const cases = [
    [7 * 86_400, '7 days'],
    [7200, '2 hours'],
    [5400, '90 minutes'],
    [86_400, '1 day'],
    [90, '90 seconds'],
    [0, '0 seconds'],
  ];
  for (const [seconds, words] of cases) assert.equal(period(seconds), words);
});

test('a duration is rounded', () => {
  const cases = [
    [0, 'a moment'],
    [1.9, 'a moment'],
    [2, 'about 2 seconds'],
    [89, 'about 89 seconds'],
    [90, 'about 2 minutes'],
    [5399, 'about 90 minutes'],
    [5400, 'about 2 hours'],
  ];
  for (const [seconds, words] of cases) assert.equal(duration(seconds), words);
});

test('only low rates have decimals', () => {
  assert.equal(rate(0.25), '0.3');
  assert.equal(rate(9.5), '9.5');
  assert.equal(rate(1234.5), '1,235');
});

test('a date that cannot be read is shown as it is', () => {
  assert.equal(dateText('yesterday'), 'yesterday');
  assert.match(dateText('2030-01-02T03:04:05Z'), /2030/);
  assert.equal(time('yesterday').outerHTML, '<span>yesterday</span>');
  assert.equal(time('2030-01-02T03:04:05Z').getAttribute('datetime'), '2030-01-02T03:04:05.000Z');
});
