import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage, settle, text } from './page.js';

const page = openPage('import');
const { findRunningJob, follow, JobPanel, statusBadge } = await page.script('job.js');

const job = (more = {}) => ({ id: 'job_1', type: 'users_import', status: 'processing', processed: 0, created_at: '', by: '', settings: {}, ...more });
const announced = () => text(document.getElementById('announcer'));
const figures = (panel) => [...panel.figures.children].map(text);

test('the badge has the color of the outcome', () => {
  const badge = statusBadge({ status: 'completed', type: 'import', summary: { failed: 1, inserted: 1 } });
  assert.equal(badge.className, 'status warning');
  assert.equal(text(badge), 'Completed, 1 failed');
  assert.equal(statusBadge({ status: 'completed' }).className, 'status ok');
});

test('the newest running job of a type is found', async () => {
  const entry = (id, type, status) => ({ id, type, status, date: '', by: '' });
  page.serve(() => ({
    body: { jobs: [entry('1', 'import', 'processing'), entry('2', 'import', 'pending'), entry('3', 'export', 'pending'), entry('4', 'import', 'failed')] },
  }));
  assert.equal((await findRunningJob('import')).id, '2');
  page.serve(() => ({ body: { jobs: [entry('4', 'import', 'failed')] } }));
  assert.equal(await findRunningJob('import'), null);
  page.serve(() => ({ status: 500, body: { message: 'It failed.' } }));
  assert.equal(await findRunningJob('import'), null);
});

/** Follows a job whose states are the responses; time passes at once. */
async function followed(context, responses, options = {}) {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  page.requests.length = 0;
  const events = [];
  page.serve(() => responses[Math.min(page.requests.length, responses.length) - 1]);
  const end = follow('job_1', { onUpdate: ({ status }) => events.push(status), onLost: (error) => events.push(error.message), ...options }).then(
    ({ status }) => `ended: ${status}`,
    (error) => `stopped: ${error.message}`,
  );
  for (let round = 0; round < responses.length + 1; round += 1) {
    await settle();
    context.mock.timers.tick(5000);
  }
  return [...events, await end];
}

test('a job is followed to its end, also over transient errors', async (context) => {
  const events = await followed(context, [
    { body: job({ status: 'pending' }) },
    { error: new TypeError('fetch failed') },
    { status: 429, body: { message: 'Too many requests.' } },
    { status: 502, body: { message: 'Bad gateway.' } },
    { body: job({ status: 'completed' }) },
  ]);
  assert.deepEqual(events, ['pending', 'The server could not be reached.', 'Too many requests.', 'Bad gateway.', 'completed', 'ended: completed']);
});

test('following stops at another error', async (context) => {
  const events = await followed(context, [{ body: job() }, { status: 404, body: { message: 'There is no such job.' } }]);
  assert.deepEqual(events, ['processing', 'stopped: There is no such job.']);
});

test('transient errors need no listener', async (context) => {
  const events = await followed(context, [{ status: 500, body: { message: 'It failed.' } }, { body: job({ status: 'failed' }) }], { onLost: undefined });
  assert.deepEqual(events, ['failed', 'ended: failed']);
});

test('a panel shows figures of a running job, and leaves unknown ones out', () => {
  const panel = new JobPanel('Users');
  panel.update(job({ status: 'pending' }));
  assert.deepEqual(figures(panel), ['Waiting to start…']);
  panel.update(job({ processed: 500, total: 2000, percentage_done: 25, rate: 50, time_left_seconds: 30 }));
  assert.deepEqual(figures(panel), ['500 of 2,000 users', '50 users per second', 'about 30 seconds left']);
  assert.equal(panel.track.getAttribute('aria-valuenow'), '25');
  assert.equal(panel.bar.style.width, '25%');
  panel.update(job({ processed: 500, total: null, percentage_done: null, rate: null, time_left_seconds: null }));
  assert.deepEqual(figures(panel), ['500 users so far']);
  assert.equal(panel.track.classList.contains('unknown'), true);
  assert.equal(panel.track.hasAttribute('aria-valuenow'), false);
  panel.update(job({ processed: undefined, total: 0, rate: 0 }));
  assert.deepEqual(figures(panel), []);
});

test('every quarter of the progress is announced once', () => {
  const panel = new JobPanel('Users');
  const said = [];
  for (const percent of [10, 24, 26, 30, 49, 80, 100, 120, -5]) {
    panel.setPercent(percent);
    if (said.at(-1) !== announced()) said.push(announced());
  }
  assert.deepEqual(
    said.filter((words) => words.includes('percent')),
    ['Users: 25 percent done', 'Users: 75 percent done'],
  );
  assert.equal(panel.bar.style.width, '0%');
  panel.setPercent(Number.NaN);
  assert.equal(panel.bar.style.width, '');
});

