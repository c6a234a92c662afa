import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage, settle, text, type } from './page.js';

const page = openPage('import');
const { inspector } = await page.script('mapping.js');
const { byId } = await page.script('dom.js');

/** A column as the server reports it. */
const column = (name, more = {}) => ({
  name,
  expression: `row["${name}"]`,
  filled: 10,
  examples: ['x'],
  attribute: null,
  proposal: null,
  read_only: null,
  ...more,
});
/** A column that has the name of an attribute. */
const known = (name) => column(name, { attribute: name, expression: name });

const inspection = (columns, more = {}) => ({
  columns,
  rows: 10,
  complete: true,
  input: { format: 'csv', encoding: 'UTF-8', delimiter: ',', gzip: false },
  checked: { good: 10, failed: 0, warnings: 0, faults: [], reasons: [], users: [] },
  problem: null,
  proposed_map: {},
  sample: [],
  ...more,
});
const JSON_INPUT = { input: { format: 'json', encoding: 'UTF-8', delimiter: null, gzip: false } };

/**
 * An inspector for files, whose inspections are the responses of the server. `inspect` waits for them; `sent` returns
 * the mappings of all requests.
 */
function start(context, responses, { options = {} } = {}) {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  page.requests.length = 0;
  const files = responses.map((_, index) => ({ file: new File(['x'], `file-${index}.csv`), inspection: null, error: null }));
  const calls = { changed: 0, mappingChanged: 0, dropReadOnly: 0 };
  const made = inspector({
    files: () => files,
    options: () => ({ drop_read_only: false, keep_id_prefix: false, ...options }),
    changed: () => (calls.changed += 1),
    mappingChanged: () => (calls.mappingChanged += 1),
    dropReadOnly: () => (calls.dropReadOnly += 1),
  });
  page.serve(({ body }) => {
    const response = responses[Number(/\d+/.exec(body.get('users').name)[0])];
    return typeof response === 'function' ? response(body) : { body: response };
  });
  const inspect = async () => {
    made.refresh();
    context.mock.timers.tick(0);
    for (let round = 0; round < 4; round += 1) await settle();
  };
  return { ...made, files, calls, inspect, sent: () => page.requests.map(({ body }) => JSON.parse(body.get('map'))) };
}

const body = () => byId('content-body');
const fields = () => [...body().querySelectorAll('[data-column]')];
const field = (name) => fields().find(({ dataset }) => dataset.column === name);
const badges = () => [...body().querySelectorAll('tbody .kind')].map(text);
const buttons = (label) => [...body().querySelectorAll('button')].filter((button) => text(button) === label);
const errors = () => [...body().querySelectorAll('.field-error')].map(text).filter(Boolean);

test('columns with the names of attributes need no mapping', async (context) => {
  const { inspect, mappingRules, check, calls, sent } = start(context, [inspection([known('email'), known('name')])]);
  await inspect();
  assert.equal(mappingRules(), null);
  assert.equal(check(), null);
  assert.deepEqual(sent(), [null]);
  assert.equal(calls.changed, 1);
  assert.deepEqual(badges(), ['Matched', 'Matched']);
  assert.equal(body().querySelector('details.mapping').open, false);
});

test('a CSV header that names an attribute is mapped, and validated with that mapping', async (context) => {
  const { inspect, mappingRules, check, sent } = start(context, [inspection([column('E-Mail', { proposal: 'email' }), known('name')])]);
  await inspect();
  assert.deepEqual(mappingRules(), { email: 'row["E-Mail"]' });
  assert.deepEqual(sent(), [null, { email: 'row["E-Mail"]' }]);
  assert.equal(check(), null);
  assert.equal(field('E-Mail').value, 'email');
});

test('a proposal is not used if another column has the attribute', async (context) => {
  const { inspect, mappingRules } = start(context, [inspection([column('Mail', { proposal: 'email' }), known('email')])]);
  await inspect();
  assert.deepEqual(mappingRules(), { Mail: 'null' });
  assert.deepEqual(mappingRules({ undecided: false }), null);
});

test('of two columns with one proposal, the first gets it', async (context) => {
  const { inspect, mappingRules } = start(context, [inspection([column('Mail', { proposal: 'email' }), column('E-Mail', { proposal: 'email' })])]);
  await inspect();
  assert.deepEqual(mappingRules(), { email: 'row["Mail"]', 'E-Mail': 'null' });
});

