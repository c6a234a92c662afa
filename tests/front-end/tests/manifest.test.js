import assert from 'node:assert/strict';
import { test } from 'node:test';

const { isWasm, manifestOf } = await import('../../../server/assets/js/manifest.js');

const MODULE = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const COMPONENT = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0];

/** An unsigned LEB128 number. */
const leb = (value) => (value < 128 ? [value] : [(value % 128) | 128, ...leb(Math.floor(value / 128))]);
const section = (id, content) => [id, ...leb(content.length), ...content];
const bytesOf = (text) => [...new TextEncoder().encode(text)];
const custom = (name, text) => section(0, [...leb(name.length), ...bytesOf(name), ...bytesOf(text)]);
const manifest = (value) => custom('user-import-export:manifest', typeof value === 'string' ? value : JSON.stringify(value));

test('a manifest is found in a module and in a module of a component', () => {
  const module = [...MODULE, ...custom('name', 'x'), ...manifest({ name: 'upper', version: '1.0.0' })];
  assert.equal(manifestOf(Uint8Array.from(module)).name, 'upper');
  const component = Uint8Array.from([...COMPONENT, ...section(1, [...module, ...custom('padding', 'y'.repeat(300))])]);
  assert.equal(manifestOf(component).version, '1.0.0');
});

test('members of unexpected types are replaced', () => {
  const found = manifestOf(
    Uint8Array.from([...MODULE, ...manifest({ name: 'upper', summary: 7, parameters: [null, { name: 'text', secret: 'yes' }], examples: {} })]),
  );
  assert.equal(found.summary, '');
  assert.deepEqual(found.parameters, [{ name: 'text', type: '', optional: false, secret: false, description: '' }]);
  assert.deepEqual(found.examples, []);
});

test('an unreadable file has no manifest', () => {
  const files = [
    [],
    MODULE,
    [1, 2, 3, 4, 5, 6, 7, 8],
    [...MODULE, ...manifest('{')],
    [...MODULE, ...manifest({ name: 7 })],
    [...MODULE, ...manifest('null')],
    [...MODULE, 0, 200],
    [...MODULE, 0, 255, 255, 255, 255, 255, 255],
    [...MODULE, ...manifest({ name: 'upper' })].slice(0, -1),
  ];
  for (const file of files) assert.equal(manifestOf(Uint8Array.from(file)), null, String(file));
  assert.equal(isWasm(Uint8Array.from(MODULE)), true);
  assert.equal(isWasm(Uint8Array.from([0, 0x61])), false);
});
