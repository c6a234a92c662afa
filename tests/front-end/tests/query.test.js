import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage, settle } from './page.js';

const page = openPage();
const { counter } = await page.script('query.js');

/** A counter and the list of the states that it has reported. */
function start(context) {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  page.requests.length = 0;
  const states = [];
  return { states, counting: counter((state) => states.push(state)) };
}

test('a count is requested after a pause in typing', async (context) => {
  const { states, counting } = start(context);
  page.serve(() => ({ body: { total: 3 } }));
  counting.ask('', 'a');
  context.mock.timers.tick(399);
  counting.ask('users & admins', 'email:"a"');
  context.mock.timers.tick(399);
  await settle();
  assert.equal(page.requests.length, 0);
  context.mock.timers.tick(1);
  await settle();
  assert.deepEqual(
    page.requests.map(({ path }) => path),
    ['users?connection=users+%26+admins&q=email%3A%22a%22'],
  );
  assert.deepEqual(states, [{ state: 'counting' }, { state: 'counting' }, { state: 'known', total: 3, capped: false, remarks: [] }]);
});

test('a count without a pause has no parameters for an empty form', async (context) => {
  const { states, counting } = start(context);
  page.serve(() => ({ body: { total: 1000, capped: true } }));
  counting.ask('', '', { now: true });
  context.mock.timers.tick(0);
  await settle();
  assert.equal(page.requests[0].path, 'users?');
  assert.deepEqual(states.at(-1), { state: 'known', total: 1000, capped: true, remarks: [] });
});

test('the response to an outdated query is dropped', async (context) => {
  const { states, counting } = start(context);
  const pending = [];
  page.serve(({ path }) => new Promise((resolve) => pending.push(() => resolve({ body: { total: path.endsWith('old') ? 1 : 2 } }))));
  counting.ask('', 'old', { now: true });
  context.mock.timers.tick(0);
  await settle();
  counting.ask('', 'new', { now: true });
  context.mock.timers.tick(0);
  await settle();
  assert.equal(page.requests[0].signal.aborted, true);
  for (const answer of pending.reverse()) answer();
  await settle();
  assert.deepEqual(
    states.filter(({ state }) => state !== 'counting'),
    [{ state: 'known', total: 2, capped: false, remarks: [] }],
  );
});

test('an error of the server is reported with its status', async (context) => {
  const { states, counting } = start(context);
  page.serve(() => ({ status: 400, body: { message: 'The query is not valid.', errorCode: 'invalid_query', hint: 'Close the quote.' } }));
  counting.ask('', '"', { now: true });
  context.mock.timers.tick(0);
  await settle();
  const { state, error } = states.at(-1);
  assert.deepEqual(
    [state, error.status, error.code, error.message, error.hint],
    ['failed', 400, 'invalid_query', 'The query is not valid.', 'Close the quote.'],
  );
});

test('a lost connection has the status 0', async (context) => {
  const { states, counting } = start(context);
  page.serve(() => ({ error: new TypeError('fetch failed') }));
  counting.ask('', '', { now: true });
  context.mock.timers.tick(0);
  await settle();
  assert.deepEqual([states.at(-1).error.status, states.at(-1).error.code], [0, 'network']);
});
