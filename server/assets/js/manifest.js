// Reads what a transform says of itself out of its file, without running it.

const SECTION = 'user-import-export:manifest';
const MAGIC = [0x00, 0x61, 0x73, 0x6d];
const HEADER = 8;
/** Ids of the sections of a component that hold a module or a component, each with a header of its own. */
const NESTED = [1, 4];
const DEEPEST = 4;

/** Whether bytes begin like a WebAssembly file. */
export const isWasm = (bytes) => MAGIC.every((byte, index) => bytes[index] === byte);

/**
 * The manifest of a .wasm file as an object; null when it has none that can be read. Whether the file is
 * any good is for the server to say.
 */
export function manifestOf(bytes) {
  try {
    const text = find(bytes, 0, bytes.length, 0);
    const manifest = text === null ? null : JSON.parse(text);
    return manifest && typeof manifest === 'object' && typeof manifest.name === 'string' ? tidy(manifest) : null;
  } catch {
    return null;
  }
}

/** Only what is shown, and that in the shape it should have: the file may come from anybody. */
function tidy(manifest) {
  const text = (value) => (typeof value === 'string' ? value : '');
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

function find(bytes, start, end, depth) {
  if (depth > DEEPEST || end - start < HEADER || !isWasm(bytes.subarray(start, end))) return null;
  const isComponent = bytes[start + 6] === 1;
  let at = start + HEADER;
  while (at < end) {
    const id = bytes[at];
    const [length, content] = unsigned(bytes, at + 1, end);
    const next = content + length;
    if (next > end) return null;
    if (id === 0) {
      const [nameLength, name] = unsigned(bytes, content, next);
      const body = name + nameLength;
      const decode = (from, to) => new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(from, to));
      if (body <= next && nameLength === SECTION.length && decode(name, body) === SECTION) return decode(body, next);
    } else if (isComponent && NESTED.includes(id)) {
      const inner = find(bytes, content, next, depth + 1);
      if (inner !== null) return inner;
    }
    at = next;
  }
  return null;
}

/** A number in the format's variable length (LEB128), and where what follows it begins. */
function unsigned(bytes, at, end) {
  let value = 0;
  for (let shift = 0; shift < 35 && at < end; shift += 7) {
    const byte = bytes[at];
    at += 1;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at];
  }
  throw new RangeError('a number does not end');
}
