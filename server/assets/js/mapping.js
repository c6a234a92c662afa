// Inspects the chosen files before an import: their formats, the mapping of columns to attributes, and the validation
// of their rows.

import { inspect, isAbort, toApiError } from './api.js';
import { isUnusable } from './column-mapping.js';
import { announce, byId, fill, h } from './dom.js';
import { decided, describeFile, failureOf, initialState, inspected, mappingView, obstacleOf, restored, rulesFor } from './mapping-state.js';
import { mappingTable, readOnlyOffer, validation } from './mapping-view.js';
import { errorNotice, errorText, fieldError, notice } from './page.js';
import { fieldOfError } from './reading-state.js';
import { config } from './session.js';

const DELAY_MS = 500;
/** The server inspects this number of bytes of a file. */
const INSPECTED_BYTES = 4 * 1024 * 1024;
/** The server inspects workbooks up to this size, whose beginning cannot be read alone. */
const INSPECTED_WORKBOOK_BYTES = 16 * 1024 * 1024;

/** @typedef {{ [name: string]: boolean | string | string[] }} Parts */

/**
 * Adds parts to a form; a list becomes several parts.
 * @param {FormData} form
 * @param {Parts} parts
 */
export function appendParts(form, parts) {
  for (const [name, value] of Object.entries(parts)) for (const part of [value].flat()) form.append(name, String(part));
}

/**
 * The inspector. `files` returns the chosen files as `{file, inspection, error}`; the inspector sets the last two.
 * `options` returns the import options that affect the validation, as parts of the request. Calls `changed` after an inspection,
 * `mappingChanged` when the user has mapped or skipped a column, and `dropReadOnly` to skip attributes that Auth0 sets
 * itself.
 * @param {object} page
 * @param {() => ChosenFile[]} page.files
 * @param {() => Parts} page.options
 * @param {() => void} page.changed
 * @param {() => void} page.mappingChanged
 * @param {() => void} page.dropReadOnly
 */
