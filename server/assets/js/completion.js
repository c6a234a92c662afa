// Suggestions under a text field while one types: a list to choose from, with what is known of the chosen
// one beside it (the ARIA combobox pattern). What is suggested is told by the caller.

import { byId, fill, h } from './dom.js';
import { texts } from './texts.js';

const MOST = 8;
let open = null;
let numbers = 0;

/**
 * Gives a field suggestions. `suggest(text, caret)` answers null or `{from, to, options, help}`: the part
 * of the text an option takes the place of, the options, and what to say of where the caret is. An option is
 * `{label, detail, insert, select, help}`: `insert` is the text it puts in, `select` the part of that which
 * is then marked (`[start, end]`), `help` gives nodes. Returns the element to put into the page.
 */
export function completed(input, suggest) {
  numbers += 1;
  const id = `suggestions-${numbers}`;
  const list = h('ul', { id, class: 'suggestions-list', role: 'listbox', 'aria-label': texts.completion.label });
  const help = h('div', { class: 'suggestions-help', id: `${id}-help` });
  const popup = h('div', { class: 'suggestions', hidden: true }, list, help);
  const element = h('div', { class: 'combo' }, input, popup);
  let found = null;
  let active = -1;

  input.removeAttribute('list');
  for (const [name, value] of Object.entries({ role: 'combobox', 'aria-autocomplete': 'list', 'aria-expanded': 'false', 'aria-controls': id, 'aria-haspopup': 'listbox' })) {
    input.setAttribute(name, value);
  }

  function close() {
    if (open === close) open = null;
    popup.hidden = true;
    found = null;
    active = -1;
    input.setAttribute('aria-expanded', 'false');
    input.removeAttribute('aria-activedescendant');
  }

  function show() {
    const caret = input.selectionStart ?? input.value.length;
    found = suggest(input.value, caret);
    const options = (found?.options ?? []).slice(0, MOST);
    if (options.length === 0 && !found?.help) {
      close();
      return;
    }
    if (open && open !== close) open();
    open = close;
    found = { ...found, options };
    active = -1;
    fill(
      list,
      options.map((option, index) =>
        h(
          'li',
          {
            role: 'option',
            id: `${id}-${index}`,
            'aria-selected': 'false',
            on: {
              // Before the field loses the focus.
              pointerdown: (event) => {
                event.preventDefault();
                take(index);
              },
              pointermove: () => index !== active && choose(index),
            },
          },
          h('code', {}, option.label),
          h('span', { class: 'soft' }, option.detail),
        )),
    );
    list.hidden = options.length === 0;
    popup.hidden = false;
    input.setAttribute('aria-expanded', String(options.length > 0));
    input.removeAttribute('aria-activedescendant');
    showHelp();
  }

  function showHelp() {
    const words = active >= 0 ? found.options[active].help?.() : found.help;
    fill(help, words);
    help.hidden = !words;
  }

  function choose(index) {
    list.children[active]?.setAttribute('aria-selected', 'false');
    active = index;
    const item = list.children[active];
    if (item) {
      item.setAttribute('aria-selected', 'true');
      item.scrollIntoView({ block: 'nearest' });
      input.setAttribute('aria-activedescendant', item.id);
    } else {
      input.removeAttribute('aria-activedescendant');
    }
    showHelp();
  }

  function take(index) {
    const { from, to, options } = found;
    const { insert, select = [insert.length, insert.length] } = options[index];
    input.value = input.value.slice(0, from) + insert + input.value.slice(to);
    input.focus();
    input.setSelectionRange(from + select[0], from + select[1]);
    close();
    input.dispatchEvent(new Event('input', { bubbles: true }));
    // What was put in may ask for more: the arguments of a call.
    if (select[0] !== select[1] || insert.endsWith(':')) show();
    else close();
  }

  input.addEventListener('input', (event) => {
    // Not when a program has changed the field.
    if (event.isTrusted) show();
  });
  input.addEventListener('blur', close);
  input.addEventListener('click', () => (popup.hidden ? show() : close()));
  input.addEventListener('keydown', (event) => {
    if (event.isComposing || event.altKey || event.metaKey) return;
    const count = found?.options.length ?? 0;
    const shown = !popup.hidden;
    if (event.key === ' ' && event.ctrlKey) {
      show();
    } else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      if (!shown) show();
      const length = found?.options.length ?? 0;
      if (length === 0) return;
      const step = event.key === 'ArrowDown' ? 1 : -1;
      choose(shown || step < 0 ? (active + step + length + (active < 0 && step < 0 ? 1 : 0)) % length : 0);
    } else if (shown && event.key === 'Enter' && active >= 0) {
      take(active);
    } else if (shown && event.key === 'Escape') {
      close();
    } else if (shown && event.key === 'Tab' && active >= 0 && count > 0 && !event.shiftKey) {
      take(active);
    } else {
      if (['ArrowLeft', 'ArrowRight', 'Home', 'End', 'Enter'].includes(event.key) && shown) close();
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  });
  return element;
}

/** Gives the field with this id, which stands in the page already, suggestions. */
export function complete(id, suggest) {
  const input = byId(id);
  const mark = document.createComment('');
  input.replaceWith(mark);
  mark.replaceWith(completed(input, suggest));
}
