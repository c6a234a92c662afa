// Converts export settings of the API to the form state that the Export page stores.

/** The transform versions that saved settings are pinned to: SHA-256 by name. */
export function pinsOf(value) {
  if (!value || typeof value !== 'object' || Array.isArray(value)) return {};
  return Object.fromEntries(Object.entries(value).filter(([, sha256]) => typeof sha256 === 'string'));
}

/**
 * The stored form state of the Export page for these export settings. The settings may come from a file, so members of
 * unexpected types are ignored.
 */
export function toDraft(settings) {
  const text = (value) => (typeof value === 'string' ? value : '');
  const fields = Array.isArray(settings.fields) ? settings.fields : [];
  return {
    query: text(settings.query),
    connection: text(settings.connection_id),
    columns: fields
      .filter((field) => field && typeof field.name === 'string')
      .map((field) => ({ name: field.name, export_as: text(field.export_as) || field.name })),
    sort: text(settings.sort?.by),
    descending: settings.sort?.descending === true,
    format: text(settings.format),
    importReady: settings.preset === 'import',
    limit: Number.isInteger(settings.limit) ? String(settings.limit) : '',
    delimiter: text(settings.delimiter) || ',',
    bom: settings.bom === true,
    rawCells: settings.raw_cells === true,
    gzip: settings.gzip === true,
    stopAtFault: settings.on_error === 'fail',
    transforms: pinsOf(settings.transforms),
  };
}
