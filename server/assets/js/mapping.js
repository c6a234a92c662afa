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
/** The error code of a mapping that cannot be used. */
const WRONG_MAPPING = 'invalid_mapping';
/** As much of a file as the server looks at. */
const BEGINNING = 4 * 1024 * 1024;
/** Attributes that are shown of the first users: more would need a screen of their own. */
const SHOWN_ATTRIBUTES = 12;

/**
 * The inspector. `files` gives the chosen files as `{file, inspection, error}`, whose last two it fills in;
 * `options` what else the check depends on; `changed` is called when something was found out; `decided` when
 * somebody has said what a column becomes; `dropReadOnly` leaves out what Auth0 sets itself.
 */
export function inspector({ files, options, changed, decided, dropReadOnly }) {
  const card = byId('content');
  const body = byId('content-body');
  const problems = h('div');
  const offer = h('div');
  const mapping = h('div');
  const checks = h('div');
  fill(body, problems, offer, mapping, checks);
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
  /** Whether an answer is still to come, and who waits for it. */
  let looking = false;
  let waiting = [];
  /** The table as it stands: what it was made of, and how each of its rows is brought up to date. */
  let table = null;
  let fields = 0;

  function look({ now = true } = {}) {
    clearTimeout(timer);
    running?.abort();
    card.hidden = files().length === 0 || missing;
    if (card.hidden) {
      table = null;
      for (const part of [problems, offer, mapping, checks]) fill(part);
      settle();
    } else {
      looking = true;
      timer = setTimeout(ask, now ? 0 : DELAY_MS);
    }
  }

  function settle() {
    looking = false;
    for (const goOn of waiting.splice(0)) goOn();
  }

  async function ask() {
    running = new AbortController();
    const { signal } = running;
    card.setAttribute('aria-busy', 'true');
    try {
      for (const entry of files()) {
        await inspectOne(entry, signal);
        if (signal.aborted) return;
        if (missing) {
          card.hidden = true;
          return;
        }
      }
      takeOver();
      changed();
      show();
    } finally {
      // A newer look takes its place otherwise.
      if (!signal.aborted) {
        card.removeAttribute('aria-busy');
        settle();
      }
    }
  }

  /** The first look tells the columns; the mapping that their names ask for is checked by a second one. */
  async function inspectOne(entry, signal) {
    try {
      const sent = map();
      entry.inspection = await send(entry, sent, signal);
      const wanted = map();
      if (JSON.stringify(wanted) !== JSON.stringify(sent)) entry.inspection = await send(entry, wanted, signal);
      entry.error = null;
    } catch (error) {
      if (signal.aborted || error.name === 'AbortError') return;
      missing = error.status === 404 || error.status === 405;
      // The columns stay when the mapping was refused or the server could not answer now: the fields that a person
      // is typing into depend on them, and so does what is sent.
      const ofFile = error.status >= 400 && error.status < 500 && error.status !== 429 && error.code !== WRONG_MAPPING;
      if (ofFile) entry.inspection = null;
      entry.error = error;
    }
  }

  function send({ file }, rules, signal) {
    const form = new FormData();
    for (const [name, value] of Object.entries(options())) form.append(name, String(value));
    if (rules) form.append('map', JSON.stringify(rules));
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

  /**
   * Columns with what each becomes: `target` is a path, or empty for a column that is left out. A header of a
   * table that means an attribute of Auth0 is taken for it. Everything else that is unknown stays `open` until
   * somebody has decided: data is never moved into metadata, and an attribute of JSON never renamed, without
   * a word. `offer` is what an open column might become.
   */
  function targets() {
    const all = columns();
    // What is taken for an attribute keeps it, whatever is said of others: they are told that it is taken.
    const meant = new Set(all.map(({ attribute }) => attribute).filter(Boolean));
    const settled = all.map((column) => {
      const proposed = column.csv && config.importAttributes.includes(column.proposal) && !meant.has(column.proposal);
      if (proposed) meant.add(column.proposal);
      if (said.has(column.name)) return { ...column, target: said.get(column.name) };
      if (column.attribute) return { ...column, target: column.attribute };
      if (proposed) return { ...column, target: column.proposal, proposed };
      return { ...column, target: '', open: column.name !== '' && !column.read_only };
    });
    const taken = new Set(settled.map(({ target }) => target));
    return settled.map((column) => {
      const offer = column.open && !taken.has(column.proposal) ? (column.proposal ?? '') : '';
      if (offer) taken.add(offer);
      return { ...column, offer };
    });
  }

  /** The mapping as the API takes it; null when every column keeps its name. `undecided` false: only what is decided. */
  function map({ undecided = true } = {}) {
    if (given) return given;
    const rules = { ...further };
    for (const column of targets()) {
      if (column.name === '' || (column.read_only && !said.get(column.name))) continue;
      if (column.open) {
        // A table is refused whole for an unknown header, rows of JSON one by one: that shows in the check.
        if (undecided && column.csv) rules[column.name] = 'null';
        continue;
      }
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

  /** Somebody has said what columns become, `[name, target]`; null takes their word back. */
  function say(pairs, { typing = false } = {}) {
    for (const [name, target] of pairs) {
      if (target === null) said.delete(name);
      else said.set(name, target);
    }
    showMapping();
    decided();
    look({ now: !typing });
  }

  // What is shown

  function show() {
    const all = targets();
    const found = files().filter((entry) => entry.inspection);
    fill(problems, files().map((entry) => problemOf(entry)));
    fill(offer, readOnlyOffer(all));
    showMapping();
    fill(checks, found.filter((entry) => !entry.error).map((entry) => checked(entry.inspection, found.length > 1 ? entry.file.name : null)));
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

  /** Builds the table when there are other columns than before; otherwise what is typed into stays as it is. */
  function showMapping() {
    const all = targets();
    const made = JSON.stringify(columns());
    if (all.length === 0) {
      table = null;
      fill(mapping);
    } else if (table?.made !== made) {
      const wasOpen = table?.element.open;
      table = mappingTable(all, wasOpen);
      table.made = made;
      fill(mapping, table.element);
    }
    const double = doubled(all);
    if (!table) return;
    all.forEach((column, index) => table.rows[index](column, double.get(column.name)));
    table.update(all);
  }

  function mappingTable(all, wasOpen) {
    const head = [texts.mapping.column, texts.mapping.examples, texts.mapping.becomes];
    const rows = all.map((column) => mappingRow(column, head));
    const summary = h('summary');
    const undecided = h('div');
    let openNow = '';
    const more = h('p', { class: 'help' });
    const settled = all.every((column) => column.attribute || column.read_only);
    const element = h(
      'details',
      { class: 'more mapping', open: wasOpen ?? !settled },
      summary,
      undecided,
      h('p', { class: 'help' }, texts.mapping.help),
      h(
        'table',
        { class: 'table stack', role: 'table' },
        h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, head.map((text) => h('th', { scope: 'col', role: 'columnheader' }, text)))),
        h('tbody', { role: 'rowgroup' }, rows.map(({ element: row }) => row)),
      ),
      more,
    );
    const update = (columnsNow) => {
      const open = columnsNow.filter((column) => column.open);
      const proposed = columnsNow.filter((column) => column.proposed).length;
      const words = open.length > 0
        ? texts.mapping.unknown(open.length, number(open.length))
        : proposed > 0
          ? texts.mapping.someProposed(proposed, number(proposed))
          : texts.mapping[columnsNow.some(({ name }) => said.has(name)) ? 'allDecided' : 'allKnown'](columnsNow.length, number(columnsNow.length));
      fill(summary, words);
      // Said again only when it changes.
      const state = JSON.stringify(open.map(({ name, offer: target }) => [name, target]));
      if (state !== openNow) fill(undecided, openNotice(open));
      openNow = state;
      const rules = Object.entries(further);
      more.hidden = rules.length === 0;
      fill(more, rules.length > 0 && [texts.mapping.further, ' ', rules.map(([name, expression]) => [h('code', {}, `${name} = ${expression}`), ' '])]);
    };
    return { element, rows: rows.map(({ update: row }) => row), update };
  }

  /** What open columns mean for the import, and one click for all of them. */
  function openNotice(open) {
    if (open.length === 0) return null;
    const offered = open.filter((column) => column.offer);
    const focus = () => table.element.querySelector('summary').focus();
    const all = (pairs) => () => {
      say(pairs);
      focus();
    };
    return notice(
      'warning',
      h('p', {}, open.some((column) => column.csv) ? texts.mapping.openTable : texts.mapping.openJson),
      open.length > 1 && h(
        'div',
        { class: 'actions' },
        offered.length > 0 && button(texts.mapping.takeAll(number(offered.length)), all(offered.map(({ name, offer: target }) => [name, target])), { kind: 'small', disabled }),
        button(texts.mapping.leaveAllOut, all(open.map(({ name }) => [name, ''])), { kind: 'small', disabled }),
      ),
    );
  }

  function mappingRow(column, head) {
    const cell = (label, ...children) => h('td', { role: 'cell', 'data-label': label }, h('div', {}, ...children));
    const share = column.rows > 0 ? Math.round((column.filled / column.rows) * 100) : 0;
    const bar = h('span');
    bar.style.width = `${share}%`;
    const fixed = column.read_only || column.name === '';
    const field = fixed ? null : targetField(column);
    const element = h(
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
      cell(head[2], fixed ? h('p', { class: 'soft' }, column.read_only ? texts.mapping.setByAuth0 : texts.mapping.noName) : field.elements),
    );
    return { element, update: field?.update ?? (() => {}) };
  }

  function targetField({ name, attribute }) {
    fields += 1;
    const place = h('p', { class: 'field-error', id: `target-${fields}-error` });
    const badge = h('span', { class: 'kind' });
    const choices = h('div', { class: 'actions' });
    const input = h('input', {
      type: 'text',
      class: 'code',
      'aria-label': texts.mapping.becomesOf(name),
      'aria-describedby': place.id,
      'data-column': name,
      autocomplete: 'off',
      autocapitalize: 'off',
      spellcheck: 'false',
      disabled,
      on: {
        input: () => {
          const target = input.value.trim();
          say([[name, target === attribute ? null : target]], { typing: true });
        },
      },
    });
    const choose = (target) => () => {
      say([[name, target]]);
      input.focus();
    };
    let offered = null;
    const update = (column, other) => {
      if (input.value.trim() !== column.target) input.value = column.target;
      input.placeholder = column.open ? texts.mapping.undecided : texts.mapping.leftOut;
      fieldError(input, place, other && texts.mapping.double(other, column.target));
      const [kind, text] = column.open
        ? ['open', texts.mapping.open]
        : column.target === ''
          ? ['', texts.mapping.leftOut]
          : column.target === attribute
            ? ['path', texts.mapping.known]
            : column.proposed
              ? ['transform', texts.mapping.proposed]
              : ['path', texts.mapping.chosen];
      badge.dataset.kind = kind;
      fill(badge, text);
      const offer = column.open ? (column.offer ?? '') : null;
      if (offer === offered) return;
      offered = offer;
      fill(
        choices,
        offer !== null && [
          offer && button(texts.mapping.take(offer), choose(offer), { kind: 'small', disabled, 'aria-label': texts.mapping.takeOf(name, offer) }),
          button(texts.mapping.leaveItOut, choose(''), { kind: 'small quiet', disabled, 'aria-label': texts.mapping.leaveOutOf(name) }),
        ],
      );
    };
    return { elements: [h('div', { class: 'target' }, completed(input, suggestAttribute), badge), place, choices], update };
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
    /** Waits until everything that was chosen has been looked into. */
    settled: () => (looking ? new Promise((goOn) => waiting.push(goOn)) : null),
    /** Starts with a mapping from elsewhere, or without one. */
    restore(mapping) {
      said = new Map();
      further = {};
      given = mapping && typeof mapping === 'object' && Object.keys(mapping).length > 0 ? mapping : null;
    },
    /** What was found out about a file, in words. */
    words({ inspection, error }) {
      if (error && !inspection) return texts.mapping.unreadable;
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
      const all = targets();
      const double = doubled(all);
      const wrong = all.find((column) => double.has(column.name) || (column.open && column.csv));
      const refused = files().find(({ error }) => error?.code === WRONG_MAPPING)?.error;
      if (!wrong && refused && table) {
        announce(refused.message);
        table.element.open = true;
        return body.querySelector('[data-column]');
      }
      if (!wrong) return null;
      const other = double.get(wrong.name);
      const text = other === undefined ? texts.mapping.decide(wrong.name) : texts.mapping.double(other, wrong.target);
      table.element.open = true;
      const input = [...body.querySelectorAll('[data-column]')].find((field) => field.dataset.column === wrong.name) ?? null;
      if (input) fieldError(input, input.closest('td').querySelector('.field-error'), text);
      announce(text);
      return input;
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
