// Chooses columns among the attributes that the tenant's users really have, and the transforms there are.

import { get } from './api.js';
import { announce, byId, fill, h } from './dom.js';
import { number } from './format.js';
import { errorNotice } from './page.js';
import { texts } from './texts.js';

/** What to call the column of a path: as the default columns do, otherwise the path itself. */
function columnName(path, defaults) {
  const known = defaults.find(([name]) => `user.${name}` === path || name === path);
  return known ? known[1] : path.replace(/^user\./, '');
}

/** An example of an attribute's value, as text. */
const exampleText = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

/** A call of a transform with the arguments that fit its parameters. */
export function exampleCall(transform) {
  const fitting = {
    text: 'user.email', string: 'user.email', number: '1', boolean: 'true', json: 'user.app_metadata', user: 'user', any: 'user.email',
  };
  // A first parameter that may be empty is what the transform is about all the same.
  const needed = (transform.parameters ?? []).filter((parameter, index) => index === 0 || !parameter.optional);
  const given = needed.map((parameter) => (parameter.secret ? 'secret("NAME")' : (fitting[parameter.type] ?? 'user.email')));
  return `${transform.name}(${given.join(', ')})`;
}

/**
 * The picker. `editor` holds the columns; `defaults` the default columns as pairs. `load` reads the
 * attributes of a connection and tells whether there was an answer.
 */
export function attributePicker(editor, defaults) {
  const panel = byId('picker');
  const toggle = byId('pick');
  const search = byId('picker-search');
  const list = byId('picker-list');
  const status = byId('picker-status');
  let attributes = [];
  let transforms = [];
  let asked = null;
  let running = null;

  toggle.addEventListener('click', () => {
    const open = panel.hidden;
    panel.hidden = !open;
    toggle.setAttribute('aria-expanded', String(open));
    if (open) {
      sync();
      search.focus();
    }
  });
  panel.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    panel.hidden = true;
    toggle.setAttribute('aria-expanded', 'false');
    toggle.focus();
  });
  search.addEventListener('input', filter);
  search.addEventListener('keydown', (event) => {
    // Enter would send the form; here it takes the only one that is left.
    if (event.key !== 'Enter') return;
    event.preventDefault();
    const left = [...list.querySelectorAll('li:not([hidden]) input')];
    if (left.length === 1) left[0].click();
  });

  async function load(connection) {
    if (asked === connection) return;
    asked = connection;
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    fill(status, texts.picker.loading);
    try {
      const query = connection ? `?${new URLSearchParams({ connection })}` : '';
      const answer = await get(`attributes${query}`, { signal });
      if (signal.aborted) return;
      attributes = answer.attributes ?? [];
      show(answer.users ?? 0);
    } catch (error) {
      if (signal.aborted || error.name === 'AbortError') return;
      asked = null;
      attributes = [];
      fill(list);
      if (error.status === 404) toggle.hidden = true;
      else fill(status, errorNotice(error, () => load(connection)));
    }
  }

  async function loadTransforms() {
    try {
      const answer = await get('transforms');
      transforms = Array.isArray(answer) ? answer : (answer.transforms ?? []);
      suggest();
      if (attributes.length > 0) show();
    } catch {
      // Without transforms the picker offers attributes; the Transforms page says what is wrong.
      transforms = [];
    }
  }

  let sampled = 0;
  function show(users = sampled) {
    sampled = users;
    suggest();
    fill(list, attributes.map(attributeRow), transforms.map(transformRow));
    filter();
    sync();
  }

  /** What the fields of expressions suggest while one types. */
  function suggest() {
    const known = new Set();
    const option = (value, label) => !known.has(value) && known.add(value) && h('option', { value, label });
    const documented = [...byId('attributes').querySelectorAll('[data-documented]')];
    for (const element of documented) known.add(element.value);
    fill(
      byId('attributes'),
      documented,
      attributes.map(({ path, type }) => option(path, texts.picker.types[type] ?? type)),
      transforms.map((transform) => option(exampleCall(transform), transform.summary)),
    );
  }

  function entry(expression, exportAs, words, ...children) {
    const box = h('input', {
      type: 'checkbox',
      value: expression,
      on: {
        change: () => {
          if (box.checked) editor.add([{ name: expression, export_as: exportAs }]);
          else editor.removeExpression(expression);
          announce(box.checked ? texts.picker.added(exportAs) : texts.export.removed(exportAs));
        },
      },
    });
    return h('li', { 'data-words': words.toLowerCase() }, h('label', {}, box, ...children));
  }

  function attributeRow({ path, type, share, example }) {
    const percent = Math.round(share * 100);
    const bar = h('span');
    bar.style.width = `${percent}%`;
    const text = exampleText(example) ?? '';
    return entry(
      path,
      columnName(path, defaults),
      `${path} ${text}`,
      h('code', { class: 'path' }, path),
      h('span', { class: 'type' }, texts.picker.types[type] ?? type),
      h('span', { class: 'share', title: texts.picker.share(percent) },
        h('span', { class: 'share-bar', 'aria-hidden': 'true' }, bar),
        h('span', { 'aria-hidden': 'true' }, share > 0 && percent === 0 ? '<1%' : `${percent}%`),
        h('span', { class: 'visually-hidden' }, texts.picker.share(percent))),
      h('span', { class: 'example' }, h('span', { class: 'visually-hidden' }, texts.picker.example), text),
    );
  }

  function transformRow(transform) {
    const call = exampleCall(transform);
    return entry(
      call,
      transform.name,
      `${transform.name} ${transform.summary}`,
      h('code', { class: 'path' }, call),
      h('span', { class: 'type' }, texts.export.kinds.transform),
      h('span', { class: 'share' }),
      h('span', { class: 'example' }, transform.summary),
    );
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const item of list.children) {
      const fits = words.every((word) => item.dataset.words.includes(word));
      item.hidden = !fits;
      if (fits) left += 1;
    }
    if (attributes.length === 0) fill(status, texts.picker.nobody);
    else if (left === 0) fill(status, texts.picker.nothing(search.value));
    else fill(status, words.length === 0 ? texts.picker.sampled(number(sampled), sampled) : texts.picker.found(left, number(left)));
  }

  /** Checks the boxes of what is a column now. */
  function sync() {
    if (panel.hidden) return;
    for (const box of list.querySelectorAll('input')) box.checked = editor.has(box.value);
  }

  return { load, loadTransforms, sync };
}
