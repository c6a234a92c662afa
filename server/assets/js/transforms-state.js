// The state of the Transforms page and what follows from it: pure functions.

import { texts } from './texts.js';

/** @typedef {ResponseBody<'get', 'transforms'>['limits']} Limits */
/**
 * What is shown of a transform: of the catalog, or from a file.
 * @typedef {Pick<Transform, 'name' | 'summary' | 'documentation' | 'parameters' | 'examples'>} Described
 */

/**
 * The state: the catalog, its limits, and the file that the user has chosen for an upload.
 * @typedef {object} TransformsState
 * @property {Transform[]} transforms
 * @property {Limits | null} limits
 * @property {{ file: File, bytes: Uint8Array<ArrayBuffer> } | null} chosen
 */

/** @returns {TransformsState} */
export const initialState = () => ({ transforms: [], limits: null, chosen: null });

/**
 * Whether a transform has all words of a search.
 * @param {Pick<Transform, 'name' | 'summary' | 'documentation'>} transform
 * @param {string} search
 */
export function matchesSearch({ name, summary, documentation }, search) {
  const text = `${name} ${summary} ${documentation ?? ''}`.toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/**
 * The paragraphs of the documentation, without the summary, which is shown above it.
 * @param {Pick<Described, 'summary' | 'documentation'>} transform
 */
export const paragraphsOf = ({ summary, documentation }) =>
  (documentation ?? '')
    .split(/\n\s*\n/)
    .map((part) => part.trim())
    .filter((part) => part && part !== summary);

/**
 * What a secret is bound to in the settings of the server: the name of a shipped transform, the digest of another one.
 * Null if no parameter is a secret.
 * @param {Pick<Transform, 'name' | 'origin' | 'sha256' | 'parameters'>} transform
 */
export function secretBinding({ name, origin, sha256, parameters }) {
  if (!(parameters ?? []).some(({ secret }) => secret)) return null;
  return origin === 'shipped' ? name : `sha256:${sha256}`;
}

/**
 * The name, or the name with the first number that no column has.
 * @param {string} name
 * @param {Column[]} columns
 */
export function unusedName(name, columns) {
  const used = new Set(columns.map((column) => column.export_as));
  if (!used.has(name)) return name;
  let index = 2;
  while (used.has(`${name} ${index}`)) index += 1;
  return `${name} ${index}`;
}

/**
 * The stored form of the Export page with a further column, and the name of that column.
 * @param {ExportDraft | null} draft
 * @param {string} expression
 * @param {string} name
 */
export function withColumn(draft, expression, name) {
  const columns = Array.isArray(draft?.columns) ? draft.columns : [];
  const exportAs = unusedName(name, columns);
  return { draft: { ...draft, columns: [...columns, { name: expression, export_as: exportAs }] }, name: exportAs };
}

/**
 * What the page says about a file whose manifest it has read: whether the file can be added, and a remark. A file
 * without a manifest was not built with the SDK. An upload adds a version of an uploaded transform, and replaces no
 * other one.
 * @param {{ name: string } | null} manifest
 * @param {Pick<Transform, 'name' | 'version' | 'origin'>[]} transforms
 * @returns {{ mayAdd: boolean, kind: 'info' | 'warning', remark: string }}
 */
export function uploadView(manifest, transforms) {
  if (!manifest) return { mayAdd: false, kind: 'warning', remark: texts.transforms.noManifest };
  const existing = transforms.find((transform) => transform.name === manifest.name);
  if (!existing) return { mayAdd: true, kind: 'info', remark: '' };
  const { name, version } = existing;
  return existing.origin === 'upload'
    ? { mayAdd: true, kind: 'info', remark: texts.transforms.newVersion({ name, version }) }
    : { mayAdd: false, kind: 'warning', remark: texts.transforms.exists({ name, version }) };
}
