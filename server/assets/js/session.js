// The session: a token in the browser's storage. Embedded in a frame, where login pages refuse to show, and
// on a page that is being worked on, signing in happens in a popup that hands the token back.

import { button, byId, fill, h, icon } from './dom.js';
import { texts } from './texts.js';

const KEY = 'user-import-export-extension:apiToken';
const RETURN_KEY = 'user-import-export-extension:returnTo';
const MESSAGE = 'user-import-export:session';
/** Channel to the other tabs of this browser: a person's sessions were ended. */
const CHANNEL = 'user-import-export-extension:session';
/** How long logging out waits for the server, in milliseconds. */
const LOG_OUT_MS = 5000;

/** What the server tells its pages. */
export const config = JSON.parse(byId('config').textContent);

/** Whether the page stands inside another one. */
export const framed = window.top !== window.self;

const never = new Promise(() => {});
let renewing = null;
/** Whether the page may hold work that leaving it would lose. */
let inUse = false;

/** From now on a session that ends is renewed without leaving the page. */
export function keepPage() {
  inUse = true;
}

/** The claims of the session token; null when it is not a token or ended (one second early). */
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

/** The token of the session that lasts; null without one. */
export function token() {
  const stored = sessionStorage.getItem(KEY);
  return stored && claims(stored) ? stored : null;
}

/** Who is signed in, as the token says; null when nobody is. */
export function who() {
  const stored = sessionStorage.getItem(KEY);
  return stored ? claims(stored) : null;
}

/** A token, after signing in where that is needed. Does not settle when the browser leaves the page. */
export async function ensure() {
  return token() ?? renew();
}

/** Drops the session and signs in again. `rejected` is the token the server did not accept. */
export async function renew(rejected = null) {
  if (rejected !== null && token() !== null && token() !== rejected) return token();
  renewing ??= (framed || inUse ? signInByPopup() : leaveForLogin()).finally(() => {
    renewing = null;
  });
  return renewing;
}

const others = typeof BroadcastChannel === 'function' ? new BroadcastChannel(CHANNEL) : null;
others?.addEventListener('message', (event) => {
  const claims = who();
  if (event.data?.type !== 'ended' || !claims || claims.sub !== event.data.subject) return;
  sessionStorage.removeItem(KEY);
  if (inUse) renew();
});

/**
 * Ends every session of this person on the server, then forgets the session in this browser and its other tabs.
 * When the server cannot be reached the session still ends here.
 */
export async function logOut() {
  const stored = token();
  const subject = who()?.sub;
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
      // Logging out goes on: SESSION_IDLE_TIMEOUT ends what is left on the server.
    }
  }
  forget();
  if (subject) others?.postMessage({ type: 'ended', subject });
}

/** Ends the session in this browser and forgets what the pages remembered. */
export function forget() {
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

/** After signing in, leads back to the page that was asked for. True when the browser leaves. */
export function returnToPage() {
  const target = sessionStorage.getItem(RETURN_KEY);
  sessionStorage.removeItem(RETURN_KEY);
  const here = location.pathname + location.search;
  if (!target || target === here || !target.startsWith(config.basePath) || target.startsWith('//')) return false;
  location.replace(target);
  return true;
}

/** Asks to sign in: in place of a page that shows nothing yet, otherwise in a dialog above it. */
function signInByPopup() {
  sessionStorage.removeItem(KEY);
  const gate = byId('gate');
  const page = byId('page');
  const problem = h('p', { class: 'field-error', role: 'alert' });
  let popup = null;

  return new Promise((resolve) => {
    const receive = (event) => {
      const expected = event.origin === location.origin && popup !== null && event.source === popup;
      const data = event.data;
      if (!expected || data?.type !== MESSAGE || typeof data.token !== 'string' || !claims(data.token)) return;
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
    // There is nothing behind it that works without a session.
    dialog.addEventListener('cancel', (event) => event.preventDefault());
    byId('main').append(dialog);
    dialog.showModal();
    return () => {
      dialog.close();
      dialog.remove();
      before?.focus?.();
    };
  }
}
