import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage, settle, text } from './page.js';

const page = openPage('import');
const { importResult, report } = await page.script('report.js');
const { h } = await page.script('dom.js');

const ROWS = [
  { line: 1, row: 2, user: { email: 'ada@example.com' }, errors: [{ code: 'X', message: 'Wrong.' }] },
  { line: 1, row: 3, user: {}, errors: [] },
];
const serve = (rows) => page.serve(() => ({ body: rows }));
const job = (failed) => ({ id: 'job_1', type: 'users_import', status: 'completed', summary: { total: 3, inserted: 1, updated: 0, failed, reasons: [] } });
const cells = (element) => [...element.querySelectorAll('.faults tbody tr')].map((row) => text(row.cells[0]));

/** A report of these rows; the server writes one element of the array per line. */
async function shown(rows) {
  globalThis.fetch = async () => new Response(`[\n${rows.map((row) => JSON.stringify(row)).join(',\n')}\n]`);
  const element = report(job(2));
  for (let round = 0; round < 20 && !element.querySelector('.faults'); round += 1) await settle();
  return element;
}

test('a row of a file without line breaks is named by its number', async () => {
  assert.deepEqual(cells(await shown(ROWS)), ['row 2Line 1', 'row 3Line 1']);
  assert.deepEqual(cells(await shown([{ ...ROWS[0], line: 7 }])), ['7']);
  assert.deepEqual(cells(await shown([{ ...ROWS[0], file: 'a.json' }])), ['1a.json']);
});

test('an earlier result lists its rows on demand only', async () => {
  serve([]);
  const details = (folded) => h('div', {}, importResult(job(2), { dryRun: false, folded })).querySelector('details.more');
  assert.equal(details(false), null);
  assert.equal(details(true).querySelector('.report'), null);
  details(true);
  const element = details(true);
  element.open = true;
  element.dispatchEvent(new Event('toggle'));
  assert.ok(element.querySelector('.report'));
});
