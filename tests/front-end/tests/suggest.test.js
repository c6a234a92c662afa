import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { openPage } from './page.js';

const page = openPage();
const { exampleCall, exampleText, signature, suggestExpression, suggestQuery, tenantData } = await page.script('suggest.js');
const { h } = await page.script('dom.js');

const attribute = (path, type, example, share = 1) => ({ path, type, example, share });
const upper = {
  name: 'upper',
  summary: 'Converts text to capitals.',
  parameters: [
    { name: 'value', type: 'text', optional: true, secret: false, description: 'The text.' },
    { name: 'locale', type: 'text', optional: true, secret: false, description: 'The language.' },
  ],
  examples: [{ call: 'upper("a")', gives: 'A' }],
};
const sign = {
  name: 'sign',
  summary: 'Signs a value.',
  parameters: [
    { name: 'value', type: 'any', optional: false, secret: false, description: '' },
    { name: 'key', type: 'text', optional: false, secret: true, description: '' },
  ],
  examples: [],
};

beforeEach(() => {
  tenantData.attributes = [
    attribute('user.email', 'string', 'ada@example.com'),
    attribute('user.name', 'string', 'Ada', 0.5),
    attribute('user.app_metadata.email', 'string', 'x', 0.001),
    attribute('user.created_at', 'date', '2030-01-02T03:04:05.000Z'),
    attribute('user.logins_count', 'number', 7),
    attribute('user.blocked', 'boolean', false),
    attribute('user.identities[0].provider', 'string', 'auth0'),
    attribute('user.nickname', 'string', 'say "hi"'),
  ];
  tenantData.transforms = [upper, sign];
  tenantData.documented = ['user.email', 'user.phone_number'];
});

/** Suggestions at the mark `|` of a text. */
function at(suggest, marked) {
  const caret = marked.indexOf('|');
  return suggest(marked.replace('|', ''), caret);
}
const labels = (suggest, marked) => at(suggest, marked)?.options.map(({ label }) => label) ?? null;
const helpText = (found) => h('div', {}, found.help).textContent;

/** The text after the first suggestion with this label is inserted. */
function insert(suggest, marked, label) {
  const { from, to, options } = at(suggest, marked);
  const text = marked.replace('|', '');
  return text.slice(0, from) + options.find((option) => option.label === label).insert + text.slice(to);
}

test('values are shown as text', () => {
  assert.equal(exampleText('a'), 'a');
  assert.equal(exampleText({ a: [1] }), '{"a":[1]}');
  assert.equal(exampleText(null), 'null');
  assert.equal(exampleText(undefined), '');
});

test('a signature marks optional parameters; an example call has the required ones and the first', () => {
  assert.equal(signature(upper), 'upper(value?, locale?)');
  assert.equal(exampleCall(upper), 'upper(user.email)');
  assert.equal(exampleCall(sign), 'sign(user.email, secret("NAME"))');
  assert.equal(exampleCall({ name: 'now', parameters: [] }), 'now()');
});

test('an empty expression suggests attributes and transforms', () => {
  const found = labels(suggestExpression, '|');
  assert.deepEqual(found.slice(0, 2), ['user.email', 'user.name']);
  assert.ok(found.includes('upper(value?, locale?)'));
});

test('attributes are found by the start of a member, with or without the prefix', () => {
  assert.deepEqual(labels(suggestExpression, 'user.ema|'), ['user.email', 'user.app_metadata.email']);
  assert.deepEqual(labels(suggestExpression, 'EMAIL|'), ['user.email', 'user.app_metadata.email']);
  assert.deepEqual(labels(suggestExpression, 'user?.phone|'), ['user.phone_number']);
  assert.deepEqual(labels(suggestExpression, 'xyz|'), []);
});

test('a transform comes first if the text is the start of its name', () => {
  assert.equal(labels(suggestExpression, 'up|')[0], 'upper(value?, locale?)');
  assert.equal(labels(suggestExpression, 'user.up|').length, 0);
});