test('data is not moved into metadata without a decision', async (context) => {
  const { inspect, mappingRules, check } = start(context, [inspection([known('email'), column('team', { proposal: 'user_metadata.team' })])]);
  await inspect();
  assert.equal(field('team').value, '');
  assert.deepEqual(mappingRules(), { team: 'null' });
  assert.equal(check(), field('team'));
  assert.deepEqual(errors(), ['Map “team” or skip it.']);
  buttons('Use user_metadata.team')[0].click();
  assert.deepEqual(mappingRules(), { 'user_metadata.team': 'row["team"]' });
  assert.equal(check(), null);
});

test('an unknown JSON attribute stays open, but does not prevent the import', async (context) => {
  const { inspect, mappingRules, check } = start(context, [inspection([known('email'), column('team', { proposal: 'email' })], JSON_INPUT)]);
  await inspect();
  assert.equal(mappingRules(), null);
  assert.equal(check(), null);
  buttons('Skip')[0].click();
  assert.deepEqual(mappingRules(), { team: 'null' });
});

test('a typed target is used; the name of the attribute itself is no rule', async (context) => {
  const { inspect, mappingRules, calls } = start(context, [inspection([known('email'), column('nick')])]);
  await inspect();
  type(field('nick'), ' name ');
  assert.deepEqual(mappingRules(), { name: 'row["nick"]' });
  type(field('email'), 'username');
  assert.deepEqual(mappingRules(), { name: 'row["nick"]', username: 'email' });
  type(field('email'), 'email');
  assert.deepEqual(mappingRules(), { name: 'row["nick"]' });
  assert.equal(calls.mappingChanged, 3);
});

test('the field that the user types into is kept', async (context) => {
  const { inspect } = start(context, [inspection([known('email'), column('nick')])]);
  await inspect();
  const before = field('nick');
  type(before, 'name');
  await inspect();
  assert.equal(field('nick'), before);
});

test('an attribute that two columns have is reported at the second', async (context) => {
  const { inspect, check } = start(context, [inspection([known('email'), column('mail')])]);
  await inspect();
  type(field('mail'), 'email');
  assert.deepEqual(errors(), ['“email” is already mapped to email.']);
  assert.equal(check(), field('mail'));
  type(field('mail'), 'name');
  assert.deepEqual(errors(), []);
  assert.equal(check(), null);
});

test('an attribute can be computed from another column in any order of the columns', async (context) => {
  for (const columns of [
    [known('email'), column('mail')],
    [column('mail'), known('email')],
  ]) {
    const { inspect, mappingRules, check, restore } = start(context, [inspection(columns)]);
    await inspect();
    type(field('email'), '');
    type(field('mail'), 'email');
    assert.deepEqual(mappingRules(), { email: 'row["mail"]' });
    assert.equal(check(), null);
    // The stored mapping has the same result.
    restore(mappingRules());
    await inspect();
    assert.deepEqual(mappingRules(), { email: 'row["mail"]' });
    assert.equal(check(), null);
    context.mock.timers.reset();
  }
});

test('two columns can be exchanged', async (context) => {
  const { inspect, mappingRules, check, restore } = start(context, [inspection([known('name'), known('username')])]);
  await inspect();
  type(field('name'), 'username');
  type(field('username'), 'name');
  assert.deepEqual(mappingRules(), { username: 'name', name: 'username' });
  restore(mappingRules());
  await inspect();
  assert.deepEqual(mappingRules(), { username: 'name', name: 'username' });
  assert.equal(check(), null);
});

test('suggestions for open columns are accepted, or all columns skipped, at once', async (context) => {
  const columns = [known('email'), column('team', { proposal: 'user_metadata.team' }), column('group', { proposal: 'user_metadata.team' }), column('x')];
  const { inspect, mappingRules, check } = start(context, [inspection(columns)]);
  await inspect();
  // Only one of two columns gets the same suggestion.
  assert.equal(buttons('Use user_metadata.team').length, 1);
  buttons('Accept all 1 suggestions')[0].click();
  assert.deepEqual(mappingRules(), { 'user_metadata.team': 'row["team"]', group: 'null', x: 'null' });
  assert.equal(document.activeElement, body().querySelector('details.mapping summary'));
  buttons('Skip all')[0].click();
  assert.deepEqual(mappingRules({ undecided: false }), { 'user_metadata.team': 'row["team"]', group: 'null', x: 'null' });
  assert.equal(check(), null);
});

test('attributes that Auth0 sets itself have no field', async (context) => {
  const { inspect, mappingRules, calls, check } = start(context, [
    inspection([known('email'), column('user_id', { read_only: 'user_id' }), column('')], JSON_INPUT),
  ]);
  await inspect();
  assert.deepEqual(
    fields().map(({ dataset }) => dataset.column),
    ['email'],
  );
  assert.equal(mappingRules(), null);
  assert.equal(check(), null);
  body().querySelector('.notice.warning button').click();
  assert.equal(calls.dropReadOnly, 1);
});

