import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage, settle, text } from './page.js';

const page = openPage();
const { preview } = await page.script('preview.js');

const answer = (plan) => ({
  columns: [{ name: 'Email', kind: 'path' }],
  rows: [[{ value: 'ada@example.com' }], [{ error: 'it failed' }]],
  users: 2,
  plan: { source: 'search', users: 2, filtered: null, sorted: null, requests: 1, lines: [], ...plan },
});

async function shown(context, plan) {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  page.serve(() => ({ body: answer(plan) }));
  preview({ onAnswer: () => {}, onRejected: () => false }).ask({ format: 'csv' }, { now: true });
  context.mock.timers.tick(0);
  await settle();
  context.mock.timers.reset();
  return text(document.querySelector('#preview-rows .help'));
}

test('the preview of a sorted export does not claim to be sorted', async (context) => {
  assert.equal(await shown(context, {}), 'First 2 rows. 1 cell failed and will be empty in the file.');
  assert.match(await shown(context, { sorted: 'here' }), /^First 2 rows\. They are examples in no particular order: only the file is sorted\. 1 cell/);
});
