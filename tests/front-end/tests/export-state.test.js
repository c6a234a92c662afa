import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage } from './page.js';

const page = openPage();
const { countView, initialState, wideRemarks } = await page.script('export-state.js');

const known = (total, more = {}) => ({ state: 'known', total, capped: false, ...more });
const view = (count, { running = false, query = 'a' } = {}) => countView({ running, count }, query);
const AND = { message: '`and` in lower case is a word', widens: true };
const UNKNOWN = { message: 'no attribute `emial`' };

test('the count and the start button say how many users match', () => {
  const { figure, words, button, isDisabled } = view(known(1200));
  assert.deepEqual([figure, words, button, isDisabled], ['1,200', 'users match', 'Export 1,200 users', false]);
  assert.equal(view(known(1), { query: '' }).words, 'user in total');
  assert.deepEqual([view(known(1000, { capped: true })).figure, view(known(1000, { capped: true })).button], ['1000+', 'Export 1000+ users']);
  assert.match(view(known(17, { capped: true })).words, /^At least 17 users match\./);
  assert.deepEqual([view(known(0)).isDisabled, view(known(0)).button], [true, 'Nothing to export']);
  assert.equal(view(initialState().count).words, 'Counting users…');
});

test('a disabled button has a reason while an export runs', () => {
  const { isDisabled, note } = view(known(3), { running: true });
  assert.equal(isDisabled, true);
  assert.match(note, /^An export is running\./);
  assert.equal(view(known(3)).note, '');
});

test('an error of the search is shown at its field, other errors at the count', () => {
  const invalid = view({ state: 'failed', error: { status: 400, message: 'No.' } });
  assert.deepEqual([invalid.error?.message, invalid.words], ['No.', 'Could not count users.']);
  const lost = view({ state: 'failed', error: { status: 0, message: 'No server.' } });
  assert.deepEqual([lost.error, lost.words], [null, 'Could not count users. No server.']);
});

test('remarks are shown at the search; those that widen it must be confirmed', () => {
  for (const count of [known(3, { remarks: [AND, UNKNOWN] }), known(0, { remarks: [AND, UNKNOWN] }), known(5, { capped: true, remarks: [AND, UNKNOWN] })]) {
    assert.deepEqual(view(count).remarks, [AND, UNKNOWN]);
    assert.deepEqual(wideRemarks(count), [AND]);
  }
  assert.deepEqual([view(known(3)).remarks, wideRemarks(known(3)), wideRemarks({ state: 'counting' })], [[], [], []]);
});
