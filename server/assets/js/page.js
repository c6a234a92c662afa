// Shared by all pages: the signed-in user, theme, language, log out, messages, stored form state.

import { button, byId, fill, h, icon } from './dom.js';
import { config, ensureToken, framed, keepPage, logOut, renewToken, returnToPage, currentClaims } from './session.js';
import { texts } from './texts.js';

const THEME_KEY = 'user-import-export-extension:theme';
const LANGUAGE_COOKIE = 'user-import-export-language';

/** Connects the controls of the page frame. Enough for a page that needs no session. */
export function followFrame() {
  followTheme();
  followLanguage();
  if (currentClaims()) showWho();
  followLogOut();
  document.documentElement.classList.add('ready');
}

/**
 * Signs in if needed, shows the page frame, then runs the page.
 * @param {() => unknown} run
 */
export async function start(run) {
  followTheme();
  followLanguage();
  followLogOut();
  if (framed) document.documentElement.classList.add('ready');
  await ensureToken();
  if (returnToPage()) return;
  showWho();
  document.documentElement.classList.add('ready');
  keepPage();
  await run();
}

function showWho() {
  const place = byId('who');
  if (!place) return;
  const claims = currentClaims();
  const name = claims?.email || claims?.name || claims?.sub || '';
  fill(place, h('span', { class: 'visually-hidden' }, texts.session.signedInAs({ name: '' })), name);
  place.title = name ? texts.session.signedInAs({ name }) : '';
  const link = byId('log-out');
  if (link) link.hidden = false;
}

function followLogOut() {
  byId('log-out')?.addEventListener('click', (event) => {
    event.preventDefault();
    leave();
  });
}

/** Ends the user's sessions here and at the identity provider. */
export async function leave() {
  const address = `${config.basePath}logout`;
  // The logout page refuses to be framed, and browsers open a popup only directly in a click handler.
  const popup = framed ? window.open('', '_blank', 'popup,width=520,height=720') : null;
  const link = byId('log-out');
  if (link) link.hidden = true;
  await logOut();
  if (!framed) {
    location.assign(address);
    return;
  }
  if (popup) popup.location.replace(address);
  const who = byId('who');
  if (who) fill(who);
  await renewToken();
  location.reload();
}

function followTheme() {
  const select = byId('theme');
  if (!select) return;
  const root = document.documentElement;
  select.value = root.dataset.theme ?? '';
  select.addEventListener('change', () => {
    if (select.value) root.dataset.theme = select.value;
    else delete root.dataset.theme;
    try {
      if (select.value) localStorage.setItem(THEME_KEY, select.value);
      else localStorage.removeItem(THEME_KEY);
    } catch {
      // Without storage the choice lasts until the page is left.
    }
  });
}

function followLanguage() {
  const select = byId('language');
  select?.addEventListener('change', () => {
    // The server renders the page in this language; form state is stored.
    // biome-ignore lint/suspicious/noDocumentCookie: the server reads this cookie, and not every browser has `cookieStore`.
    document.cookie = `${LANGUAGE_COOKIE}=${select.value}; path=${config.basePath}; max-age=31536000; samesite=lax${location.protocol === 'https:' ? '; secure' : ''}`;
    const address = new URL(location.href);
    address.searchParams.delete('lang');
    location.assign(address);
  });
}

/**
 * An error as nodes: message, excerpt of the expression, hint.
 * @param {unknown} error
 * @returns {Child[]}
 */
export function errorText(error) {
  const { message, hint } = /** @type {{ message?: string, hint?: string | null }} */ (error);
  const [first, ...rest] = String(message).split('\n');
  return [h('p', {}, h('strong', {}, first)), rest.length > 0 && h('pre', { tabindex: 0 }, rest.join('\n')), hint && h('p', {}, hint)];
}

/**
 * A message with its icon. Kind: error, warning or info.
 * @param {'error' | 'warning' | 'info'} kind
 * @param {Child[]} children
 */
export function notice(kind, ...children) {
  const name = { error: 'error', warning: 'warning', info: 'wait' }[kind];
  return h('div', { class: `notice ${kind}`, role: kind === 'error' ? 'alert' : 'status' }, icon(name), h('div', {}, ...children));
}

/**
 * A notice for an error, with a "Try again" button if `retry` is given and the request was not invalid (400).
 * @param {unknown} error
 * @param {() => unknown} [retry]
 */
export function errorNotice(error, retry) {
  const { code = '', status = 0 } = /** @type {{ code?: string, status?: number }} */ (error);
  return notice(
    'error',
    errorText(error),
    code && status > 0 && h('p', { class: 'fine' }, texts.errors.code({ code })),
    retry && status !== 400 && h('div', { class: 'actions' }, button(texts.errors.tryAgain, retry, { kind: 'small' })),
  );
}

/**
 * Marks a field as invalid and shows why; without a text, removes the mark.
 * @param {HTMLElement} field
 * @param {HTMLElement} place
 * @param {Child[]} text
 */
export function fieldError(field, place, ...text) {
  if (text.some(Boolean)) field.setAttribute('aria-invalid', 'true');
  else field.removeAttribute('aria-invalid');
  fill(place, text);
}

/**
 * A value in `sessionStorage`: kept until the tab is closed or the session ends.
 * @template {object} Value
 * @param {string} name
 * @returns {Stored<Value>}
 */
export function sessionStore(name) {
  const key = `user-import-export-extension:${name}`;
  return {
    read() {
      try {
        return JSON.parse(sessionStorage.getItem(key) ?? 'null');
      } catch {
        return null;
      }
    },
    write(value) {
      try {
        if (value === null) sessionStorage.removeItem(key);
        else sessionStorage.setItem(key, JSON.stringify(value));
      } catch {
        // The storage is full or not available.
      }
    },
  };
}

/**
 * What another page has done to the form of the page that opens next.
 * @type {Stored<Arrival>}
 */
export const arrivals = sessionStore('arrival');

/**
 * Takes what another page has done to the form of this page; null if nothing.
 * @param {Arrival['page']} page
 */
export function takeArrival(page) {
  const arrival = arrivals.read();
  if (arrival?.page !== page) return null;
  arrivals.write(null);
  return arrival;
}

/**
 * Asks in `place` before something starts that the user may not want. The promise becomes true if the user confirms and
 * false if not; it stays open if the question is removed.
 * @param {HTMLElement} place
 * @param {{ message: Child, yes: string, no: string }} question
 * @returns {Promise<boolean>}
 */
export function askIn(place, { message, yes, no }) {
  return new Promise((resolve) => {
    /** @param {boolean} value */
    const answer = (value) => () => {
      fill(place);
      resolve(value);
    };
    const question = notice(
      'warning',
      message,
      h('div', { class: 'actions' }, button(yes, answer(true), { kind: 'small primary' }), button(no, answer(false), { kind: 'small' })),
    );
    fill(place, question);
    question.scrollIntoView({ block: 'nearest' });
    // Not the button that starts: a second Enter must not confirm.
    question.querySelectorAll('button')[1]?.focus();
  });
}

/**
 * A remark of the server as a sentence.
 * @param {string} text
 */
export const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.?!]$/.test(text) ? '' : '.'}`;

export { config };
