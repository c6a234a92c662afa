// The settings of an export, from the form the API has to the one the page remembers.

/** The versions of transforms that saved settings use: SHA-256 by name. */
export function pinsOf(value) {
  if (!value || typeof value !== 'object' || Array.isArray(value)) return {};
  return Object.fromEntries(Object.entries(value).filter(([, sha256]) => typeof sha256 === 'string'));
}

/**
 * What the Export page remembers of itself, made of the settings of an export. Anything may come from a
 * file, so that everything unexpected is left out.
 */
export function draftOf(settings) {
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
