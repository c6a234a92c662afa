// The attribute picker adds columns from the attributes of the tenant's users and from the available transforms.

import { get, isAbort } from './api.js';
import { announce, button, byId, fill, h } from './dom.js';
import { errorNotice } from './page.js';
import { exampleCall, exampleText, tenantData } from './suggest.js';
import { labelOf, texts } from './texts.js';

/** Rows per page; a tenant may have hundreds of attributes. */
const PAGE = 50;

/**
 * The column name for a path: that of the default column, else the path itself.
 * @param {string} path
 * @param {PageConfig['defaultColumns']} defaults
 */
function columnName(path, defaults) {
  const column = defaults.find(([name]) => `user.${name}` === path || name === path);
  return column ? column[1] : path.replace(/^user\./, '');
}

/**
 * The picker. `editor` holds the columns; `defaults` the default columns as pairs. `load` reads the attributes of a
 * connection. Calls `loaded` when the attributes are known.
 * @param {ReturnType<typeof import('./columns.js').columnsEditor>} editor
 * @param {PageConfig['defaultColumns']} defaults
 * @param {() => void} [loaded]
 */
export function attributePicker(editor, defaults, loaded = () => {}) {
  const panel = byId('picker');
  const toggle = byId('pick');
  const search = byId('picker-search');
  const list = byId('picker-list');
  const status = byId('picker-status');
  const more = byId('picker-more');
  /** @typedef {{ expression: string, exportAs: string, words: string, cells: () => Child[] }} Entry */
  /** @type {Entry[]} */
  let entries = [];
  /** @type {Entry[]} */
  let matches = [];
  let sampled = 0;
  /** @type {string | null} */
  let loadedConnection = null;
  /** @type {AbortController | null} */
  let running = null;

  toggle.addEventListener('click', () => {
    const open = panel.hidden;
    panel.hidden = !open;
    toggle.setAttribute('aria-expanded', String(open));
    if (open) {
      filter();
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
    // Enter selects the only match.
    if (event.key === 'Enter' && matches.length === 1) list.querySelector('input')?.click();
  });

  /** @param {string} connection */
  async function load(connection) {
    if (loadedConnection === connection) return;
    loadedConnection = connection;
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    fill(status, texts.picker.loading);
    try {
      const answer = await get(connection ? `attributes?${new URLSearchParams({ connection })}` : 'attributes', { signal });
      if (signal.aborted) return;
      tenantData.attributes = answer.attributes ?? [];
      sampled = answer.users ?? 0;
      buildEntries();
      loaded();
    } catch (error) {
      if (signal.aborted || isAbort(error)) return;
      loadedConnection = null;
      tenantData.attributes = [];
      buildEntries();
      fill(
        status,
        errorNotice(error, () => load(connection)),
      );
    }
  }

  async function loadTransforms() {
    try {
      const answer = await get('transforms');
      tenantData.transforms = answer.transforms ?? [];
      buildEntries();
    } catch {
      // Without transforms the picker offers attributes; the Transforms page says what is wrong.
    }
  }

  /** Builds the list of attributes and transforms. */
  function buildEntries() {
    entries = [
      ...tenantData.attributes.map((attribute) => ({
        expression: attribute.path,
        exportAs: columnName(attribute.path, defaults),
        words: `${attribute.path} ${exampleText(attribute.example)}`.toLowerCase(),
        cells: () => attributeCells(attribute),
      })),
      ...tenantData.transforms.map((transform) => ({
        expression: exampleCall(transform),
        exportAs: transform.name,
        words: `${transform.name} ${transform.summary}`.toLowerCase(),
        cells: () => transformCells(transform),
      })),
    ];
    if (!panel.hidden) filter();
    else if (tenantData.attributes.length === 0) fill(status, texts.picker.noUsers);
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    matches = entries.filter((entry) => words.every((word) => entry.words.includes(word)));
    fill(list);
    list.scrollTop = 0;
    showMore();
    if (tenantData.attributes.length === 0) fill(status, texts.picker.noUsers);
    else if (matches.length === 0) fill(status, texts.picker.nothing({ words: search.value }));
    else if (words.length === 0) fill(status, texts.picker.sampled({ count: sampled }));
    else fill(status, texts.picker.found({ count: matches.length }));
  }

  function showMore() {
    const shown = list.childElementCount;
    list.append(...matches.slice(shown, shown + PAGE).map(row));
    const left = matches.length - list.childElementCount;
    fill(
      more,
      left > 0 &&
        button(
          texts.picker.more({ left }),
          () => {
            showMore();
            list.children[shown]?.querySelector('input')?.focus();
          },
          { kind: 'small quiet' },
        ),
    );
  }

  /** @param {Entry} entry */
  function row({ expression, exportAs, cells }) {
    const box = h('input', {
      type: 'checkbox',
      value: expression,
      on: {
        change: () => {
          if (box.checked) editor.add([{ name: expression, export_as: exportAs }]);
          else editor.removeExpression(expression);
          announce(box.checked ? texts.picker.added({ name: exportAs }) : texts.export.removed({ name: exportAs }));
        },
      },
    });
    box.checked = editor.has(expression);
    return h('li', {}, h('label', {}, box, cells()));
  }

  /** Checks the boxes of the attributes that are columns. */
  function sync() {
    if (panel.hidden) return;
    for (const box of list.querySelectorAll('input')) box.checked = editor.has(box.value);
  }

  return { load, loadTransforms, sync };
}

/** @param {Attribute} attribute */
function attributeCells({ path, type, share, example }) {
  const percent = Math.round(share * 100);
  const words = share > 0 && percent === 0 ? '<1 %' : `${percent} %`;
  const bar = h('span');
  bar.style.width = `${percent}%`;
  return [
    h('code', { class: 'path' }, path),
    h('span', { class: 'type' }, labelOf(texts.picker.types, type)),
    h(
      'span',
      { class: 'share', title: texts.picker.share({ percent: words }) },
      h('span', { class: 'share-bar', 'aria-hidden': 'true' }, bar),
      h('span', { 'aria-hidden': 'true' }, words),
      h('span', { class: 'visually-hidden' }, texts.picker.share({ percent: words })),
    ),
    h('span', { class: 'example' }, h('span', { class: 'visually-hidden' }, texts.picker.example), exampleText(example)),
  ];
}

/** @param {Transform} transform */
function transformCells(transform) {
  return [
    h('code', { class: 'path' }, exampleCall(transform)),
    h('span', { class: 'type' }, texts.export.kinds.transform),
    h('span', { class: 'share' }),
    h('span', { class: 'example', title: transform.summary }, transform.summary),
  ];
}