test('parts are drawn one by one up to 60, then by state', () => {
  const panel = new JobPanel('Users');
  const segments = () => [...panel.parts.querySelectorAll('.part-bar span')].map(({ className }) => className);
  panel.showParts(null);
  assert.equal(panel.parts.hidden, true);
  panel.showParts({ total: 1, done: 0, failed: 0, sent: 1 });
  assert.equal(panel.parts.hidden, true);
  panel.showParts({ total: 4, done: 1, failed: 1, sent: 1 });
  assert.equal(panel.parts.hidden, false);
  assert.deepEqual(segments(), ['done', 'failed', 'sent', 'waiting']);
  assert.equal(text(panel.parts), '2 of 4 parts done, 1 in progress, 1 rejected');
  panel.showParts({ total: 61, done: 60, failed: 0, sent: 1 });
  assert.deepEqual(segments(), ['done', 'sent']);
  assert.equal(text(panel.parts), '60 of 61 parts done, 1 in progress');
});

test('a message of the job replaces the notice of a lost connection', () => {
  const panel = new JobPanel('Users');
  panel.update(job({ details: 'Auth0 is slow.' }));
  assert.equal(text(panel.note), 'Auth0 is slow.');
  const [before] = panel.note.children;
  panel.update(job({ details: 'Auth0 is slow.' }));
  assert.equal(panel.note.firstElementChild, before);
  panel.note.dataset.lost = 'x';
  panel.update(job());
  assert.equal(panel.note.childElementCount, 0);
  assert.equal(panel.note.dataset.lost, undefined);
});

test('a job that has ended shows its error', () => {
  const panel = new JobPanel('Users');
  document.body.append(panel.element);
  panel.offerCancel(() => {});
  panel.actions.querySelector('button').focus();
  panel.finish(job({ status: 'failed', error: { message: 'The connection was deleted.', hint: 'Choose another.' } }), 'Import of users');
  assert.equal(text(panel.note), 'The connection was deleted.Choose another.');
  assert.equal(document.activeElement, panel.title);
  assert.equal(text(panel.title), 'Import of users');
  assert.equal(panel.track.hidden, true);
  assert.equal(announced(), 'Import of users: Failed');
  panel.finish(job({ status: 'failed', error: null }));
  assert.equal(text(panel.note), 'The job failed.');
  panel.finish({ status: 'canceled' });
  assert.equal(text(panel.note), '');
  panel.fail(new Error('It cannot be followed.'));
  assert.equal(text(panel.note), 'It cannot be followed.');
});

test('a job that cannot be canceled keeps its button', async () => {
  const panel = new JobPanel('Users');
  panel.offerCancel(() => Promise.reject(new Error('It is too late.')));
  const push = panel.actions.querySelector('button');
  push.click();
  assert.equal(text(push), 'Canceling…');
  await settle();
  assert.equal(text(push), 'Cancel');
  assert.equal(text(panel.note), 'It is too late.');
});

test('a lost connection is announced once, until the job is reached again', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const panel = new JobPanel('Users');
  const lost = { error: new TypeError('fetch failed') };
  const responses = [lost, lost, { body: job() }, { status: 503, body: { message: 'Busy.' } }, { body: job({ status: 'completed' }) }];
  page.serve(() => responses.shift());
  const end = panel.follow('job_1');
  const next = async () => {
    await settle();
    const notice = panel.note.firstElementChild;
    context.mock.timers.tick(5000);
    return notice;
  };
  const first = await next();
  assert.match(text(first), /^Connection lost\./);
  assert.equal(await next(), first);
  assert.equal(await next(), null);
  assert.match(text(await next()), /^Connection lost\..*Busy\.$/);
  assert.equal((await end).status, 'completed');
});

test('a job is canceled with the button of its panel', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const panel = new JobPanel('Users');
  let canceled = false;
  page.serve(({ method, path }) => {
    if (method === 'GET') return { body: job({ status: canceled ? 'canceled' : 'processing' }) };
    canceled = path === 'jobs/job%201/cancel';
    return { body: job() };
  });
  const end = panel.follow('job 1');
  await settle();
  panel.actions.querySelector('button').click();
  await settle();
  assert.equal(text(panel.badge), 'Canceling…');
  context.mock.timers.tick(5000);
  assert.equal((await end).status, 'canceled');
});

test('a result can be dismissed beside its title', () => {
  const panel = new JobPanel('Users');
  document.body.append(panel.element);
  let dismissed = 0;
  panel.offerDismiss(() => (dismissed += 1));
  panel.element.querySelector('.job-head button').click();
  assert.equal(panel.element.isConnected, false);
  assert.equal(dismissed, 1);
});
