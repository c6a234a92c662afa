// Looks into chosen files before anything is imported: what they are, which attribute each of their columns
// becomes, and what the check says of the first rows.

import { inspect } from './api.js';
import { completed } from './completion.js';
import { announce, button, byId, fill, h } from './dom.js';
import { number } from './format.js';
import { errorNotice, errorText, fieldError, notice } from './page.js';
import { cellContent } from './preview.js';
import { outcomeBar, reasonList } from './report.js';
import { config } from './session.js';
import { texts } from './texts.js';

const DELAY_MS = 500;
/** As much of a file as the server looks at. */
const BEGINNING = 4 * 1024 * 1024;
/** Attributes that are shown of the first users: more would need a screen of their own. */
const SHOWN_ATTRIBUTES = 12;

/**
 * The inspector. `files` gives the chosen files as `{file, inspection, error}`, whose last two it fills in;
 * `options` what else the check depends on; `changed` is called when something was found out;
 * `dropReadOnly` leaves out what Auth0 sets itself.
 */
export function inspector({ files, options, changed, dropReadOnly }) {
  const card = byId('content');
  const body = byId('content-body');
  /** What a person has said a column becomes, by the column's name; an empty text leaves it out. */
  let said = new Map();
  /** A mapping from elsewhere that is applied to the columns once they are known. */
  let given = null;
  /** Rules of a given mapping that are more than one column. */
  let further = {};
  let timer = 0;
  let running = null;
  let missing = false;
  let disabled = false;

  function look({ now = true } = {}) {
    clearTimeout(timer);
    running?.abort();
    card.hidden = files().length === 0 || missing;
    if (card.hidden) fill(body);
    else timer = setTimeout(ask, now ? 0 : DELAY_MS);
  }

  async function ask() {
    running = new AbortController();
    const { signal } = running;
    card.setAttribute('aria-busy', 'true');
    for (const entry of files()) {
      try {
        await inspectOne(entry, signal);
      } catch (error) {
        if (signal.aborted || error.name === 'AbortError') return;
        if (error.status === 404 || error.status === 405) {
          missing = true;
          card.hidden = true;
          return;
        }
        entry.inspection = null;
        entry.error = error;
      }
      if (signal.aborted) return;
    }
    takeOver();
    card.removeAttribute('aria-busy');
    changed();
    show();
  }

  /** The first look tells the columns; the mapping that their names ask for is checked by a second one. */
  async function inspectOne(entry, signal) {
    const sent = map();
    entry.inspection = await send(entry, sent, signal);
    const wanted = map();
    if (JSON.stringify(wanted) !== JSON.stringify(sent)) entry.inspection = await send(entry, wanted, signal);
    entry.error = null;
  }

  function send({ file }, mapping, signal) {
    const form = new FormData();
    for (const [name, value] of Object.entries(options())) form.append(name, String(value));
    if (mapping) form.append('map', JSON.stringify(mapping));
    const partial = file.size > BEGINNING;
    form.append('partial', String(partial));
    form.append('users', partial ? file.slice(0, BEGINNING) : file, file.name);
    return inspect(form, { signal });
  }

  /** Every column of every file once. */
  function columns() {
    const all = new Map();
    for (const { inspection } of files()) {
      for (const column of inspection?.columns ?? []) {
        const known = all.get(column.name);
        if (known) known.rows += inspection.rows;
        else all.set(column.name, { ...column, rows: inspection.rows, csv: inspection.input.format === 'csv' });
      }
    }
    return [...all.values()];
  }

  /** Applies a given mapping to the columns it speaks of. */
  function takeOver() {
    if (!given) return;
    const rest = { ...given };
    for (const column of columns()) {
      if (rest[column.name] === 'null') {
        said.set(column.name, '');
        delete rest[column.name];
        continue;
      }
      const target = Object.keys(rest).find((name) => rest[name] === column.expression);
      if (target === undefined) continue;
      said.set(column.name, target);
      delete rest[target];
    }
    further = rest;
    given = null;
  }

  /** Columns with what each becomes: `target` is a path, or empty for a column that is left out. */
  function targets() {
    const taken = new Set();
    const all = columns();
    for (const column of all) if (!said.has(column.name) && column.attribute) taken.add(column.attribute);
    for (const target of said.values()) if (target) taken.add(target);
    return all.map((column) => {
      if (said.has(column.name)) return { ...column, target: said.get(column.name) };
      if (column.attribute) return { ...column, target: column.attribute };
      const proposal = column.proposal && !taken.has(column.proposal) ? column.proposal : '';
      if (proposal) taken.add(proposal);
      return { ...column, target: proposal };
    });
  }

  /** The mapping as the API takes it; null when every column keeps its name. */
  function map() {
    if (given) return given;
    const rules = { ...further };
    for (const column of targets()) {
      if (column.name === '' || (column.read_only && !said.get(column.name))) continue;
      if (column.target === (column.attribute ?? null)) continue;
      if (column.target === '') rules[column.name] = 'null';
      else rules[column.target] = column.expression;
    }
    return Object.keys(rules).length > 0 ? rules : null;
  }

  /** Columns whose target another column has already. */
  function doubled(all) {
    const seen = new Map();
    const double = new Map();
    for (const { name, target } of all) {
      if (target && seen.has(target)) double.set(name, seen.get(target));
      else if (target) seen.set(target, name);
    }
    return double;
  }

  // What is shown

  function show() {
    const focused = document.activeElement?.dataset?.column;
    const open = body.querySelector('.mapping')?.open;
    const all = targets();
    const found = files().filter((entry) => entry.inspection);
    fill(
      body,
      files().map((entry) => problemOf(entry)),
      readOnlyOffer(all),
      all.length > 0 && mappingTable(all, open),
      Object.keys(further).length > 0 && h('p', { class: 'help' }, texts.mapping.further, ' ', Object.entries(further).map(([name, expression]) => [h('code', {}, `${name} = ${expression}`), ' '])),
      found.map((entry) => checked(entry.inspection, found.length > 1 ? entry.file.name : null)),
    );
    if (focused !== undefined) [...body.querySelectorAll('[data-column]')].find((input) => input.dataset.column === focused)?.focus();
  }

  function problemOf({ file, inspection, error }) {
    const name = files().length > 1 && h('p', { class: 'fine' }, file.name);
    if (error) return error.status === 400 ? notice('error', name, errorText(error)) : errorNotice(error, () => look());
    return inspection?.problem && notice('error', name, errorText(inspection.problem));
  }

  function readOnlyOffer(all) {
    const names = all.filter((column) => column.read_only && !column.csv).map(({ name }) => name);
    if (names.length === 0 || options().drop_read_only) return null;
    return notice('warning', h('p', {}, texts.mapping.readOnly(names.join(', '))), h('div', { class: 'actions' }, button(texts.mapping.leaveOut, dropReadOnly, { kind: 'small' })));
  }

  function mappingTable(all, wasOpen) {
    const unknown = all.filter((column) => !column.attribute && !column.read_only);
    const double = doubled(all);
    const summary = unknown.length > 0 ? texts.mapping.unknown(unknown.length, number(unknown.length)) : texts.mapping.allKnown(all.length, number(all.length));
    const head = [texts.mapping.column, texts.mapping.examples, texts.mapping.becomes];
    return h(
      'details',
      { class: 'more mapping', open: wasOpen ?? unknown.length > 0 },
      h('summary', {}, summary),
      h('p', { class: 'help' }, texts.mapping.help),
      h(
        'table',
        { class: 'table stack', role: 'table' },
        h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, head.map((text) => h('th', { scope: 'col', role: 'columnheader' }, text)))),
        h('tbody', { role: 'rowgroup' }, all.map((column) => mappingRow(column, head, double))),
      ),
    );
  }

  function mappingRow(column, head, double) {
    const cell = (label, ...children) => h('td', { role: 'cell', 'data-label': label }, h('div', {}, ...children));
    const share = column.rows > 0 ? Math.round((column.filled / column.rows) * 100) : 0;
    const bar = h('span');
    bar.style.width = `${share}%`;
    return h(
      'tr',
      { role: 'row' },
      cell(
        head[0],
        h('code', { class: 'path' }, column.name || texts.mapping.unnamed),
        h('span', { class: 'share', title: texts.mapping.filled(share) },
          h('span', { class: 'share-bar', 'aria-hidden': 'true' }, bar),
          h('span', { 'aria-hidden': 'true' }, `${share} %`),
          h('span', { class: 'visually-hidden' }, texts.mapping.filled(share))),
      ),
      cell(head[1], h('ul', { class: 'values' }, column.examples.map((example) => h('li', {}, example)))),
      cell(head[2], column.read_only || column.name === '' ? h('p', { class: 'soft' }, column.read_only ? texts.mapping.setByAuth0 : texts.mapping.noName) : targetField(column, double.get(column.name))),
    );
  }

  function targetField(column, other) {
    const place = h('p', { class: 'field-error' });
    const input = h('input', {
      type: 'text',
      class: 'code',
      'aria-label': texts.mapping.becomesOf(column.name),
      placeholder: texts.mapping.leftOut,
      'data-column': column.name,
      autocomplete: 'off',
      autocapitalize: 'off',
      spellcheck: 'false',
      disabled,
      on: {
        input: () => {
          const target = input.value.trim();
          if (target === (column.attribute ?? column.proposal ?? '')) said.delete(column.name);
          else said.set(column.name, target);
          showBadge();
          look({ now: false });
        },
      },
    });
    input.value = column.target;
    fieldError(input, place, other && texts.mapping.double(other, column.target));
    const badge = h('span', { class: 'kind' });
    const showBadge = () => {
      const target = input.value.trim();
      const [kind, text] = target === '' ? ['', texts.mapping.leftOut] : target === column.attribute ? ['path', texts.mapping.known] : !said.has(column.name) ? ['transform', texts.mapping.proposed] : ['path', texts.mapping.chosen];
      badge.dataset.kind = kind;
      fill(badge, text);
    };
    showBadge();
    return [h('div', { class: 'target' }, completed(input, suggestAttribute), badge), place];
  }

  /** What the check says of the rows that were looked at. */
  function checked({ checked: result, rows, complete }, name) {
    if (!result) return null;
    const total = result.good + result.failed;
    return h(
      'section',
      { class: 'checked' },
      h('h3', {}, name ? texts.mapping.checkedOf(name) : texts.mapping.checked),
      h('p', { class: 'help' }, complete ? texts.mapping.allRows(rows, number(rows)) : texts.mapping.firstRows(number(rows))),
      total > 0 && outcomeBar([['inserted', result.good, texts.import.good], ['failed', result.failed, texts.import.faulty]]),
      reasonList(result.reasons),
      result.users.length > 0 && h('details', { class: 'more' }, h('summary', {}, texts.mapping.users(result.users.length)), userTable(result.users)),
    );
  }

  return {
    look,
    map,
    /** Starts with a mapping from elsewhere, or without one. */
    restore(mapping) {
      said = new Map();
      further = {};
      given = mapping && typeof mapping === 'object' && Object.keys(mapping).length > 0 ? mapping : null;
    },
    /** What was found out about a file, in words. */
    words({ inspection, error }) {
      if (error) return texts.mapping.unreadable;
      if (!inspection) return missing ? '' : texts.mapping.looking;
      const { format, encoding, delimiter, gzip } = inspection.input;
      return [
        texts.mapping.formats[format] ?? format,
        delimiter && texts.mapping.delimiter(texts.mapping.delimiters[delimiter] ?? delimiter),
        encoding,
        gzip && texts.mapping.gzip,
        inspection.complete ? texts.mapping.rows(inspection.rows, number(inspection.rows)) : texts.mapping.moreRows(number(inspection.rows)),
      ].filter(Boolean).join(' · ');
    },
    /** The first field that is wrong; null when the mapping can be used. */
    check() {
      const double = doubled(targets());
      if (double.size === 0) return null;
      body.querySelector('.mapping').open = true;
      announce(texts.mapping.double(...double.entries().next().value));
      return [...body.querySelectorAll('[data-column]')].find((input) => double.has(input.dataset.column)) ?? null;
    },
    disable(value) {
      disabled = value;
      for (const field of body.querySelectorAll('input, button')) field.disabled = value;
    },
  };
}

/** Attributes that an import takes, for a field that names one. */
function suggestAttribute(text, caret) {
  const typed = text.slice(0, caret).toLowerCase();
  const fitting = config.importAttributes.filter((name) => name.includes(typed) && name !== text);
  const below = ['user_metadata.', 'app_metadata.'].filter((name) => typed === '' || name.startsWith(typed));
  return {
    from: 0,
    to: text.length,
    options: [...fitting.filter((name) => name.startsWith(typed)), ...below, ...fitting.filter((name) => !name.startsWith(typed))].map((insert) => ({
      label: insert,
      detail: insert.endsWith('.') ? texts.mapping.ownKey : '',
      insert,
    })),
  };
}

function userTable(users) {
  const names = new Set(users.flatMap((user) => Object.keys(user)));
  const shown = [...names].slice(0, SHOWN_ATTRIBUTES);
  return h(
    'div',
    { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': texts.mapping.users(users.length) },
    h(
      'table',
      { class: 'table preview-table' },
      h('thead', {}, h('tr', {}, shown.map((name) => h('th', { scope: 'col' }, name)))),
      h('tbody', {}, users.map((user) => h('tr', {}, shown.map((name) => h('td', {}, cellContent(user[name])))))),
    ),
  );
}