test('an option replaces the word at the caret, to its end', () => {
  assert.equal(insert(suggestExpression, 'upper(user.na|me) || 1', 'user.name'), 'upper(user.name) || 1');
  assert.equal(insert(suggestExpression, 'up|', 'upper(value?, locale?)'), 'upper(user.email)');
  const [option] = at(suggestExpression, 'upp|').options;
  assert.equal(option.insert.slice(...option.select), 'user.email');
});

test('nothing is suggested inside a string, after a complete value, or for the text itself', () => {
  assert.deepEqual(labels(suggestExpression, '"user.|'), []);
  assert.deepEqual(labels(suggestExpression, "'it\\'s user.|"), []);
  assert.deepEqual(labels(suggestExpression, 'user.email |'), []);
  assert.deepEqual(labels(suggestExpression, 'user.blocked|'), []);
});

test('inside a call the help shows the current parameter', () => {
  assert.match(helpText(at(suggestExpression, 'upper(|')), /The text\./);
  const second = helpText(at(suggestExpression, 'upper(concat(a, b), "x,y", |'));
  assert.doesNotMatch(second, /The text\.|The language\./);
  assert.match(helpText(at(suggestExpression, 'upper([a, b], |')), /The language\./);
  assert.equal(at(suggestExpression, 'unknown(|').help, null);
  assert.equal(at(suggestExpression, 'a, |').help, null);
  assert.equal(at(suggestExpression, ') |').help, null);
});

test('the help of an option shows the type, the share and an example', () => {
  const help = (marked) => h('div', {}, at(suggestExpression, marked).options[0].help()).textContent;
  assert.match(help('user.nam|'), /user\.name.*Text.*50 %.*Ada/);
  assert.match(help('user.app_metadata.e|'), /<1 %/);
  assert.match(help('user.phone|'), /Auth0 documents/);
  assert.match(help('sig|'), /sign\(value, key\)/);
});

test('a query suggests names with a colon, and _exists_', () => {
  assert.deepEqual(labels(suggestQuery, 'em|'), ['email', 'app_metadata.email']);
  assert.deepEqual(labels(suggestQuery, '_ex|'), ['_exists_:']);
  assert.equal(insert(suggestQuery, 'blocked:true AND em|', 'email'), 'blocked:true AND email:');
  assert.equal(insert(suggestQuery, '_exists_:na|', 'name'), '_exists_:name');
  assert.equal(labels(suggestQuery, '|').at(-1), '_exists_:');
  assert.deepEqual(labels(suggestQuery, 'identities|'), ['identities.provider']);
});

test('after a colon a query suggests values of the type', () => {
  assert.deepEqual(labels(suggestQuery, 'email:|'), ['"ada@example.com"']);
  assert.deepEqual(labels(suggestQuery, 'blocked:|'), ['true', 'false']);
  assert.deepEqual(labels(suggestQuery, 'logins_count:|'), ['7', '[1 TO 10]']);
  assert.deepEqual(labels(suggestQuery, 'created_at:|'), ['[2030-01-02 TO *]', '[* TO 2030-01-02]']);
  // A quote in a value would need an escape.
  assert.deepEqual(labels(suggestQuery, 'nickname:|'), []);
});

test('a query suggests nothing where no name can follow', () => {
  assert.equal(labels(suggestQuery, 'email:"ad|'), null);
  assert.equal(labels(suggestQuery, 'email:ada|'), null);
  assert.equal(labels(suggestQuery, 'unknown:|'), null);
  assert.equal(labels(suggestQuery, 'blocked:true |'), null);
  assert.notEqual(labels(suggestQuery, 'blocked:true OR |'), null);
  assert.notEqual(labels(suggestQuery, 'name:"a \\" b" AND |'), null);
  assert.notEqual(labels(suggestQuery, '(|'), null);
});

test('an operator is not completed to an attribute that contains its letters', () => {
  tenantData.attributes = [attribute('user.app_metadata.storage_gb', 'number', 1), attribute('user.order', 'string', 'x')];
  for (const query of ['email:a OR', 'email:a AND', 'NOT']) assert.equal(suggestQuery(query, query.length), null, query);
  const labels = (query) => suggestQuery(query, query.length).options.map(({ label }) => label);
  assert.deepEqual(labels('or'), ['order']);
  assert.deepEqual(labels('ora'), ['app_metadata.storage_gb']);
});
