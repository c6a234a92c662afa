// Checks import users with ajv and the documented schema, and with a directory splits them into JSON arrays of
// at most 500,000 bytes: what a careful script in Node does.
//
//   node ajv.mjs USERS.ndjson [--chunks DIR] [--verdicts FILE]
import { createReadStream, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { parseArgs } from "node:util";
import Ajv from "ajv";
import addFormats from "ajv-formats";

const MOST = 500_000;

const { positionals: [file], values: options } = parseArgs({
  allowPositionals: true,
  options: { chunks: { type: "string" }, verdicts: { type: "string" } },
});
const schema = JSON.parse(readFileSync(new URL("../../crates/import/src/documented-schema.json", import.meta.url)));
const ajv = new Ajv({ allErrors: false, strict: false });
addFormats(ajv);
const accepts = ajv.compile(schema);

const verdicts = options.verdicts && openSync(options.verdicts, "w");
let good = 0;
let bad = 0;
let chunk = [];
let size = 2;
let chunks = 0;
if (options.chunks) mkdirSync(options.chunks, { recursive: true });

function flush() {
  if (chunk.length === 0) return;
  chunks += 1;
  writeFileSync(`${options.chunks}/${String(chunks).padStart(6, "0")}.json`, `[${chunk.join(",")}]`);
  chunk = [];
  size = 2;
}

function row(line) {
  const user = JSON.parse(line);
  const accepted = accepts(user);
  if (accepted) good += 1;
  else bad += 1;
  if (verdicts) writeSync(verdicts, accepted ? "1" : "0");
  if (!accepted || !options.chunks) return;
  const text = JSON.stringify(user);
  const bytes = Buffer.byteLength(text) + 1;
  if (size + bytes > MOST) flush();
  chunk.push(text);
  size += bytes;
}

let rest = "";
for await (const text of createReadStream(file, { encoding: "utf8", highWaterMark: 1 << 20 })) {
  const lines = (rest + text).split("\n");
  rest = lines.pop();
  for (const line of lines) if (line) row(line);
}
if (rest) row(rest);
if (options.chunks) flush();
console.log(JSON.stringify({ good, bad, chunks }));
