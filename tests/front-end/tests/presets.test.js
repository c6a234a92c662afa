import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { openPage, press, settle, text, type } from './page.js';

const page = openPage();
const { presetBar } = await page.script('presets.js');
const { byId } = await page.script('dom.js');

const SETTINGS = { format: 'csv', query: 'blocked:true' };
let loaded = [];
let settings = SETTINGS;
// One bar for all tests, because it listens to the buttons of the page.
const bar = presetBar({ settings: () => settings, load: (value) => loaded.push(value) });
const select = byId('preset');
const note = byId('preset-note');
const options = () => [...select.querySelectorAll('option')].map(({ value }) => value);
const choose = async (value) => {
  select.value = value;
  select.dispatchEvent(new Event('change'));
  await settle();
};

/** Serves two presets; other routes and presets are not found. */
function servePresets({ method, path }) {
  if (method !== 'GET') return method === 'DELETE' ? { status: 204 } : { body: {} };
  if (path === 'presets') return { body: { presets: [preset('Blocked users'), preset('Users', 'import'), preset('a/b')] } };
  if (path === 'presets/a%2Fb') return { body: { format: 'json' } };
  return { status: 404, body: { message: 'There is no such preset.', errorCode: 'inexistent_preset' } };
}
const preset = (name, kind = 'export') => ({ name, type: kind, updated_at: '2030-01-01T00:00:00Z' });

beforeEach(async () => {
  page.serve(servePresets);
  settings = SETTINGS;
  await bar.refresh();
  byId('preset-form').hidden = true;
  note.replaceChildren();
  loaded = [];
  page.requests.length = 0;
});

test('presets of exports are listed', () => {
  assert.deepEqual(options(), ['', 'built-in', 'own:Blocked users', 'own:a/b']);
  assert.equal(byId('preset-delete').hidden, true);
});

test('a preset that no longer exists is not selected', async () => {
  await bar.refresh('own:gone');
  assert.equal(select.value, '');
});

test('the built-in preset needs no request', async () => {
  await choose('built-in');
  assert.deepEqual(loaded, [{ format: 'json', preset: 'import' }]);
  assert.equal(page.requests.length, 0);
});

test('a saved preset is loaded by its name', async () => {
  await choose('own:a/b');
  assert.deepEqual(loaded, [{ format: 'json' }]);
  assert.equal(page.requests[0].path, 'presets/a%2Fb');
  assert.equal(byId('preset-delete').hidden, false);
});

test('a preset is not loaded after another was chosen', async () => {
  select.value = 'own:a/b';
  select.dispatchEvent(new Event('change'));
  await choose('built-in');
  assert.deepEqual(loaded, [{ format: 'json', preset: 'import' }]);
});

test('a preset that cannot be read shows the error', async () => {
  await choose('own:Blocked users');
  assert.deepEqual(loaded, []);
  assert.match(text(note), /There is no such preset\./);
});

test('settings are saved under a name', async () => {
  byId('preset-save').click();
  assert.equal(byId('preset-form').hidden, false);
  type(byId('preset-name'), ' a/b ');
  press(byId('preset-name'), 'Enter');
  await settle();
  const [{ method, path, body }] = page.requests;
  assert.deepEqual([method, path, JSON.parse(body)], ['PUT', 'presets/a%2Fb', SETTINGS]);
  assert.equal(byId('preset-form').hidden, true);
  assert.equal(select.value, 'own:a/b');
  assert.equal(byId('preset-confirm').disabled, false);
});

test('a name that is empty or too long is refused', async () => {
  byId('preset-save').click();
  for (const name of ['  ', 'x'.repeat(101)]) {
    type(byId('preset-name'), name);
    byId('preset-confirm').click();
    await settle();
    assert.equal(byId('preset-name').getAttribute('aria-invalid'), 'true');
  }
  assert.equal(page.requests.length, 0);
});

test('invalid settings are neither saved nor downloaded', async () => {
  settings = null;
  type(byId('preset-name'), 'x');
  byId('preset-confirm').click();
  byId('preset-share').click();
  await settle();
  assert.equal(page.requests.length, 0);
});

test('a preset is deleted after a confirmation', async () => {
  await choose('own:a/b');
  page.requests.length = 0;
  byId('preset-delete').click();
  assert.equal(page.requests.length, 0);
  note.querySelector('button').click();
  await settle();
  assert.deepEqual([page.requests[0].method, page.requests[0].path], ['DELETE', 'presets/a%2Fb']);
  assert.equal(select.value, '');
});

/** Chooses a file with a content. */
async function openFile(name, content) {
  const field = byId('preset-file');
  Object.defineProperty(field, 'files', { configurable: true, value: [new File([content], name)] });
  field.dispatchEvent(new Event('change'));
  await settle();
  await settle();
}

test('a preset file is loaded', async () => {
  await openFile('blocked.preset.json', JSON.stringify(SETTINGS));
  assert.deepEqual(loaded, [SETTINGS]);
  assert.equal(byId('preset-name').value, 'blocked');
  await openFile('x.json', JSON.stringify({ name: 'Mine', ...SETTINGS }));
  assert.equal(byId('preset-name').value, 'Mine');
});

test('a file that is not a preset is refused', async () => {
  for (const content of ['', '{', 'null', '[]', '{"format":7}', '"csv"', ' '.repeat(1_000_001)]) {
    note.replaceChildren();
    await openFile('notes.json', content);
    assert.match(text(note), /notes\.json: This is not a preset\./, content.slice(0, 10));
  }
  assert.deepEqual(loaded, []);
});

test('saving is not offered if the server has no presets', async () => {
  page.serve(() => ({ status: 404, body: { message: 'Not found.' } }));
  await bar.refresh();
  assert.equal(byId('preset-save').hidden, true);
  assert.equal(text(note), '');
  byId('preset-save').hidden = false;
  page.serve(() => ({ status: 500, body: { message: 'It failed.' } }));
  await bar.refresh();
  assert.match(text(note), /It failed\./);
  assert.equal(byId('preset-save').hidden, false);
});
