// Suggestions under a text field while the user types: a list of options with help for the active one (the ARIA
// combobox pattern). The caller supplies the suggestions.

import { byId, fill, h } from './dom.js';
import { texts } from './texts.js';

const MAX_OPTIONS = 8;
/** @type {(() => void) | null} */
let closeOpenPopup = null;
let lastId = 0;

/**
 * Adds suggestions to a field. `suggest(text, caret)` returns null or `{from, to, options, help}`: the range of the
 * text that an option replaces, the options, and help for the position of the caret. An option is
 * `{label, detail, insert, select, help}`: `insert` is the text to insert, `select` the range of it to select
 * afterwards (`[start, end]`), and `help` returns nodes. The list opens below `error`, the message of the field, if that
 * has a text. Returns the element to put into the page.
 * @param {HTMLInputElement} input
 * @param {Suggest} suggest
 * @param {HTMLElement} [error]
 */
export function withSuggestions(input, suggest, error) {
  lastId += 1;
  const id = `suggestions-${lastId}`;
  const list = h('ul', { id, class: 'suggestions-list', role: 'listbox', 'aria-label': texts.completion.label });
  const help = h('div', { class: 'suggestions-help', id: `${id}-help` });
  const popup = h('div', { class: 'suggestions', hidden: true }, list, help);
  const element = h('div', { class: 'combo' }, input, popup);
  /** @type {Suggestions | null} */
  let found = null;
  let active = -1;

  input.removeAttribute('list');
  for (const [name, value] of Object.entries({
    role: 'combobox',
    'aria-autocomplete': 'list',
    'aria-expanded': 'false',
    'aria-controls': id,
    'aria-haspopup': 'listbox',
  })) {
    input.setAttribute(name, value);
  }

  /** Moves the list below the message of the field, which would be covered otherwise. */
  function place() {
    if (!error || popup.hidden) return;
    const below = error.offsetHeight > 0 ? error.getBoundingClientRect().bottom - element.getBoundingClientRect().top : 0;
    popup.style.top = below > 0 ? `${below + 4}px` : '';
  }
  // The message may come, and grow, while the list is open.
  if (error && typeof ResizeObserver === 'function') new ResizeObserver(place).observe(error);

  function close() {
    if (closeOpenPopup === close) closeOpenPopup = null;
    popup.hidden = true;
    found = null;
    active = -1;
    input.setAttribute('aria-expanded', 'false');
    input.removeAttribute('aria-activedescendant');
  }

  function show() {
    const caret = input.selectionStart ?? input.value.length;
    found = suggest(input.value, caret);
    const options = (found?.options ?? []).slice(0, MAX_OPTIONS);
    if (!found || (options.length === 0 && !found.help)) {
      close();
      return;
    }
    if (closeOpenPopup && closeOpenPopup !== close) closeOpenPopup();
    closeOpenPopup = close;
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
              // `pointerdown` comes before the field loses the focus.
              pointerdown: (event) => {
                event.preventDefault();
                insertOption(index);
              },
              pointermove: () => index !== active && choose(index),
            },
          },
          h('code', {}, option.label),
          h('span', { class: 'soft' }, option.detail),
        ),
      ),
    );
    list.hidden = options.length === 0;
    popup.hidden = false;
    input.setAttribute('aria-expanded', String(options.length > 0));
    input.removeAttribute('aria-activedescendant');
    showHelp();
    place();
  }

  function showHelp() {
    const words = active >= 0 ? found?.options[active].help?.() : found?.help;
    fill(help, words);
    help.hidden = !words;
  }

  /** @param {number} index */
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

  /** @param {number} index */
  function insertOption(index) {
    if (!found) return;
    const { from, to, options } = found;
    const { insert, select = [insert.length, insert.length] } = options[index];
    input.value = input.value.slice(0, from) + insert + input.value.slice(to);
    input.focus();
    input.setSelectionRange(from + select[0], from + select[1]);
    close();
    input.dispatchEvent(new Event('input', { bubbles: true }));
    // The inserted text may need more suggestions, for example for the arguments of a call.
    if (select[0] !== select[1] || insert.endsWith(':')) show();
    else close();
  }

  input.addEventListener('input', (event) => {
    // Ignore changes made by scripts.
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
      insertOption(active);
    } else if (shown && event.key === 'Escape') {
      close();
    } else if (shown && event.key === 'Tab' && active >= 0 && count > 0 && !event.shiftKey) {
      insertOption(active);
    } else {
      if (['ArrowLeft', 'ArrowRight', 'Home', 'End', 'Enter'].includes(event.key) && shown) close();
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  });
  return element;
}

/**
 * Adds suggestions to the field with this id, which is already in the page with its message.
 * @param {'query' | 'sort'} id
 * @param {Suggest} suggest
 */
export function addSuggestions(id, suggest) {
  const input = byId(id);
  const mark = document.createComment('');
  input.replaceWith(mark);
  mark.replaceWith(withSuggestions(input, suggest, byId(`${id}-error`)));
}
