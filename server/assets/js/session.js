// The session: a token in `sessionStorage`. In a frame, where login pages refuse to load, and on a page that may hold
// unsaved work, the user signs in in a popup that posts the token back.

import { button, byId, fill, h, icon } from './dom.js';
import { texts } from './texts.js';

const KEY = 'user-import-export-extension:apiToken';
const RETURN_KEY = 'user-import-export-extension:returnTo';
const MESSAGE = 'user-import-export:session';
/** Channel to the other tabs of this browser: announces that a user's sessions have ended. */
const CHANNEL = 'user-import-export-extension:session';
/** How long logging out waits for the server, in milliseconds. */
const LOG_OUT_MS = 5000;

/**
 * The configuration that the server writes into its pages.
 * @type {PageConfig}
 */
export const config = JSON.parse(byId('config').textContent ?? '');

/** Whether the page is in a frame. */
export const framed = window.top !== window.self;

/** @type {Promise<never>} */
const never = new Promise(() => {});
/** @type {Promise<string> | null} */
let renewing = null;
/** Whether the page may hold work that leaving it would lose. */
let inUse = false;

/** From now on an ended session is renewed in a popup, without leaving the page. */
export function keepPage() {
  inUse = true;
}

/**
 * The claims of a session token; null if it is malformed or expires within one second.
 * @param {string} token
 * @returns {Claims | null}
 */
function claims(token) {
  try {
    const part = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(part), (character) => character.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return Number.isFinite(claims.exp) && Date.now() < (claims.exp - 1) * 1000 ? claims : null;
  } catch {
    return null;
  }
}

/** The token of the current session; null without a valid one. */
export function token() {
  const stored = sessionStorage.getItem(KEY);
  return stored && claims(stored) ? stored : null;
}

/** The claims of the signed-in user; null if the user is signed out. */
export function currentClaims() {
  const stored = sessionStorage.getItem(KEY);
  return stored ? claims(stored) : null;
}

/**
 * A valid token; signs in if needed. Never settles if the browser leaves the page.
 * @returns {Promise<string>}
 */
export async function ensureToken() {
  return token() ?? renewToken();
}

/**
 * Drops the session and signs in again. `rejected` is the token that the server rejected.
 * @param {string | null} [rejected]
 * @returns {Promise<string>}
 */
export async function renewToken(rejected = null) {
  const current = token();
  if (rejected !== null && current !== null && current !== rejected) return current;
  renewing ??= (framed || inUse ? signInByPopup() : leaveForLogin()).finally(() => {
    renewing = null;
  });
  return renewing;
}

const tabChannel = typeof BroadcastChannel === 'function' ? new BroadcastChannel(CHANNEL) : null;
tabChannel?.addEventListener('message', (event) => {
  const claims = currentClaims();
  if (event.data?.type !== 'ended' || !claims || claims.sub !== event.data.subject) return;
  sessionStorage.removeItem(KEY);
  if (inUse) renewToken();
});

/**
 * Ends all sessions of this user on the server, then removes the session from this browser and its other tabs, also if
 * the server cannot be reached.
 */
export async function logOut() {
  const stored = token();
  const subject = currentClaims()?.sub;
  if (stored) {
    try {
      await fetch(`${config.basePath}api/sessions/current?everywhere=true`, {
        method: 'DELETE',
        headers: { Authorization: `Bearer ${stored}` },
        cache: 'no-store',
        credentials: 'same-origin',
        keepalive: true,
        signal: AbortSignal.timeout(LOG_OUT_MS),
      });
    } catch {
      // Continue: SESSION_IDLE_TIMEOUT ends the sessions that remain on the server.
    }
  }
  clearStorage();
  if (subject) tabChannel?.postMessage({ type: 'ended', subject });
}

/** Removes the session and all stored form state from this browser tab. */
export function clearStorage() {
  for (const key of Object.keys(sessionStorage)) {
    if (key.startsWith('user-import-export-extension:')) sessionStorage.removeItem(key);
  }
}

function leaveForLogin() {
  sessionStorage.removeItem(KEY);
  sessionStorage.setItem(RETURN_KEY, location.pathname + location.search);
  location.replace(`${config.basePath}login`);
  return never;
}

/** After sign-in, opens the page that was requested. Returns true if the browser leaves this page. */
export function returnToPage() {
  const target = sessionStorage.getItem(RETURN_KEY);
  sessionStorage.removeItem(RETURN_KEY);
  const here = location.pathname + location.search;
  if (!target || target === here || !target.startsWith(config.basePath) || target.startsWith('//')) return false;
  location.replace(target);
  return true;
}

/** Asks the user to sign in: instead of a page that is still empty, otherwise in a dialog over it. */
function signInByPopup() {
  sessionStorage.removeItem(KEY);
  const gate = byId('gate');
  const page = byId('page');
  const problem = h('p', { class: 'field-error', role: 'alert' });
  /** @type {Window | null} */
  let popup = null;

  return new Promise((resolve) => {
    /** @param {MessageEvent} event */
    const receive = (event) => {
      const data = event.data;
      if (event.origin !== location.origin || popup === null || event.source !== popup) return;
      if (data?.type !== MESSAGE || typeof data.token !== 'string' || !claims(data.token)) return;
      window.removeEventListener('message', receive);
      sessionStorage.setItem(KEY, data.token);
      hide();
      popup.close();
      resolve(data.token);
    };
    window.addEventListener('message', receive);

    const open = () => {
      popup = window.open(`${config.basePath}login?popup=1`, 'user-import-export-login', 'popup,width=520,height=720');
      fill(problem, popup ? '' : texts.session.popupBlocked);
    };
    const signIn = button(texts.session.signIn, open, { kind: 'primary' });
    const hide = inUse ? showDialog(signIn) : showGate(signIn);
  });

  /** @param {HTMLElement} signIn */
  function showGate(signIn) {
    fill(
      gate,
      h(
        'section',
        { class: 'card blank' },
        icon('brand'),
        h('h1', {}, texts.session.signedOutTitle),
        h('p', {}, texts.session.signedOutFramed),
        h('div', { class: 'actions' }, signIn),
        problem,
      ),
    );
    page.hidden = true;
    gate.hidden = false;
    return () => {
      gate.hidden = true;
      gate.replaceChildren();
      page.hidden = false;
    };
  }

  /** @param {HTMLElement} signIn */
  function showDialog(signIn) {
    const before = document.activeElement;
    const dialog = h(
      'dialog',
      { class: 'small', 'aria-labelledby': 'session-ended', 'aria-describedby': 'session-ended-help' },
      h('h2', { id: 'session-ended' }, texts.session.endedTitle),
      h('p', { id: 'session-ended-help' }, texts.session.ended),
      h('div', { class: 'actions' }, signIn, !framed && button(texts.session.signInHere, leaveForLogin, { kind: 'quiet' })),
      problem,
    );
    // Not closable: the page does not work without a session.
    dialog.addEventListener('cancel', (event) => event.preventDefault());
    byId('main').append(dialog);
    dialog.showModal();
    return () => {
      dialog.close();
      dialog.remove();
      if (before instanceof HTMLElement) before.focus();
    };
  }
}
