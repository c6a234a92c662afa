// Reads the manifest of a transform from its .wasm file, without running it.

const SECTION = 'user-import-export:manifest';
const MAGIC = [0x00, 0x61, 0x73, 0x6d];
const HEADER = 8;
/** Ids of the sections of a component that hold a module or a component, each with a header of its own. */
const NESTED_SECTIONS = [1, 4];
const MAX_DEPTH = 4;

/**
 * Whether bytes begin like a WebAssembly file.
 * @param {Uint8Array} bytes
 */
export const isWasm = (bytes) => MAGIC.every((byte, index) => bytes[index] === byte);

/**
 * The manifest of a .wasm file as an object; null if it has no readable manifest. Only the server validates the file.
 * @param {Uint8Array} bytes
 */
export function manifestOf(bytes) {
  try {
    const text = findManifest(bytes, 0, bytes.length, 0);
    const manifest = text === null ? null : JSON.parse(text);
    return manifest && typeof manifest === 'object' && typeof manifest.name === 'string' ? sanitize(manifest) : null;
  } catch {
    return null;
  }
}

/**
 * The members that are shown, with the expected types; the file is untrusted.
 * @param {JsonObject & { name: string }} manifest
 */
function sanitize(manifest) {
  /** @param {unknown} value */
  const text = (value) => (typeof value === 'string' ? value : '');
  /**
   * @param {unknown} list
   * @returns {JsonObject[]}
   */
  const objects = (list) => (Array.isArray(list) ? list.filter((entry) => entry && typeof entry === 'object') : []);
  return {
    name: manifest.name,
    version: text(manifest.version),
    summary: text(manifest.summary),
    documentation: text(manifest.documentation),
    parameters: objects(manifest.parameters).map((parameter) => ({
      name: text(parameter.name),
      type: text(parameter.type),
      optional: parameter.optional === true,
      secret: parameter.secret === true,
      description: text(parameter.description),
    })),
    examples: objects(manifest.examples).map(({ call, gives }) => ({ call: text(call), gives: gives ?? null })),
  };
}

/**
 * @param {Uint8Array} bytes
 * @param {number} start
 * @param {number} end
 * @param {number} depth
 * @returns {string | null}
 */
function findManifest(bytes, start, end, depth) {
  if (depth > MAX_DEPTH || end - start < HEADER || !isWasm(bytes.subarray(start, end))) return null;
  const isComponent = bytes[start + 6] === 1;
  let at = start + HEADER;
  while (at < end) {
    const id = bytes[at];
    const [length, content] = readUnsigned(bytes, at + 1, end);
    const next = content + length;
    if (next > end) return null;
    if (id === 0) {
      const [nameLength, name] = readUnsigned(bytes, content, next);
      const body = name + nameLength;
      /**
       * @param {number} from
       * @param {number} to
       */
      const decode = (from, to) => new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(from, to));
      if (body <= next && nameLength === SECTION.length && decode(name, body) === SECTION) return decode(body, next);
    } else if (isComponent && NESTED_SECTIONS.includes(id)) {
      const inner = findManifest(bytes, content, next, depth + 1);
      if (inner !== null) return inner;
    }
    at = next;
  }
  return null;
}

/**
 * Reads an unsigned LEB128 number. Returns it and the offset after it.
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {number} end
 * @returns {[value: number, next: number]}
 */
function readUnsigned(bytes, at, end) {
  let value = 0;
  for (let shift = 0; shift < 35 && at < end; shift += 7) {
    const byte = bytes[at];
    at += 1;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at];
  }
  throw new RangeError('a number does not end');
}
