// The editor for the columns of an export: add, edit, rename, reorder (keyboard or drag and drop), remove.

import { unknownPath } from './attribute-check.js';
import { withSuggestions } from './completion.js';
import { announce, byId, fill, h, icon, iconButton } from './dom.js';
import { fieldError } from './page.js';
import { suggestExpression, tenantData } from './suggest.js';
import { labelOf, texts } from './texts.js';

/**
 * An expression without `user.` in front, which is optional in paths.
 * @param {string} expression
 */
const bare = (expression) => expression.trim().replace(/^user\??\./, '');

/**
 * The column editor. Calls `changed` after every change, with `{typing: true}` while the user types. A column is
 * `{name, export_as}`; `name` is its expression.
 * @param {(options?: ChangeOptions) => void} changed
 */
export function columnsEditor(changed) {
  const list = byId('columns');
  /** @type {Column[]} */
  let columns = [];
  /**
   * The kind of each expression and the remarks on it, as reported by the server.
   * @type {Map<string, { kind: string, remarks: string[] }>}
   */
  let answers = new Map();
  /** @type {number | null} */
  let dragged = null;

  byId('add-column').addEventListener('click', () => {
    add([{ name: '', export_as: '' }]);
    list.lastElementChild?.querySelector('input')?.focus();
  });
  byId('clear-columns').addEventListener('click', () => {
    set([]);
    changed();
    announce(texts.export.cleared);
    byId('add-column').focus();
  });

  /** @param {Partial<Column>[]} next */
  function set(next) {
    columns = next.map(({ name, export_as }) => ({ name: String(name ?? ''), export_as: String(export_as ?? name ?? '') }));
    show();
  }

  /** @param {Column[]} more */
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
    showRemarks();
  }

  /**
   * The element of a column that matches the selector; `row` creates all of them.
   * @param {number} index
   * @param {string} selector
   */
  const part = (index, selector) => /** @type {HTMLElement} */ (list.children[index].querySelector(selector));

  /**
   * The two fields of a column.
   * @param {number} index
   */
  const fields = (index) => list.children[index].querySelectorAll('input');

  function showKinds() {
    columns.forEach((column, index) => {
      const place = part(index, '.kind');
      const kind = answers.get(column.name.trim())?.kind;
      fill(place, kind ? labelOf(texts.export.kinds, kind) : '');
      place.dataset.kind = kind ?? '';
      place.title = kind ? labelOf(texts.export.kindHelp, kind, '') : '';
    });
  }

  /**
   * Shows remarks at columns: those of the server, or a path that no known attribute matches, and a name that another
   * column has.
   */
  function showRemarks() {
    columns.forEach((column, index) => {
      const remarks = answers.get(column.name.trim())?.remarks ?? [];
      const remark = remarks.length === 0 && pathRemark(column.name);
      fill(
        part(index, '.field-remark'),
        remarks.map((text) => h('p', {}, text)),
        remark && h('p', {}, remark),
        isRepeated(index) && h('p', {}, texts.export.nameTwice({ name: column.export_as.trim() })),
      );
    });
  }

  /**
   * Whether another column has the same name.
   * @param {number} index
   */
  function isRepeated(index) {
    const name = columns[index].export_as.trim();
    return name !== '' && columns.some((other, position) => position !== index && other.export_as.trim() === name);
  }

  /** Removes errors of names that were repeated until now. */
  function clearNameErrors() {
    columns.forEach(({ export_as }, index) => {
      const [attribute, name] = fields(index);
      const isValid = export_as.trim() !== '' && !isRepeated(index) && attribute.getAttribute('aria-invalid') !== 'true';
      if (isValid && name.getAttribute('aria-invalid') === 'true') fieldError(name, part(index, '.field-error'), '');
    });
  }

  /** @param {number} index */
  const columnLabel = (index) => columns[index].export_as || columns[index].name || texts.export.unnamedColumn({ position: index + 1 });

  /**
   * @param {number} from
   * @param {number} to
   */
  function moveTo(from, to) {
    const [column] = columns.splice(from, 1);
    columns.splice(to, 0, column);
    show();
    changed();
    announce(texts.export.moved({ name: columnLabel(to), position: to + 1 }));
  }

  /** @param {number} index */
  function remove(index) {
    const name = columnLabel(index);
    columns.splice(index, 1);
    show();
    changed();
    announce(texts.export.removed({ name }));
    const next = list.children[Math.min(index, columns.length - 1)];
    const last = /** @type {HTMLElement | null | undefined} */ (next?.querySelector('.tools button:last-child'));
    (last ?? byId('add-column')).focus();
  }

  /**
   * @param {Column} column
   * @param {number} index
   */
  function row(column, index) {
    const position = index + 1;
    /**
     * @param {keyof Column} key
     * @param {string} label
     * @param {string} placeholder
     * @param {Properties} [properties]
     */
    const field = (key, label, placeholder, properties) => {
      const input = h('input', {
        type: 'text',
        'aria-label': label,
        placeholder,
        autocomplete: 'off',
        spellcheck: 'false',
        autocapitalize: 'off',
        'aria-describedby': `column-${position}-error column-${position}-remark`,
        on: {
          input: () => {
            column[key] = input.value;
            fieldError(input, error, '');
            if (key === 'name') showKinds();
            else clearNameErrors();
            showRemarks();
            changed({ typing: true });
          },
          keydown: (event) => {
            const step = event.key === 'ArrowUp' ? -1 : event.key === 'ArrowDown' ? 1 : 0;
            const target = index + step;
            if (!event.altKey || !step || target < 0 || target >= columns.length) return;
            event.preventDefault();
            moveTo(index, target);
            fields(target)[key === 'name' ? 0 : 1].focus();
          },
        },
        ...properties,
      });
      input.value = column[key];
      return input;
    };
    const error = h('p', { class: 'field-error', id: `column-${position}-error` });
    const attribute = field('name', texts.export.attributeOf({ position }), texts.export.attribute, { class: 'code' });
    const name = field('export_as', texts.export.columnNameOf({ position }), texts.export.columnName);
    /** @param {number} by */
    const step = (by) => () => {
      moveTo(index, index + by);
      // The focus stays on the same button of the same column, or on its neighbour at either end.
      /** @type {NodeListOf<HTMLButtonElement>} */
      const tools = list.children[index + by].querySelectorAll('.tools button');
      const wanted = tools[by < 0 ? 0 : 1];
      (wanted.disabled ? tools[by < 0 ? 1 : 0] : wanted).focus();
    };
    const element = h(
      'li',
      {},
      h('span', { class: 'grip', draggable: 'true', 'aria-hidden': 'true', title: texts.export.drag }, icon('grip')),
      withSuggestions(attribute, suggestExpression, error),
      name,
      h('span', { class: 'kind' }),
      h(
        'div',
        { class: 'tools' },
        iconButton('up', texts.export.moveUp({ name: columnLabel(index) }), step(-1), { disabled: index === 0 }),
        iconButton('down', texts.export.moveDown({ name: columnLabel(index) }), step(1), { disabled: index === columns.length - 1 }),
        iconButton('remove', texts.export.removeColumn({ name: columnLabel(index) }), () => remove(index)),
      ),
      error,
      h('div', { class: 'field-remark', id: `column-${position}-remark` }),
    );
    followDragging(element, index);
    return element;
  }

  /**
   * @param {HTMLElement} element
   * @param {number} index
   */
  function followDragging(element, index) {
    const grip = /** @type {HTMLElement} */ (element.querySelector('.grip'));
    /** @param {DragEvent} event */
    const after = (event) => {
      const box = element.getBoundingClientRect();
      return event.clientY > box.top + box.height / 2;
    };
    const clear = () => element.classList.remove('drop-before', 'drop-after');
    grip.addEventListener('dragstart', (event) => {
      dragged = index;
      if (event.dataTransfer) {
        event.dataTransfer.effectAllowed = 'move';
        event.dataTransfer.setData('text/plain', columns[index].name);
        event.dataTransfer.setDragImage(element, 0, 0);
      }
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
    /**
     * Removes every column with this expression; `user.` in front of a path makes no difference.
     * @param {string} name
     */
    removeExpression(name) {
      columns = columns.filter((column) => bare(column.name) !== bare(name));
      show();
      changed();
    },
    /**
     * Whether a column has this expression; `user.` in front of a path makes no difference.
     * @param {string} name
     */
    has: (name) => columns.some((column) => bare(column.name) === bare(name)),
    showRemarks,
    /** Columns that have an expression, for the preview; a column without a name is named after its expression. */
    usable: () =>
      columns.filter(({ name }) => name.trim()).map(({ name, export_as }) => ({ name: name.trim(), export_as: export_as.trim() ? export_as : name.trim() })),
    /**
     * Shows the kinds of expressions and the remarks on them.
     * @param {{ expression: string, kind: string, remarks: string[] }[]} found
     */
    setAnswers(found) {
      answers = new Map(found.map(({ expression, ...answer }) => [expression, answer]));
      showKinds();
      showRemarks();
    },
    /**
     * Shows `text` at the column with this index in `usable()`, and at no other one. Returns whether there is such a column.
     * @param {number} wanted
     * @param {Child} text
     */
    setProblem(wanted, text) {
      let found = false;
      let usable = -1;
      columns.forEach((column, index) => {
        if (column.name.trim()) usable += 1;
        const wrong = usable === wanted && Boolean(column.name.trim());
        const place = part(index, '.field-error');
        const [attribute] = fields(index);
        if (wrong) {
          found = true;
          fieldError(attribute, place, text);
        } else if (place.dataset.from === 'server') {
          fieldError(attribute, place, '');
        }
        place.dataset.from = wrong ? 'server' : '';
      });
      return found;
    },
    /**
     * Marks empty fields. Returns the first invalid field, or null.
     * @param {{ quiet?: boolean }} [options]
     */
    check({ quiet = false } = {}) {
      /** @type {HTMLInputElement | null} */
      let first = null;
      for (const [index, column] of columns.entries()) {
        const [attribute, name] = fields(index);
        /** @type {[input: HTMLInputElement, text: string | false][]} */
        const missing = [
          [attribute, !column.name.trim() && texts.export.attributeMissing],
          [name, !column.export_as.trim() ? texts.export.nameMissing : isRepeated(index) && texts.export.nameTwice({ name: column.export_as.trim() })],
        ];
        for (const [input, text] of missing) {
          if (text && !quiet) input.setAttribute('aria-invalid', 'true');
          else input.removeAttribute('aria-invalid');
          if (text) first ??= input;
        }
        const words = missing.map(([, text]) => text).filter(Boolean);
        fill(part(index, '.field-error'), quiet ? '' : words.join(' '));
        // The error says the same.
        if (!quiet && isRepeated(index)) fill(part(index, '.field-remark'));
      }
      return first;
    },
  };
}

/**
 * A remark on a path that no known attribute matches; empty for other expressions.
 * @param {string} expression
 */
export function pathRemark(expression) {
  const unknown = unknownPath(expression, tenantData.attributes, tenantData.documented);
  if (!unknown) return '';
  const { path, nearest } = unknown;
  return nearest ? texts.export.unknownPathNearest({ path, nearest }) : texts.export.unknownPath({ path });
}
