import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage } from './page.js';

const page = openPage();
const { button, byId, fill, h, iconButton, withBusy } = await page.script('dom.js');

test('data becomes text, never markup', () => {
  const element = h('p', { title: '"<b>' }, '<b>x</b>');
  assert.equal(element.getAttribute('title'), '"<b>');
  assert.equal(element.textContent, '<b>x</b>');
  assert.equal(element.childElementCount, 0);
});

test('empty attributes and children are skipped, zero is not', () => {
  const element = h('p', { hidden: true, title: null, lang: undefined, id: false, tabindex: 0 }, null, undefined, false, '', 0, [['a', [h('b')]]]);
  assert.equal(element.outerHTML, '<p hidden="" tabindex="0">0a<b></b></p>');
  assert.equal(fill(element, 'new').textContent, 'new');
});

test('a listener is called', () => {
  let clicks = 0;
  const push = button('Go', () => (clicks += 1), { kind: 'small', title: 'x' });
  push.click();
  assert.equal(clicks, 1);
  assert.equal(push.className, 'button small');
  assert.equal(iconButton('up', 'Move up', () => {}).getAttribute('aria-label'), 'Move up');
});

test('a busy button does not start its work again', async () => {
  const push = byId('start');
  let runs = 0;
  let finish;
  const work = () => {
    runs += 1;
    return new Promise((resolve) => {
      finish = resolve;
    });
  };
  const first = withBusy(push, work);
  await withBusy(push, work);
  assert.equal(runs, 1);
  finish();
  await first;
  assert.equal(push.hasAttribute('aria-disabled'), false);
  await assert.rejects(withBusy(push, () => Promise.reject(new Error('no'))));
  assert.equal(push.hasAttribute('aria-disabled'), false);
});
