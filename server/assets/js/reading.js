// The fields of the Import page that say how the files are read, and the remarks beside them.

import { byId, fill, h } from './dom.js';
import { number } from './format.js';
import { errorText, fieldError, sentence } from './page.js';
import { encodingPreview, fieldOfError, fieldWarnings, queryRemarks, restoredReading, sourcesOf } from './reading-state.js';
import { texts } from './texts.js';

/** The members of the options, and the ids of their fields. */
const FIELDS = /** @type {const} */ ({ source: 'source', encoding: 'encoding', nullTexts: 'null-texts', query: 'query' });
const IDS = Object.values(FIELDS);
/** The fields with remarks. */
const REMARKED = /** @type {const} */ ([...IDS, 'upsert', 'drop-unknown']);

/**
 * The fields. `files` returns the chosen files; calls `changed` when a field has changed, with `typing` while the user
 * types.
 * @param {object} page
 * @param {() => ChosenFile[]} page.files
 * @param {(options: { typing: boolean }) => void} page.changed
 */
export function readingFields({ files, changed }) {
  for (const id of IDS) {
    const isText = byId(id).tagName === 'INPUT';
    byId(id).addEventListener(isText ? 'input' : 'change', () => changed({ typing: isText }));
  }

  const options = () => ({
    source: byId('source').value,
    encoding: byId('encoding').value,
    nullTexts: byId('null-texts').value,
    query: byId('query').value,
  });

  /** @param {ImportDraft} draft */
  function restore(draft) {
    const wanted = restoredReading(draft);
    // The sources are known after the first inspection.
    const source = byId('source');
    if (wanted.source && ![...source.options].some(({ value }) => value === wanted.source)) source.append(h('option', { value: wanted.source }, wanted.source));
    source.value = wanted.source;
    byId('encoding').value = wanted.encoding;
    if (byId('encoding').selectedIndex < 0) byId('encoding').value = '';
    byId('null-texts').value = wanted.nullTexts;
    byId('query').value = wanted.query;
  }

  /** Shows the sources that the server knows. */
  function showSources() {
    const { all, detected } = sourcesOf(files());
    const source = byId('source');
    if (all.length > 0) {
      const { value } = source;
      const fixed = [...source.options].slice(0, 2);
      source.replaceChildren(...fixed, ...all.map(({ name, title }) => h('option', { value: name }, title)));
      source.value = value;
    }
    if (source.value !== '') return [];
    return detected.map(({ file, title }) => h('p', {}, texts.reading.detected({ file, title })));
  }

  /** Shows the remarks of the inspection beside the fields. */
  function show() {
    const warnings = fieldWarnings(files());
    const several = files().length > 1;
    const shown = { source: showSources(), query: queryRemarks(files()).map(({ message }) => h('p', {}, sentence(message))) };
    for (const id of REMARKED) {
      const own = warnings.filter(({ field }) => field === id).map((warning) => warningText(warning, several));
      fill(byId(`${id}-remark`), id === 'source' || id === 'query' ? shown[id] : null, own);
    }
    const values = encodingPreview(files());
    fill(
      byId('encoding-preview'),
      values.length > 0 && [texts.reading.preview, ' ', values.map((value, index) => [index > 0 && ' ', h('span', { class: 'value' }, value)])],
    );
    for (const id of IDS) {
      const error = files()
        .map(({ error: failure }) => failure)
        .find((failure) => failure && fieldOfError(failure) === id);
      fieldError(byId(id), byId(`${id}-error`), error && errorText(error));
    }
  }

  return {
    options,
    restore,
    show,
    /** The first field with an error; null if all are valid. */
    check: () => IDS.map((id) => byId(id)).find((field) => field.getAttribute('aria-invalid') === 'true') ?? null,
    /** @param {boolean} value */
    disable(value) {
      for (const id of IDS) byId(id).disabled = value;
    },
  };
}

/**
 * @param {ReturnType<typeof fieldWarnings>[number]} warning
 * @param {boolean} several whether there are several files
 */
function warningText({ file, reason }, several) {
  const { lines = [], hint } = reason;
  const place = [several && file, lines.length > 0 && texts.report.lines({ count: lines.length, list: lines.map(number).join(', ') })].filter(Boolean);
  return h('p', {}, reason.message, place.length > 0 && h('span', { class: 'soft' }, ` (${place.join(', ')})`), hint && [' ', hint]);
}