test('read-only attributes are not offered for removal if they are removed', async (context) => {
  const { inspect } = start(context, [inspection([column('user_id', { read_only: 'user_id' })], JSON_INPUT)], { options: { drop_read_only: true } });
  await inspect();
  assert.equal(body().querySelector('.notice.warning'), null);
});

test('columns of several files are joined: rows and values are added', async (context) => {
  const first = inspection([known('email'), column('nick', { filled: 5 })]);
  const second = inspection([known('email'), known('name')], { rows: 30 });
  second.columns[0].filled = 20;
  const { inspect } = start(context, [first, second]);
  await inspect();
  assert.deepEqual(
    fields().map(({ dataset }) => dataset.column),
    ['email', 'nick', 'name'],
  );
  const shares = [...body().querySelectorAll('.share')].map(({ title }) => title);
  // Of the 40 rows of both files: email 10 and 20, nick 5, name 10.
  assert.deepEqual(shares, ['75 % of rows have a value', '13 % of rows have a value', '25 % of rows have a value']);
});

test('a stored mapping is applied to the columns; the rest is kept', async (context) => {
  const stored = { name: 'row["nick"]', team: 'null', 'user_metadata.full': 'row["a"] + row["b"]' };
  const { inspect, mappingRules, restore, sent } = start(context, [inspection([known('email'), column('nick'), column('team')])]);
  restore(stored);
  assert.deepEqual(mappingRules(), stored);
  await inspect();
  assert.deepEqual(sent()[0], stored);
  assert.deepEqual(mappingRules(), stored);
  assert.equal(field('nick').value, 'name');
  assert.match(text(body().querySelector('details.mapping')), /user_metadata\.full = row\["a"\] \+ row\["b"\]/);
  restore(null);
  assert.deepEqual(mappingRules(), { nick: 'null', team: 'null' });
  for (const nothing of [undefined, {}, 'text']) {
    restore(nothing);
    assert.deepEqual(mappingRules(), { nick: 'null', team: 'null' });
  }
});

test('a file that cannot be read shows why, and has no columns', async (context) => {
  const unreadable = () => ({ status: 400, body: { message: 'The file is empty.', errorCode: 'users_file_format' } });
  const { inspect, files, describe, mappingRules } = start(context, [unreadable, inspection([known('email')])]);
  await inspect();
  assert.match(text(body()), /file-0\.csv ?The file is empty\./);
  assert.equal(files[0].inspection, null);
  assert.equal(describe(files[0]), 'Cannot be read (see below)');
  assert.match(describe(files[1]), /^CSV · separated by .* · UTF-8 · 10 rows$/);
  assert.equal(mappingRules(), null);
});

test('a refused mapping keeps the columns, and the first field is returned', async (context) => {
  const { inspect, check, files } = start(context, [
    (form) =>
      form.get('map')?.includes('nonsense')
        ? { status: 400, body: { message: 'The target is not an attribute.', errorCode: 'invalid_mapping' } }
        : { body: inspection([known('email'), column('nick')]) },
  ]);
  await inspect();
  type(field('nick'), 'nonsense');
  await inspect();
  assert.equal(files[0].error.code, 'invalid_mapping');
  assert.equal(files[0].inspection.columns.length, 2);
  // The validation was done with another mapping.
  assert.equal(body().querySelector('.checked'), null);
  assert.equal(check(), field('email'));
  assert.equal(text(byId('announcer')), 'The target is not an attribute.');
});

test('a server that is unavailable keeps the columns, and can be asked again', async (context) => {
  let fails = false;
  const { inspect, files } = start(context, [() => (fails ? { status: 503, body: { message: 'Busy.' } } : { body: inspection([known('email')]) })]);
  await inspect();
  fails = true;
  await inspect();
  assert.match(text(body()), /Busy\./);
  assert.equal(fields().length, 1);
  fails = false;
  buttons('Try again')[0].click();
  context.mock.timers.tick(0);
  await settle();
  await settle();
  assert.equal(files[0].error, null);
});

test('a server without inspection hides the section', async (context) => {
  const { inspect, check, mappingRules, calls } = start(context, [() => ({ status: 404, body: { message: 'Not found.' } })]);
  await inspect();
  assert.equal(byId('content').hidden, true);
  assert.equal(check(), null);
  assert.equal(mappingRules(), null);
  assert.equal(calls.changed, 0);
});

