// The benchmark's export as a modern Node program would do it: streams, its own splitting of lines on bytes,
// expressions compiled once, output in large pieces with back-pressure.
//
//   node node_export.mjs FROM TO csv|json|ndjson [--tenth] [--sort EXPR] [--descending] NAME=EXPR ...
import { createReadStream, createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import zlib from 'node:zlib';

const [from, to, format, ...rest] = process.argv.slice(2);
let sort, descending = false, tenth = false;
const names = [], expressions = [];
for (let at = 0; at < rest.length; at++) {
  if (rest[at] === '--sort') sort = rest[++at];
  else if (rest[at] === '--descending') descending = true;
  else if (rest[at] === '--tenth') tenth = true;
  else {
    const split = rest[at].indexOf('=');
    names.push(rest[at].slice(0, split));
    expressions.push(rest[at].slice(split + 1));
  }
}
// An expression that throws leaves its cell empty, and only that.
const tried = expressions.map((expression, at) => `let v${at}; try { v${at} = (${expression}); } catch {}`);
const cells = new Function('user', `${tried.join('\n')}\nreturn [${tried.map((_, at) => `v${at}`).join(',')}]`);
const key = sort && new Function('user', `return ${sort}`);
const quoted = /[",\n\r]/;

function csvCell(value) {
  if (value === undefined || value === null) return '';
  const text = typeof value === 'string' ? value : typeof value === 'object' ? JSON.stringify(value) : String(value);
  return quoted.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const csvRow = (values) => values.map(csvCell).join(',') + '\n';
const members = names.map((name) => JSON.stringify(name) + ':');
const jsonRow = (values) => `{${values.map((value, at) => members[at] + JSON.stringify(value ?? null)).join(',')}}`;

const output = createWriteStream(to, { highWaterMark: 1 << 20 });
let pending = '';
let rows = 0;
async function write(text) {
  pending += text;
  if (pending.length < 1 << 17) return;
  const full = !output.write(pending);
  pending = '';
  if (full) await once(output, 'drain');
}
function encode(values) {
  rows++;
  if (format === 'csv') return csvRow(values);
  if (format === 'ndjson') return jsonRow(values) + '\n';
  return (rows === 1 ? '\n' : ',\n') + jsonRow(values);
}

const kept = [];
function take(line) {
  const user = JSON.parse(line);
  if (tenth && !/@(yahoo\.com|proton\.me)$/.test(user.email ?? '')) return '';
  if (!key) return encode(cells(user));
  kept.push([key(user), cells(user)]);
  return '';
}

const file = createReadStream(from, { highWaterMark: 1 << 18 });
const input = from.endsWith('.gz') ? file.pipe(zlib.createGunzip({ chunkSize: 1 << 18 })) : file;
if (format === 'csv') await write(csvRow(names));
if (format === 'json') await write('[');
let left = null;
for await (const chunk of input) {
  const bytes = left ? Buffer.concat([left, chunk]) : chunk;
  let start = 0;
  let text = '';
  for (let end; (end = bytes.indexOf(10, start)) >= 0; start = end + 1) {
    if (end > start) text += take(bytes.toString('utf8', start, end));
  }
  left = start < bytes.length ? bytes.subarray(start) : null;
  if (text) await write(text);
}
if (left?.length) await write(take(left.toString('utf8')));
if (key) {
  // Missing keys last in both directions; equal rows keep their order.
  const sign = descending ? -1 : 1;
  kept.sort(([a], [b]) => (a == null || b == null ? (a == null) - (b == null) : a < b ? -sign : a > b ? sign : 0));
  for (const [, values] of kept) await write(encode(values));
}
if (format === 'json') await write(rows ? '\n]\n' : ']\n');
output.end(pending);
await finished(output);
