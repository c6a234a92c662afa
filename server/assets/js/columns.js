// The editor for the columns of an export: add, edit, rename, reorder (keyboard or drag and drop), remove.

import { withSuggestions } from './completion.js';
import { announce, byId, fill, h, icon, iconButton } from './dom.js';
import { fieldError } from './page.js';
import { suggestExpression } from './suggest.js';
import { texts } from './texts.js';

/**
 * The column editor. Calls `changed` after every change, with `{typing: true}` while the user types. A column is
 * `{name, export_as}`; `name` is its expression.
 */
export function columnsEditor(changed) {
  const list = byId('columns');
  let columns = [];
  /** The kind of each expression, as reported by the server. */
  let kinds = new Map();
  let dragged = null;

  byId('add-column').addEventListener('click', () => {
    add([{ name: '', export_as: '' }]);
    list.lastElementChild.querySelector('input').focus();
  });
  byId('clear-columns').addEventListener('click', () => {
    set([]);
    changed();
    announce(texts.export.cleared);
    byId('add-column').focus();
  });

  function set(next) {
    columns = next.map(({ name, export_as }) => ({ name: String(name ?? ''), export_as: String(export_as ?? name ?? '') }));
    show();
  }

  function add(more) {
    columns.push(...more.map(({ name, export_as }) => ({ name, export_as })));
    show();
    changed();
  }

  function show() {
    fill(list, columns.map(row));
    byId('no-columns').hidden = columns.length > 0;
    byId('columns-head').hidden = columns.length === 0;
    byId('clear-columns').hidden = columns.length < 2;
    showKinds();
  }

  function showKinds() {
    columns.forEach((column, index) => {
      const place = list.children[index].querySelector('.kind');
      const kind = kinds.get(column.name.trim());
      fill(place, kind ? (texts.export.kinds[kind] ?? kind) : '');
      place.dataset.kind = kind ?? '';
      place.title = kind ? (texts.export.kindHelp[kind] ?? '') : '';
    });
  }

  const columnLabel = (index) => columns[index].export_as || columns[index].name || texts.export.unnamedColumn(index + 1);

  function moveTo(from, to) {
    const [column] = columns.splice(from, 1);
    columns.splice(to, 0, column);
    show();
    changed();
    announce(texts.export.moved(columnLabel(to), to + 1));
  }

  function remove(index) {
    const name = columnLabel(index);
    columns.splice(index, 1);
    show();
    changed();
    announce(texts.export.removed(name));
    const next = list.children[Math.min(index, columns.length - 1)];
    (next?.querySelector('.tools button:last-child') ?? byId('add-column')).focus();
  }

  function row(column, index) {
    const position = index + 1;
    const field = (key, label, placeholder, properties) => {
      const input = h('input', {
        type: 'text',
        'aria-label': label,
        placeholder,
        autocomplete: 'off',
        spellcheck: 'false',
        autocapitalize: 'off',
        'aria-describedby': `column-${position}-error`,
        on: {
          input: () => {
            column[key] = input.value;
            fieldError(input, error, '');
            if (key === 'name') showKinds();
            changed({ typing: true });
          },
          keydown: (event) => {
            const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
            const target = index + step;
            if (!event.altKey || !step || target < 0 || target >= columns.length) return;
            event.preventDefault();
            moveTo(index, target);
            list.children[target].querySelectorAll('input')[key === 'name' ? 0 : 1].focus();
          },
        },
        ...properties,
      });
      input.value = column[key];
      return input;
    };
    const error = h('p', { class: 'field-error', id: `column-${position}-error` });
    const attribute = field('name', texts.export.attributeOf(position), texts.export.attribute, { class: 'code' });
    const name = field('export_as', texts.export.columnNameOf(position), texts.export.columnName);
    const step = (by) => () => {
      moveTo(index, index + by);
      // The focus stays on the same button of the same column, or on its neighbour at either end.
      const tools = list.children[index + by].querySelectorAll('.tools button');
      const wanted = tools[by < 0 ? 0 : 1];
      (wanted.disabled ? tools[by < 0 ? 1 : 0] : wanted).focus();
    };
    const element = h(
      'li',
      {},
      h('span', { class: 'grip', draggable: 'true', 'aria-hidden': 'true', title: texts.export.drag }, icon('grip')),
      withSuggestions(attribute, suggestExpression),
      name,
      h('span', { class: 'kind' }),
      h(
        'div',
        { class: 'tools' },
        iconButton('up', texts.export.moveUp(columnLabel(index)), step(-1), { disabled: index === 0 }),
        iconButton('down', texts.export.moveDown(columnLabel(index)), step(1), { disabled: index === columns.length - 1 }),
        iconButton('remove', texts.export.removeColumn(columnLabel(index)), () => remove(index)),
      ),
      error,
    );
    followDragging(element, index);
    return element;
  }

  function followDragging(element, index) {
    const grip = element.querySelector('.grip');
    const after = (event) => {
      const box = element.getBoundingClientRect();
      return event.clientY > box.top + box.height / 2;
    };
    const clear = () => element.classList.remove('drop-before', 'drop-after');
    grip.addEventListener('dragstart', (event) => {
      dragged = index;
      event.dataTransfer.effectAllowed = 'move';
      event.dataTransfer.setData('text/plain', columns[index].name);
      event.dataTransfer.setDragImage(element, 0, 0);
      element.classList.add('dragged');
    });
    grip.addEventListener('dragend', () => {
      dragged = null;
      element.classList.remove('dragged');
    });
    element.addEventListener('dragover', (event) => {
      if (dragged === null) return;
      event.preventDefault();
      element.classList.toggle('drop-after', after(event));
      element.classList.toggle('drop-before', !after(event));
    });
    element.addEventListener('dragleave', clear);
    element.addEventListener('drop', (event) => {
      clear();
      if (dragged === null) return;
      event.preventDefault();
      const from = dragged;
      const before = index + (after(event) ? 1 : 0);
      const to = before > from ? before - 1 : before;
      dragged = null;
      if (to !== from) moveTo(from, to);
    });
  }

  return {
    /** All columns, including incomplete ones. */
    get: () => columns,
    set,
    add,
    /** Removes every column with this expression. */
    removeExpression(name) {
      columns = columns.filter((column) => column.name.trim() !== name);
      show();
      changed();
    },
    has: (name) => columns.some((column) => column.name.trim() === name),
    /** Columns that have an expression, for the preview; a column without a name is named after its expression. */
    usable: () =>
      columns
        .filter(({ name }) => name.trim())
        .map(({ name, export_as }) => ({ name: name.trim(), export_as: export_as.trim() ? export_as : name.trim() })),
    /** Shows the kinds of expressions: pairs of an expression and its kind. */
    setKinds(pairs) {
      kinds = new Map(pairs);
      showKinds();
    },
    /** Shows `text` at the column with this index in `usable()`, and at no other one. Returns whether there is such a column. */
    setProblem(wanted, text) {
      let found = false;
      let usable = -1;
      columns.forEach((column, index) => {
        const row = list.children[index];
        if (column.name.trim()) usable += 1;
        const wrong = usable === wanted && Boolean(column.name.trim());
        const place = row.querySelector('.field-error');
        if (wrong) {
          found = true;
          fieldError(row.querySelector('input'), place, text);
        } else if (place.dataset.from === 'server') {
          fieldError(row.querySelector('input'), place, '');
        }
        place.dataset.from = wrong ? 'server' : '';
      });
      return found;
    },
    /** Marks empty fields. Returns the first invalid field, or null. */
    check({ quiet = false } = {}) {
      let first = null;
      columns.forEach((column, index) => {
        const row = list.children[index];
        const [attribute, name] = row.querySelectorAll('input');
        const missing = [
          [attribute, !column.name.trim() && texts.export.attributeMissing],
          [name, !column.export_as.trim() && texts.export.nameMissing],
        ];
        for (const [input, text] of missing) {
          if (text && !quiet) input.setAttribute('aria-invalid', 'true');
          else input.removeAttribute('aria-invalid');
          if (text) first ??= input;
        }
        const words = missing.map(([, text]) => text).filter(Boolean);
        fill(row.querySelector('.field-error'), quiet ? '' : words.join(' '));
      });
      return first;
    },
  };
}
