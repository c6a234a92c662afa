import assert from 'node:assert/strict';
import { test } from 'node:test';

const { texts: english } = await import('../../../server/assets/js/texts.en.js');
const { texts: german } = await import('../../../server/assets/js/texts.de.js');

/** The texts by path, as `[path, text]`. */
function entries(texts, path = '') {
  return Object.entries(texts).flatMap(([name, value]) => {
    const at = `${path}${name}`;
    return value && typeof value === 'object' ? entries(value, `${at}.`) : [[at, value]];
  });
}

test('both languages have the same keys', () => {
  const keys = (texts) =>
    entries(texts)
      .map(([path]) => path)
      .sort();
  assert.deepEqual(keys(german), keys(english));
  assert.ok(keys(english).length > 300);
});

test('both languages take the same number of values', () => {
  const shapes = (texts) => Object.fromEntries(entries(texts).map(([path, text]) => [path, typeof text === 'function' ? text.length : typeof text]));
  assert.deepEqual(shapes(german), shapes(english));
});

test('no text is empty, undefined or an object in words', () => {
  for (const [path, text] of [...entries(english), ...entries(german)]) {
    const values = path.endsWith('olderVersions') ? [['upper']] : ['3', '3', '3', '3'];
    const words = typeof text === 'function' ? text(...values) : text;
    assert.equal(typeof words, 'string', path);
    assert.ok(words.trim() !== '' && !/undefined|\[object|NaN|=>/.test(words), `${path}: ${words}`);
  }
});

test('values appear in the text of both languages', () => {
  for (const [path, text] of [...entries(english), ...entries(german)]) {
    if (typeof text !== 'function' || text.length !== 1 || !text.toString().includes('${')) continue;
    const value = path.endsWith('olderVersions') ? ['37'] : '37';
    assert.ok(text(value).includes('37'), path);
  }
});

test('one is singular, other numbers are plural', () => {
  assert.equal(english.import.added(1), '1 file added');
  assert.equal(english.import.added(0), '0 files added');
  assert.equal(german.time.hours(1), 'etwa 1 Stunde');
  assert.equal(german.time.hours(2), 'etwa 2 Stunden');
  assert.equal(english.job.parts('2', '5', 0, 0), '2 of 5 parts done');
  assert.equal(english.job.parts('2', '5', 1, '1'), '2 of 5 parts done, 1 in progress, 1 rejected');
});
