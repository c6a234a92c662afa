// Builds elements from data. Data becomes text nodes and attribute values, never markup.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * The element with this id. It is part of the template of the page.
 * @template {keyof PageElements} Id
 * @param {Id} id
 */
export const byId = (id) => /** @type {PageElements[Id]} */ (document.getElementById(id));

/**
 * Creates an element. `properties` are attributes by name; `on` maps event names to listeners; `true` sets an empty
 * attribute; `false`, `null` and `undefined` set none. Children are nodes or text; empty ones are skipped.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Properties} [properties]
 * @param {Child[]} children
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === 'on') {
      for (const [event, listener] of Object.entries(/** @type {Record<string, EventListener>} */ (value))) element.addEventListener(event, listener);
    } else if (value === true) {
      element.setAttribute(name, '');
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  append(element, children);
  return element;
}

/**
 * @param {Element} element
 * @param {readonly Child[]} children
 */
function append(element, children) {
  for (const child of /** @type {Exclude<Child, readonly Child[]>[]} */ (/** @type {unknown[]} */ (children).flat(Infinity))) {
    if (child === null || child === undefined || child === false || child === '') continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/**
 * Replaces everything inside an element.
 * @template {Element} Filled
 * @param {Filled} element
 * @param {Child[]} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/**
 * An icon of the sprite in the page; decoration only.
 * @param {string} name
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

/**
 * A push button.
 * @param {Child} label
 * @param {(event: MouseEvent) => unknown} onClick
 * @param {Properties & { kind?: string }} [properties]
 */
export function button(label, onClick, { kind = '', ...properties } = {}) {
  return h('button', { type: 'button', class: `button ${kind}`.trim(), on: { click: onClick }, ...properties }, label);
}

/**
 * Runs `work` unless the button is already busy. Uses `aria-disabled` instead of `disabled`, because a disabled button
 * loses the keyboard focus.
 * @param {HTMLElement} push
 * @param {() => unknown} work
 */
export async function withBusy(push, work) {
  if (push.getAttribute('aria-disabled') === 'true') return;
  push.setAttribute('aria-disabled', 'true');
  try {
    await work();
  } finally {
    push.removeAttribute('aria-disabled');
  }
}

/**
 * A button with an icon; its label is a tooltip and the accessible name.
 * @param {string} name
 * @param {string} label
 * @param {(event: MouseEvent) => unknown} onClick
 * @param {Properties} [properties]
 */
export function iconButton(name, label, onClick, properties = {}) {
  return h('button', { type: 'button', class: 'button quiet icon-only', 'aria-label': label, title: label, on: { click: onClick }, ...properties }, icon(name));
}

/**
 * The head of a table with a role on each element, because a table that narrow windows show as a list loses its roles.
 * `properties` are those of the cell with the same index.
 * @param {Child[]} titles
 * @param {Properties[]} [properties]
 */
export function tableHead(titles, properties = []) {
  const cells = titles.map((title, index) => h('th', { scope: 'col', role: 'columnheader', ...properties[index] }, title));
  return h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, cells));
}

/**
 * Announces a text to screen readers without moving the focus.
 * @param {string} text
 */
export function announce(text) {
  fill(byId('announcer'), text);
}

/**
 * Lets the browser save a blob as a file.
 * @param {Blob} blob
 * @param {string} name
 */
export function saveBlob(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = h('a', { href: address, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  // The browser reads the address after this task.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/**
 * Calls `onFiles` with the files that are dropped on the area or chosen in its input. A file that is dropped elsewhere
 * does not replace the page.
 * @param {HTMLElement} area
 * @param {HTMLInputElement} input
 * @param {(files: File[]) => void} onFiles
 */
export function dropArea(area, input, onFiles) {
  input.addEventListener('change', () => {
    const files = [...(input.files ?? [])];
    // Choosing the same file again later must be a change, too.
    input.value = '';
    if (files.length > 0) onFiles(files);
  });
  for (const type of ['dragenter', 'dragover']) area.addEventListener(type, () => area.classList.add('over'));
  for (const type of ['dragleave', 'drop']) area.addEventListener(type, () => area.classList.remove('over'));
  for (const type of ['dragover', 'drop']) {
    window.addEventListener(type, (event) => {
      if (event.target !== input) event.preventDefault();
    });
  }
}