test('a start can wait until the files are inspected', async (context) => {
  const { inspect, whenIdle, refresh } = start(context, [inspection([known('email')])]);
  assert.equal(whenIdle(), null);
  refresh();
  let idle = false;
  whenIdle().then(() => {
    idle = true;
  });
  await settle();
  assert.equal(idle, false);
  await inspect();
  assert.equal(idle, true);
  assert.equal(whenIdle(), null);
});

test('without files nothing is shown, and waiting ends', async (context) => {
  const { inspect, files, refresh, whenIdle, check, mappingRules } = start(context, [inspection([known('email'), column('nick')])]);
  await inspect();
  refresh();
  const idle = whenIdle();
  files.length = 0;
  refresh();
  await idle;
  assert.equal(byId('content').hidden, true);
  assert.equal(fields().length, 0);
  assert.equal(check(), null);
  assert.equal(mappingRules(), null);
});

test('fields are disabled while a job runs, also new ones', async (context) => {
  const { inspect, disable } = start(context, [inspection([known('email')])]);
  disable(true);
  await inspect();
  assert.equal(field('email').disabled, true);
  disable(false);
  assert.equal(field('email').disabled, false);
});

test('large files are inspected in part, small ones completely', async (context) => {
  const { inspect, files } = start(context, [inspection([known('email')]), inspection([known('email')])]);
  Object.assign(files[1], { file: new File([new Uint8Array(4 * 1024 * 1024 + 1)], 'file-1.csv') });
  await inspect();
  assert.deepEqual(
    page.requests.map(({ body }) => [body.get('partial'), body.get('users').size]),
    [
      ['false', 1],
      ['true', 4 * 1024 * 1024],
    ],
  );
});

test('the outcome and the first users are shown', async (context) => {
  const checked = { good: 8, failed: 2, warnings: 0, faults: [], reasons: [], users: [{ email: 'ada@example.com', app_metadata: { a: 1 }, name: null }] };
  const { inspect } = start(context, [inspection([known('email')], { checked })]);
  await inspect();
  assert.match(text(body().querySelector('.checked')), /8 rows can be imported ?2 rows with errors/);
  const cells = [...body().querySelectorAll('.preview-table td')].map(text);
  assert.deepEqual(cells, ['ada@example.com', '{"a":1}', '–empty']);
});

test('suggestions for a target are attributes, then metadata', async (context) => {
  const { inspect } = start(context, [inspection([known('email'), column('x')])]);
  await inspect();
  const input = field('x');
  input.value = 'name';
  input.setSelectionRange(4, 4);
  input.dispatchEvent(new Event('click'));
  const labels = [...input.closest('.combo').querySelectorAll('[role=option] code')].map(text);
  assert.deepEqual(labels, ['username', 'given_name']);
});

test('a JSON attribute is not renamed without a decision', async (context) => {
  const { inspect, mappingRules } = start(context, [inspection([column('mail', { proposal: 'email' })], JSON_INPUT)]);
  await inspect();
  assert.equal(mappingRules(), null);
  assert.equal(field('mail').value, '');
  assert.equal(body().querySelector('details.mapping').open, true);
  buttons('Use email')[0].click();
  assert.deepEqual(mappingRules(), { email: 'row["mail"]' });
});

test('the table stays open or closed as the user left it, also with other columns', async (context) => {
  const columns = [known('email'), column('nick')];
  const { inspect } = start(context, [() => ({ body: inspection([...columns]) })]);
  await inspect();
  assert.equal(body().querySelector('details.mapping').open, true);
  body().querySelector('details.mapping').open = false;
  columns.push(column('team'));
  await inspect();
  assert.equal(fields().length, 3);
  assert.equal(body().querySelector('details.mapping').open, false);
});

test('the buttons of an open column are kept while another field changes', async (context) => {
  const { inspect } = start(context, [inspection([known('email'), column('team', { proposal: 'user_metadata.team' })])]);
  await inspect();
  const [before] = buttons('Use user_metadata.team');
  type(field('email'), 'username');
  assert.equal(buttons('Use user_metadata.team')[0], before);
  type(field('email'), 'user_metadata.team');
  assert.equal(buttons('Use user_metadata.team').length, 0);
});

test('rules of a stored mapping that match no column are kept after each inspection', async (context) => {
  const { inspect, mappingRules, restore } = start(context, [inspection([known('email')])]);
  restore({ 'user_metadata.full': 'row["a"] + row["b"]' });
  await inspect();
  await inspect();
  assert.deepEqual(mappingRules(), { 'user_metadata.full': 'row["a"] + row["b"]' });
});

