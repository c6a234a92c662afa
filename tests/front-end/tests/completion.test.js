import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { openPage, press, text } from './page.js';

const page = openPage();
const { addSuggestions, withSuggestions } = await page.script('completion.js');
const { h } = await page.script('dom.js');

const option = (insert, more) => ({ label: insert, detail: '', insert, ...more });
const FRUIT = ['apple', 'apricot', 'banana'];
/** Suggests fruit that starts with the text; a label with a colon asks for more. */
const suggestFruit = (typed, caret) => ({ from: 0, to: caret, options: FRUIT.filter((name) => name.startsWith(typed)).map((name) => option(name)) });

let input;
let popup;

function build(suggest) {
  input = h('input', { type: 'text' });
  const element = withSuggestions(input, suggest);
  popup = element.querySelector('.suggestions');
  document.body.replaceChildren(element);
  input.focus();
}

const open = () => press(input, ' ', { ctrlKey: true });
const active = () => popup.querySelector('[aria-selected="true"] code')?.textContent ?? null;

beforeEach(() => build(suggestFruit));

test('the list opens with the arrow key and closes with Escape', () => {
  press(input, 'ArrowDown');
  assert.equal(popup.hidden, false);
  assert.equal(active(), 'apple');
  assert.equal(input.getAttribute('aria-expanded'), 'true');
  assert.equal(document.getElementById(input.getAttribute('aria-activedescendant')).firstChild.textContent, 'apple');
  press(input, 'Escape');
  assert.equal(popup.hidden, true);
  assert.equal(input.getAttribute('aria-expanded'), 'false');
  assert.equal(input.hasAttribute('aria-activedescendant'), false);
});

test('the arrow keys wrap around', () => {
  open();
  assert.equal(active(), null);
  press(input, 'ArrowUp');
  assert.equal(active(), 'banana');
  press(input, 'ArrowDown');
  assert.equal(active(), 'apple');
  press(input, 'ArrowUp');
  assert.equal(active(), 'banana');
});

test('Enter inserts the active option and reports the change', () => {
  let changes = 0;
  input.addEventListener('input', () => {
    changes += 1;
  });
  input.value = 'ap';
  input.setSelectionRange(2, 2);
  open();
  press(input, 'ArrowDown');
  press(input, 'ArrowDown');
  press(input, 'Enter');
  assert.equal(input.value, 'apricot');
  assert.equal(changes, 1);
  assert.equal(popup.hidden, true);
  assert.deepEqual([input.selectionStart, input.selectionEnd], [7, 7]);
});

test('Enter and Tab without an active option keep their meaning', () => {
  for (const key of ['Enter', 'Tab']) {
    build(suggestFruit);
    open();
    const event = new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true });
    input.dispatchEvent(event);
    assert.equal(event.defaultPrevented, false, key);
    assert.equal(input.value, '');
  }
});

test('an option selects the part to replace, and then shows more suggestions', () => {
  let asked = 0;
  build((typed) => {
    asked += 1;
    return { from: 0, to: typed.length, options: [option('upper(user.email)', { select: [6, 16] })] };
  });
  open();
  press(input, 'ArrowDown');
  press(input, 'Enter');
  assert.deepEqual([input.selectionStart, input.selectionEnd], [6, 16]);
  assert.equal(popup.hidden, false);
  assert.equal(asked, 2);
});

test('a click inserts an option before the field loses the focus', () => {
  open();
  const event = new Event('pointerdown', { bubbles: true, cancelable: true });
  popup.querySelectorAll('[role=option]')[2].dispatchEvent(event);
  assert.equal(input.value, 'banana');
  assert.equal(event.defaultPrevented, true);
});

test('at most eight options are shown; help alone opens the list, too', () => {
  build(() => ({ from: 0, to: 0, options: Array.from({ length: 20 }, (_, index) => option(`o${index}`)) }));
  open();
  assert.equal(popup.querySelectorAll('[role=option]').length, 8);
  build(() => ({ from: 0, to: 0, options: [], help: 'Only help' }));
  open();
  assert.equal(popup.hidden, false);
  assert.equal(text(popup), 'Only help');
  assert.equal(input.getAttribute('aria-expanded'), 'false');
  build(() => null);
  open();
  assert.equal(popup.hidden, true);
});

test('the help of the active option is shown', () => {
  build(() => ({ from: 0, to: 0, options: [option('a', { help: () => 'About a' }), option('b')], help: 'General' }));
  open();
  const help = popup.querySelector('.suggestions-help');
  assert.equal(help.textContent, 'General');
  press(input, 'ArrowDown');
  assert.equal(help.textContent, 'About a');
  press(input, 'ArrowDown');
  assert.equal(help.hidden, true);
});

test('one list is open at a time', () => {
  open();
  const first = popup;
  const other = h('input', { type: 'text' });
  document.body.append(withSuggestions(other, suggestFruit));
  press(other, ' ', { ctrlKey: true });
  assert.equal(first.hidden, true);
});

test('suggestions are added to a field of the page in its place', () => {
  document.body.replaceChildren(h('p', {}, h('input', { id: 'query' })));
  addSuggestions('query', suggestFruit);
  assert.equal(document.querySelector('p > .combo > input').id, 'query');
});
