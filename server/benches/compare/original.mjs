// The algorithm of the original extension's last version that had expressions and search (1.x), without its
// limit of 10,000 users: pages of 100, each parsed and written again by the extension's server and parsed
// once more by its client, all of them collected in memory, each column a function that makes `''` of what is
// false, and text with tabs in it that loses what would break its rows.
//
//   node original.mjs FROM TO NAME=EXPR ...
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const PAGE = 100;
const [from, to, ...columns] = process.argv.slice(2);
const read = readFileSync(from);
const bytes = from.endsWith('.gz') ? gunzipSync(read) : read;

// What the Management API would answer: an array of up to 100 users.
function* pages() {
  let users = [];
  let start = 0;
  while (start < bytes.length) {
    let end = bytes.indexOf(10, start);
    if (end < 0) end = bytes.length;
    if (end > start) users.push(bytes.toString('utf8', start, end));
    if (users.length === PAGE) {
      yield `[${users.join(',')}]`;
      users = [];
    }
    start = end + 1;
  }
  if (users.length) yield `[${users.join(',')}]`;
}

// What the extension's server makes of a page.
const server = (page) => JSON.stringify({ users: JSON.parse(page), limits: { remaining: 49, reset: 0 } });

const all = [];
for (const page of pages()) all.push(...JSON.parse(server(page)).users);

const names = columns.map((column) => column.slice(0, column.indexOf('=')));
const functions = columns.map((column) => new Function('user', `return ${column.slice(column.indexOf('=') + 1)} || ''`));
const mapped = all.map((user) => Object.fromEntries(functions.map((compute, at) => [names[at], compute(user)])));

const cell = (value) => (typeof value === 'object' ? JSON.stringify(value) : String(value)).replace(/[\t\r\n]+/g, ' ');
const lines = mapped.map((user) => names.map((name) => cell(user[name])).join('\t'));
// A string of Node cannot hold a million rows.
const file = openSync(to, 'w');
writeSync(file, names.join('\t') + '\n');
for (let at = 0; at < lines.length; at += 10_000) writeSync(file, lines.slice(at, at + 10_000).join('\n') + '\n');
closeSync(file);