test('an outdated inspection changes nothing, and waiting lasts until the newest ends', async (context) => {
  const pending = [];
  const { calls, files, refresh, whenIdle } = start(context, [() => new Promise((resolve) => pending.push(resolve))]);
  refresh();
  context.mock.timers.tick(0);
  await settle();
  refresh();
  context.mock.timers.tick(0);
  await settle();
  let idle = false;
  whenIdle().then(() => {
    idle = true;
  });
  pending[0]({ body: inspection([known('name')]) });
  await settle();
  await settle();
  assert.deepEqual([calls.changed, idle, files[0].inspection, files[0].error], [0, false, null, null]);
  assert.equal(byId('content').getAttribute('aria-busy'), 'true');
  pending[1]({ body: inspection([known('email')]) });
  await settle();
  await settle();
  assert.deepEqual([calls.changed, idle, files[0].inspection.columns[0].name], [1, true, 'email']);
  assert.equal(byId('content').hasAttribute('aria-busy'), false);
});

test('an outdated inspection of several files stops before the next file', async (context) => {
  const pending = [];
  const wait = () => new Promise((resolve) => pending.push(resolve));
  const { refresh } = start(context, [wait, wait]);
  refresh();
  context.mock.timers.tick(0);
  await settle();
  refresh();
  pending[0]({ body: inspection([known('name')]) });
  await settle();
  await settle();
  assert.equal(pending.length, 1);
  context.mock.timers.tick(0);
  await settle();
  assert.equal(pending.length, 2);
});

test('a refused mapping without fields does not prevent the import', async (context) => {
  let refused = false;
  const error = { status: 400, body: { message: 'The target is not an attribute.', errorCode: 'invalid_mapping' } };
  const { inspect, check } = start(context, [() => (refused ? error : { body: inspection([column('user_id', { read_only: 'user_id' })], JSON_INPUT) })]);
  await inspect();
  refused = true;
  await inspect();
  assert.equal(check(), null);
});

test('formats and delimiters without a name are shown as they are', async (context) => {
  const input = { format: 'parquet', encoding: 'UTF-8', delimiter: '~', gzip: true };
  const { inspect, describe, files } = start(context, [inspection([known('email')], { input, complete: false })]);
  assert.equal(describe(files[0]), 'Checking…');
  await inspect();
  assert.match(describe(files[0]), /^parquet · separated by ~ · UTF-8 · .* · more than 10 rows$/);
});

test('a skipped column leaves its suggestion to the next column', async (context) => {
  const columns = [column('team', { proposal: 'user_metadata.team' }), column('group', { proposal: 'user_metadata.team' })];
  const { inspect } = start(context, [inspection(columns)]);
  await inspect();
  type(field('team'), 'name');
  assert.equal(field('group').closest('td').querySelectorAll('button').length, 2);
  assert.equal(buttons('Use user_metadata.team').length, 1);
});

test('an open column without a suggestion can only be skipped', async (context) => {
  const { inspect } = start(context, [inspection([column('team')])]);
  await inspect();
  assert.deepEqual([...field('team').closest('td').querySelectorAll('.actions button')].map(text), ['Skip']);
});

test('only read-only attributes of JSON files are offered for removal', async (context) => {
  const { inspect } = start(context, [inspection([known('email'), column('user_id', { read_only: 'user_id' })], JSON_INPUT)]);
  await inspect();
  assert.match(text(body().querySelector('.notice.warning')), /contain them: user_id\./);
  context.mock.timers.reset();
  for (const found of [inspection([known('email')], JSON_INPUT), inspection([column('user_id', { read_only: 'user_id' })])]) {
    const next = start(context, [found]);
    await next.inspect();
    assert.equal(body().querySelector('.notice.warning'), null);
    context.mock.timers.reset();
  }
});

test('a file whose columns depend on other files is validated again with the mapping of all files', async (context) => {
  const first = inspection([known('email')]);
  const second = inspection([column('E-Mail', { proposal: 'email' })]);
  const { inspect, mappingRules, sent, check } = start(context, [first, second]);
  await inspect();
  await settle();
  const rules = { email: 'row["E-Mail"]' };
  assert.deepEqual(mappingRules(), rules);
  assert.deepEqual(sent(), [null, null, rules, rules]);
  assert.equal(check(), null);
  assert.equal(field('E-Mail').value, 'email');
});

test('a file that cannot be imported shows its problem, and no rows and columns', async (context) => {
  const problem = { errorCode: 'users_file_empty', message: 'The file has no users.', hint: '' };
  const { inspect, describe, files } = start(context, [inspection([known('email')], { rows: 0, complete: false, problem, checked: null })]);
  await inspect();
  assert.equal(describe(files[0]), 'CSV · Cannot be imported (see below)');
  assert.equal(text(body()), 'The file has no users.');
  assert.deepEqual(fields(), []);
});
