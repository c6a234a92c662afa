// Converts export settings of the API to the form state that the Export page stores.

/**
 * The transform versions that saved settings are pinned to: SHA-256 by name.
 * @param {unknown} value
 * @returns {{ [name: string]: string }}
 */
export function pinsOf(value) {
  if (!value || typeof value !== 'object' || Array.isArray(value)) return {};
  return Object.fromEntries(Object.entries(value).filter(([, sha256]) => typeof sha256 === 'string'));
}

/**
 * The stored form state of the Export page for these export settings. The settings may come from a file, so members of
 * unexpected types are ignored.
 * @param {object} settings
 * @returns {Required<ExportDraft>}
 */
export function toDraft(settings) {
  const { fields, sort, limit, ...rest } = /** @type {JsonObject} */ (settings);
  const order = /** @type {JsonObject | null | undefined} */ (sort);
  /** @param {unknown} value */
  const text = (value) => (typeof value === 'string' ? value : '');
  /** @type {(JsonObject | null | undefined)[]} */
  const columns = Array.isArray(fields) ? fields : [];
  return {
    query: text(rest.query),
    connection: text(rest.connection_id),
    columns: columns.flatMap((field) => {
      if (typeof field?.name !== 'string') return [];
      return { name: field.name, export_as: text(field.export_as) || field.name };
    }),
    sort: text(order?.by),
    descending: order?.descending === true,
    format: text(rest.format),
    importReady: rest.preset === 'import',
    limit: Number.isInteger(limit) ? String(limit) : '',
    delimiter: text(rest.delimiter) || ',',
    bom: rest.bom === true,
    rawCells: rest.raw_cells === true,
    gzip: rest.gzip === true,
    stopAtFault: rest.on_error === 'fail',
    transforms: pinsOf(rest.transforms),
  };
}
