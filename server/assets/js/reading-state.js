// How the files of an import are read, and what the inspection says about it: pure functions.

/**
 * The options: the source and the encoding (empty: detected), texts that mean an absent value (separated by commas),
 * and the query that selects rows.
 * @typedef {{ source: string, encoding: string, nullTexts: string, query: string }} ReadingOptions
 */

/** The fields of the page by the names that the API has for them. */
const FIELDS = /** @type {const} */ ({ source: 'source', encoding: 'encoding', null: 'null-texts', query: 'query' });
/** @typedef {(typeof FIELDS)[keyof typeof FIELDS] | 'upsert' | 'drop-unknown'} RemarkField */

/**
 * The field that a warning belongs to, by its code. Other warnings are about rows.
 * @type {{ [code: string]: RemarkField }}
 */
const FIELD_OF_WARNING = {
  ENCODING_GUESSED: 'encoding',
  UNDECODABLE: 'encoding',
  NULL_TEXT: 'null-texts',
  OTHER_PROVIDER: 'query',
  ATTRIBUTE_LEFT_OUT: 'drop-unknown',
  UPSERT_PASSWORD: 'upsert',
  UPSERT_REPLACES: 'upsert',
  UPSERT_UNCHANGED: 'upsert',
};
/** The code of a query that cannot be read. */
const INVALID_QUERY = 'invalid_search';
/** Maximum number of values in the preview of the encoding. */
const PREVIEW_VALUES = 4;

/**
 * The options of a form that is filled from a draft.
 * @param {ImportDraft} draft
 * @returns {ReadingOptions}
 */
export const restoredReading = ({ source, encoding, nullTexts, query }) => ({
  source: source ?? '',
  encoding: encoding ?? '',
  nullTexts: nullTexts ?? '',
  query: query ?? '',
});

/**
 * The texts of a list that is separated by commas, each once.
 * @param {string} list
 */
export const textsOfList = (list) => [
  ...new Set(
    list
      .split(',')
      .map((text) => text.trim())
      .filter(Boolean),
  ),
];

/**
 * The options as parts of a request, without those that are empty.
 * @param {ReadingOptions} options
 * @returns {{ [name: string]: string | string[] }}
 */
export function readingParts({ source, encoding, nullTexts, query }) {
  const parts = { source, encoding, query: query.trim(), null: textsOfList(nullTexts) };
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value.length > 0));
}

/**
 * The field of the page that an error of an inspection is about; null if it is about the file.
 * @param {Pick<import('./api.js').ApiError, 'code' | 'field'>} error
 */
export function fieldOfError({ code, field }) {
  if (code === INVALID_QUERY) return FIELDS.query;
  return field && Object.hasOwn(FIELDS, field) ? FIELDS[/** @type {keyof typeof FIELDS} */ (field)] : null;
}

/**
 * The warnings that stand at a field of the page instead of in the list of a file.
 * @param {ChosenFile[]} files
 * @returns {{ field: RemarkField, file: string, reason: Reason }[]}
 */
export const fieldWarnings = (files) =>
  files.flatMap(({ file, inspection }) =>
    (inspection?.checked?.reasons ?? [])
      .filter((reason) => isFieldWarning(reason))
      .map((reason) => ({ field: fieldOf(reason, inspection), file: file.name, reason })),
  );

/**
 * The conversion of a source leaves out attributes, too.
 * @param {Reason} reason
 * @param {Inspection | null} inspection
 * @returns {RemarkField}
 */
const fieldOf = ({ code }, inspection) => (code === 'ATTRIBUTE_LEFT_OUT' && inspection?.source ? 'source' : FIELD_OF_WARNING[code]);

/** @param {Pick<Reason, 'code' | 'severity'>} reason */
export const isFieldWarning = ({ code, severity }) => severity === 'warning' && Object.hasOwn(FIELD_OF_WARNING, code);

/**
 * The sources that can be chosen, and those that were detected, by file.
 * @param {ChosenFile[]} files
 */
export function sourcesOf(files) {
  const inspections = files.filter(({ error }) => !error).map(({ file, inspection }) => ({ file: file.name, inspection }));
  const all = inspections.find(({ inspection }) => inspection?.sources)?.inspection?.sources ?? [];
  return { all, detected: inspections.flatMap(({ file, inspection }) => (inspection?.source ? [{ file, title: inspection.source.title }] : [])) };
}

/**
 * Values with letters outside of ASCII, which show whether the encoding is right; at most four, each once.
 * @param {ChosenFile[]} files
 */
export function encodingPreview(files) {
  const values = files.flatMap(({ inspection }) => (inspection?.columns ?? []).flatMap(({ name, examples }) => [name, ...examples]));
  const telling = [...new Set(values)].filter((value) => [...value].some((letter) => letter > '\x7f'));
  return telling.slice(0, PREVIEW_VALUES);
}

/**
 * The remarks on the query, each once.
 * @param {ChosenFile[]} files
 * @returns {QueryRemark[]}
 */
export function queryRemarks(files) {
  const all = files.flatMap(({ inspection }) => inspection?.remarks ?? []);
  return [...new Map(all.map((remark) => [remark.message, remark])).values()];
}
