// Chooses columns among the attributes that the tenant's users really have, and the transforms there are.

import { get } from './api.js';
import { announce, button, byId, fill, h } from './dom.js';
import { number } from './format.js';
import { errorNotice } from './page.js';
import { exampleCall, exampleText, known } from './suggest.js';
import { texts } from './texts.js';

/** Rows that are shown at first, and added at a time: a tenant may have hundreds of attributes. */
const PAGE = 50;

/** What to call the column of a path: as the default columns do, otherwise the path itself. */
function columnName(path, defaults) {
  const column = defaults.find(([name]) => `user.${name}` === path || name === path);
  return column ? column[1] : path.replace(/^user\./, '');
}

/**
 * The picker. `editor` holds the columns; `defaults` the default columns as pairs. `load` reads the
 * attributes of a connection.
 */
export function attributePicker(editor, defaults) {
  const panel = byId('picker');
  const toggle = byId('pick');
  const search = byId('picker-search');
  const list = byId('picker-list');
  const status = byId('picker-status');
  const more = byId('picker-more');
  let entries = [];
  let fitting = [];
  let sampled = 0;
  let asked = null;
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
    // Enter takes the only one that is left.
    if (event.key === 'Enter' && fitting.length === 1) list.querySelector('input').click();
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
      known.attributes = answer.attributes ?? [];
      sampled = answer.users ?? 0;
      collect();
    } catch (error) {
      if (signal.aborted || error.name === 'AbortError') return;
      asked = null;
      known.attributes = [];
      collect();
      fill(status, errorNotice(error, () => load(connection)));
    }
  }

  async function loadTransforms() {
    try {
      const answer = await get('transforms');
      known.transforms = answer.transforms ?? [];
      collect();
    } catch {
      // Without transforms the picker offers attributes; the Transforms page says what is wrong.
    }
  }

  /** Everything there is to choose. */
  function collect() {
    entries = [
      ...known.attributes.map((attribute) => ({
        expression: attribute.path,
        exportAs: columnName(attribute.path, defaults),
        words: `${attribute.path} ${exampleText(attribute.example)}`.toLowerCase(),
        cells: () => attributeCells(attribute),
      })),
      ...known.transforms.map((transform) => ({
        expression: exampleCall(transform),
        exportAs: transform.name,
        words: `${transform.name} ${transform.summary}`.toLowerCase(),
        cells: () => transformCells(transform),
      })),
    ];
    if (!panel.hidden) filter();
    else if (known.attributes.length === 0) fill(status, texts.picker.nobody);
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    fitting = entries.filter((entry) => words.every((word) => entry.words.includes(word)));
    fill(list);
    list.scrollTop = 0;
    showMore();
    if (known.attributes.length === 0) fill(status, texts.picker.nobody);
    else if (fitting.length === 0) fill(status, texts.picker.nothing(search.value));
    else if (words.length === 0) fill(status, texts.picker.sampled(number(sampled), sampled));
    else fill(status, texts.picker.found(fitting.length, number(fitting.length)));
  }

  function showMore() {
    const shown = list.childElementCount;
    list.append(...fitting.slice(shown, shown + PAGE).map(row));
    const left = fitting.length - list.childElementCount;
    fill(
      more,
      left > 0 &&
        button(texts.picker.more(number(left)), () => {
          showMore();
          list.children[shown]?.querySelector('input').focus();
        }, { kind: 'small quiet' }),
    );
  }

  function row({ expression, exportAs, cells }) {
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
    box.checked = editor.has(expression);
    return h('li', {}, h('label', {}, box, cells()));
  }

  /** Checks the boxes of what is a column now. */
  function sync() {
    if (panel.hidden) return;
    for (const box of list.querySelectorAll('input')) box.checked = editor.has(box.value);
  }

  return { load, loadTransforms, sync };
}

function attributeCells({ path, type, share, example }) {
  const percent = Math.round(share * 100);
  const words = share > 0 && percent === 0 ? '<1 %' : `${percent} %`;
  const bar = h('span');
  bar.style.width = `${percent}%`;
  return [
    h('code', { class: 'path' }, path),
    h('span', { class: 'type' }, texts.picker.types[type] ?? type),
    h('span', { class: 'share', title: texts.picker.share(words) },
      h('span', { class: 'share-bar', 'aria-hidden': 'true' }, bar),
      h('span', { 'aria-hidden': 'true' }, words),
      h('span', { class: 'visually-hidden' }, texts.picker.share(words))),
    h('span', { class: 'example' }, h('span', { class: 'visually-hidden' }, texts.picker.example), exampleText(example)),
  ];
}

function transformCells(transform) {
  return [
    h('code', { class: 'path' }, exampleCall(transform)),
    h('span', { class: 'type' }, texts.export.kinds.transform),
    h('span', { class: 'share' }),
    h('span', { class: 'example', title: transform.summary }, transform.summary),
  ];
}
