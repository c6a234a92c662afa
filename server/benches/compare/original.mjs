// The algorithm of the original extension's last version that had expressions and search (1.7.0, commit
// b84cdc2 of its repository), without its limit of 10,000 users. Pages of 100: each is parsed and written again
// by the extension's server and parsed once more by its client, which joins it to a copy of all before it. Then
// every cell is what a function gives that is made for it alone, with `''` for what is false; rows are written
// as the package comma-separated-values 3.6 does, and cut where a line ends, so that line ends are lost.
//
// No network, no page that shows progress, no blob: the original took longer than this.
//
//   node original.mjs FROM TO NAME=EXPR ...
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const PAGE = 100;
const [from, to, ...named] = process.argv.slice(2);
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

let items = [];
for (const page of pages()) items = items.concat(JSON.parse(server(page)).users);

const columns = named.map((column) => {
  const at = column.indexOf('=');
  return { name: column.slice(0, at), attribute: column.slice(at + 1) };
});
const rows = items.map((user) => {
  const row = {};
  for (const { name, attribute } of columns) {
    row[name] = new Function('user', `return ${attribute} || ''`)(user);
  }
  return row;
});

const write = {
  string: (value) => `"${String(value).replace(/"/g, '""')}"`,
  other: (value) => value,
};
// The first row says for all of them which columns are text.
const names = Object.keys(rows[0]);
const kinds = names.map((name) => (typeof rows[0][name] === 'string' ? 'string' : 'other'));
const lines = [names.map(write.string).join('\t')];
for (const row of rows) lines.push(names.map((name, at) => write[kinds[at]](row[name])).join('\t'));

const parts = lines.join('\r\n').split('\n');
const file = openSync(to, 'w');
for (let at = 0; at < parts.length; at += 10_000) writeSync(file, parts.slice(at, at + 10_000).join(''));
closeSync(file);
