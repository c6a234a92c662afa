// The Settings page: permissions, sessions, and what the server allows.

import { ApiError, del, get } from './api.js';
import { announce, withBusy, button, byId, fill, h, icon, tableHead } from './dom.js';
import { binarySize, dateText, period, time } from './format.js';
import { errorNotice, leave, start } from './page.js';
import { labelOf, texts } from './texts.js';

/** The permissions that this application uses, in display order. */
const PERMISSIONS = ['read:users', 'create:users', 'read:connections'];

start(async () => {
  byId('reload').addEventListener('click', () => withBusy(byId('reload'), () => loadSessions({ asked: true })));
  // Shown together, so that the layout does not shift when the second response arrives.
  await Promise.all([loadAbout(), loadSessions()]);
  byId('settings').hidden = false;
});

async function loadAbout() {
  try {
    const about = await get('about');
    fill(byId('permissions'), permissions(about.permissions));
    fill(byId('server'), facts(about));
  } catch (error) {
    fill(
      byId('settings-error'),
      errorNotice(error, () => {
        fill(byId('settings-error'));
        loadAbout();
      }),
    );
  } finally {
    byId('permissions').removeAttribute('aria-busy');
    byId('server').removeAttribute('aria-busy');
  }
}

/** @param {string[]} held */
function permissions(held) {
  /** @param {string} name */
  const row = (name) => {
    const granted = held.includes(name);
    return h(
      'li',
      {},
      h('span', { class: `status ${granted ? 'ok' : 'idle'}` }, icon(granted ? 'ok' : 'stop'), granted ? texts.settings.granted : texts.settings.missing),
      h('span', {}, labelOf(texts.settings.permissions, name)),
      h('code', {}, name),
    );
  };
  return h('ul', { class: 'permissions' }, PERMISSIONS.map(row));
}

/** @param {ResponseBody<'get', 'about'>} about */
function facts(about) {
  /**
   * @param {string} name
   * @param {Child[]} value
   */
  const fact = (name, ...value) => [h('dt', {}, name), h('dd', {}, value)];
  const { limits } = about;
  return h(
    'dl',
    { class: 'facts' },
    fact(texts.settings.version, about.version),
    fact(texts.settings.tenant, about.tenant),
    fact(texts.settings.login, labelOf(texts.settings.logins, about.login)),
    fact(texts.settings.replica, h('code', {}, about.replica)),
    fact(texts.settings.upload, binarySize(limits.upload_bytes)),
    fact(texts.settings.artifacts, period(limits.artifact_ttl_seconds)),
    fact(texts.settings.history, period(limits.history_ttl_seconds)),
    fact(texts.settings.idle, period(about.session.idle_timeout_seconds)),
    fact(texts.settings.concurrent, texts.settings.concurrently({ jobs: limits.jobs, uploads: limits.uploads, reads: limits.reads })),
    fact(texts.settings.sandbox, texts.settings.perRow({ memory: binarySize(limits.sandbox_memory_bytes), milliseconds: limits.sandbox_timeout_ms })),
  );
}

/** @param {{ asked?: boolean }} [options] */
async function loadSessions({ asked = false } = {}) {
  try {
    const { sessions } = await get('sessions');
    fill(byId('settings-error'));
    showSessions(sessions);
    if (asked) announce(texts.settings.reloaded({ count: sessions.length }));
  } catch (error) {
    fill(
      byId('settings-error'),
      errorNotice(error, () => loadSessions({ asked: true })),
    );
  } finally {
    byId('sessions').removeAttribute('aria-busy');
  }
}

/** @param {SessionInfo[]} sessions */
function showSessions(sessions) {
  const own = sessions.find(({ current }) => current)?.subject;
  fill(
    byId('sessions'),
    h(
      'div',
      { class: 'card table-card' },
      h(
        'table',
        { class: 'table stack sessions', role: 'table' },
        tableHead([
          texts.settings.person,
          texts.settings.signedIn,
          texts.settings.lastUsed,
          texts.settings.endsAt,
          h('span', { class: 'visually-hidden' }, texts.history.actions),
        ]),
        h(
          'tbody',
          { role: 'rowgroup' },
          sessions.map((session) => row(session, session.subject === own)),
        ),
      ),
    ),
  );
}

/**
 * @param {SessionInfo} session
 * @param {boolean} mine
 */
function row(session, mine) {
  /**
   * @param {string} label
   * @param {Properties} properties
   * @param {Child[]} children
   */
  const cell = (label, properties, ...children) => h('td', { role: 'cell', 'data-label': label, ...properties }, ...children);
  const person = session.email ?? session.subject;
  const note = session.current ? texts.settings.thisOne : mine && texts.settings.yours;
  return h(
    'tr',
    { role: 'row' },
    cell(texts.settings.person, {}, h('div', {}, h('strong', {}, person), note && h('span', { class: 'where' }, note))),
    cell(texts.settings.signedIn, {}, time(session.created_at)),
    cell(texts.settings.lastUsed, {}, time(session.last_seen_at)),
    cell(texts.settings.endsAt, {}, time(session.expires_at)),
    cell('', { class: 'tight' }, h('div', { class: 'row-actions' }, actions(session, mine, person))),
  );
}

/**
 * @param {SessionInfo} session
 * @param {boolean} mine
 * @param {string} person
 */
function actions(session, mine, person) {
  if (session.current) return button(texts.settings.logOut, leave, { kind: 'small', 'aria-label': texts.settings.logOutLabel });
  const when = dateText(session.created_at);
  const endOne = () => end(`sessions/${encodeURIComponent(session.id)}`, texts.settings.ended);
  const endAll = () => confirm(person, () => end(`sessions/${encodeURIComponent(session.id)}?everywhere=true`, texts.settings.endedAll({ person })));
  return [
    action(texts.settings.end, texts.settings.endLabel({ person, when }), 'small', endOne),
    !mine && action(texts.settings.endAll, texts.settings.endAllLabel({ person }), 'small quiet', endAll),
  ];
}

/**
 * @param {string} label
 * @param {string} description
 * @param {string} kind
 * @param {() => unknown} work
 */
function action(label, description, kind, work) {
  const push = button(label, () => withBusy(push, work), { kind, 'aria-label': description });
  return push;
}

/**
 * Ends sessions, then reloads the list. A session that has ended in the meantime is not an error.
 * @param {`sessions/${string}`} path
 * @param {string} done
 */
async function end(path, done) {
  try {
    await del(path);
  } catch (error) {
    if (!(error instanceof ApiError && error.code === 'inexistent_session')) {
      fill(byId('settings-error'), errorNotice(error));
      return;
    }
  }
  await loadSessions();
  announce(done);
  byId('reload').focus();
}

/**
 * Asks for confirmation before all sessions of another user are ended.
 * @param {string} person
 * @param {() => unknown} work
 */
function confirm(person, work) {
  const dialog = byId('confirm');
  const close = () => dialog.close();
  const push = button(
    texts.settings.endAll,
    () =>
      withBusy(push, async () => {
        close();
        await work();
      }),
    { kind: 'primary' },
  );
  fill(
    dialog,
    h('h2', { id: 'confirm-title' }, texts.settings.confirmTitle({ person })),
    h('p', { id: 'confirm-help' }, texts.settings.confirmHelp),
    h('div', { class: 'actions' }, push, button(texts.settings.keep, close, { kind: 'quiet' })),
  );
  dialog.showModal();
}