export function inspector({ files, options, changed, mappingChanged, dropReadOnly }) {
  const card = byId('content');
  const body = byId('content-body');
  const places = { problems: h('div'), offer: h('div'), mapping: h('div'), checks: h('div') };
  fill(body, Object.values(places));
  const showTable = mappingTable(places.mapping, decide);
  let state = initialState();
  /** @type {Timer} */
  let timer = 0;
  /** @type {AbortController | null} */
  let running = null;
  /**
   * The mapping that each file was validated with, as JSON.
   * @type {WeakMap<ChosenFile, string>}
   */
  const sentRules = new WeakMap();
  /**
   * Callbacks that wait for the end of the inspection.
   * @type {(() => void)[]}
   */
  const waiters = [];

  /** @param {{ undecided?: boolean }} [choice] */
  const mappingRules = (choice) => rulesFor(state, files(), config.importAttributes, choice);
  const view = () => mappingView(state, files(), config.importAttributes);

  /** @param {Timing} [timing] */
  function refresh({ now = true } = {}) {
    clearTimeout(timer);
    running?.abort();
    card.hidden = files().length === 0 || !state.isSupported;
    if (card.hidden) {
      showTable(mappingView(state, [], []), state);
      for (const place of Object.values(places)) fill(place);
      finishInspecting();
    } else {
      state = { ...state, isInspecting: true };
      timer = setTimeout(inspectAll, now ? 0 : DELAY_MS);
    }
  }

  function finishInspecting() {
    state = { ...state, isInspecting: false };
    for (const resolve of waiters.splice(0)) resolve();
  }

  async function inspectAll() {
    running = new AbortController();
    const { signal } = running;
    card.setAttribute('aria-busy', 'true');
    try {
      for (const entry of files()) {
        await inspectOne(entry, signal);
        if (signal.aborted) return;
        if (!state.isSupported) {
          card.hidden = true;
          return;
        }
      }
      state = inspected(state, files());
      // Columns of later files may have changed the mapping that the first files were validated with.
      const rules = JSON.stringify(mappingRules());
      for (const entry of files()) {
        if (sentRules.get(entry) === rules || isUnusable(entry)) continue;
        await inspectOne(entry, signal);
        if (signal.aborted) return;
      }
      changed();
      show();
    } finally {
      // An aborted inspection has been replaced by a newer one.
      if (!signal.aborted) {
        card.removeAttribute('aria-busy');
        finishInspecting();
      }
    }
  }

  /**
   * The first request finds the columns; if their names suggest a mapping, a second request validates with it.
   * @param {ChosenFile} entry
   * @param {AbortSignal} signal
   */
  async function inspectOne(entry, signal) {
    try {
      const sent = mappingRules();
      entry.inspection = await send(entry, sent, signal);
      const wanted = mappingRules();
      if (JSON.stringify(wanted) !== JSON.stringify(sent)) entry.inspection = await send(entry, wanted, signal);
      entry.error = null;
    } catch (failure) {
      if (signal.aborted || isAbort(failure)) return;
      const error = toApiError(failure);
      const { isSupported, dropsColumns } = failureOf(error);
      state = { ...state, isSupported };
      if (dropsColumns) entry.inspection = null;
      entry.error = error;
    }
  }

  /**
   * @param {ChosenFile} entry
   * @param {MappingRules | null} rules
   * @param {AbortSignal} signal
   */
  function send(entry, rules, signal) {
    const { file } = entry;
    const form = new FormData();
    appendParts(form, options());
    if (rules) form.append('map', JSON.stringify(rules));
    sentRules.set(entry, JSON.stringify(rules));
    const limit = /\.xls[xm]$/i.test(file.name) ? INSPECTED_WORKBOOK_BYTES : INSPECTED_BYTES;
    const partial = file.size > limit;
    form.append('partial', String(partial));
    form.append('users', partial ? file.slice(0, limit) : file, file.name);
    return inspect(form, { signal });
  }

  /** @type {import('./mapping-view.js').Decide} */
  function decide(pairs, { typing = false } = {}) {
    state = decided(state, pairs);
    showTable(view(), state);
    mappingChanged();
    refresh({ now: !typing });
  }

  function show() {
    const now = view();
    const found = files().filter((entry) => entry.inspection);
    fill(places.problems, files().map(problemOf));
    fill(places.offer, now.readOnly.length > 0 && !options().drop_read_only && readOnlyOffer(now.readOnly, dropReadOnly));
    showTable(now, state);
    fill(
      places.checks,
      found.map(({ file, inspection, error }) => inspection && !error && validation(inspection, found.length > 1 ? file.name : null)),
    );
  }

  /** @param {ChosenFile} entry */
  function problemOf({ file, inspection, error }) {
    const name = files().length > 1 && h('p', { class: 'fine' }, file.name);
    if (error && fieldOfError(error)) return null;
    if (error) return error.status === 400 ? notice('error', name, errorText(error)) : errorNotice(error, () => refresh());
    return inspection?.problem && notice('error', name, errorText(inspection.problem));
  }

  return {
    refresh,
    mappingRules,
    /** A promise that settles when all chosen files are inspected; null if they are. */
    whenIdle() {
      if (!state.isInspecting) return null;
      /** @type {Promise<void>} */
      const idle = new Promise((resolve) => {
        waiters.push(resolve);
      });
      return idle;
    },
    /**
     * Resets the mapping, to a stored one if given.
     * @param {MappingRules | null} [mapping]
     */
    restore(mapping) {
      state = restored(state, mapping);
    },
    /**
     * The detected format of a file, as text.
     * @param {ChosenFile} entry
     */
    describe: (entry) => describeFile(entry, state),
    /**
     * Marks and returns the first invalid field; null if the mapping is valid.
     * @returns {HTMLInputElement | null}
     */
    check() {
      const now = view();
      const obstacle = obstacleOf(now, files());
      const table = obstacle && showTable(now, state);
      if (!obstacle || !table) return null;
      table.open = true;
      announce(obstacle.message);
      /** @type {NodeListOf<HTMLInputElement>} */
      const inputs = table.querySelectorAll('[data-column]');
      if (obstacle.column === null) return inputs[0] ?? null;
      const input = [...inputs].find((field) => field.dataset.column === obstacle.column) ?? null;
      /** @type {HTMLElement | null | undefined} */
      const place = input?.closest('td')?.querySelector('.field-error');
      if (input && place) fieldError(input, place, obstacle.message);
      return input;
    },
    /** @param {boolean} value */
    disable(value) {
      state = { ...state, isDisabled: value };
      /** @type {NodeListOf<HTMLInputElement | HTMLButtonElement>} */
      const fields = body.querySelectorAll('input, button');
      for (const field of fields) field.disabled = value;
    },
  };
}
