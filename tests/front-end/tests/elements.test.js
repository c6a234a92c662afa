import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { template } from './page.js';

const types = readFileSync(new URL('../types/elements.d.ts', import.meta.url), 'utf8');
const declared = new Map([...types.matchAll(/^ {2}'?([\w-]+)'?: (\w+)/gm)].map(([, id, type]) => [id, type]));
const templates = readdirSync(new URL('../../../server/templates/', import.meta.url)).filter((name) => name.endsWith('.html'));
/** Tag names by id. */
const found = new Map();
for (const name of templates) {
  for (const [, tag, id] of template(name.replace('.html', '')).matchAll(/<([a-z0-9]+)\b[^>]*?\sid="([\w-]+)"/g)) {
    found.set(id, [...(found.get(id) ?? []), tag]);
  }
}

const INTERFACES = {
  a: 'HTMLAnchorElement',
  button: 'HTMLButtonElement',
  details: 'HTMLDetailsElement',
  dialog: 'HTMLDialogElement',
  form: 'HTMLFormElement',
  input: 'HTMLInputElement',
  pre: 'HTMLPreElement',
  script: 'HTMLScriptElement',
  select: 'HTMLSelectElement',
};

test('the declared types of elements match the templates', () => {
  assert.ok(declared.size > 80);
  for (const [id, type] of declared) {
    // Created by a script.
    if (id === 'take-note') continue;
    const expected = (found.get(id) ?? []).map((tag) => INTERFACES[tag] ?? 'HTMLElement');
    assert.deepEqual(new Set(expected), new Set([type]), id);
  }
});
