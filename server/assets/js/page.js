// What all pages share: who is signed in, the theme, logging out, messages.

import { button, byId, fill, h, icon } from './dom.js';
import { config, ensure, framed, keepPage, logOut, renew, returnToPage, who } from './session.js';
import { texts } from './texts.js';

const THEME_KEY = 'user-import-export-extension:theme';
const LANGUAGE_COOKIE = 'user-import-export-language';

/** Lets the frame's own controls work; enough for a page that needs no session. */
export function followFrame() {
  followTheme();
  followLanguage();
  if (who()) showWho();
  followLogOut();
  document.documentElement.classList.add('ready');
}

/** Signs in where needed, shows the frame, then runs the page. */
export async function start(run) {
  followTheme();
  followLanguage();
  followLogOut();
  if (framed) document.documentElement.classList.add('ready');
  await ensure();
  if (returnToPage()) return;
  showWho();
  document.documentElement.classList.add('ready');
  keepPage();
  await run();
}

function showWho() {
  const place = byId('who');
  if (!place) return;
  const claims = who();
  const name = claims?.email || claims?.name || claims?.sub || '';
  fill(place, h('span', { class: 'visually-hidden' }, texts.session.signedInAs('')), name);
  place.title = name ? texts.session.signedInAs(name) : '';
  byId('log-out').hidden = false;
}

function followLogOut() {
  byId('log-out')?.addEventListener('click', (event) => {
    event.preventDefault();
    leave();
  });
}

/** Ends the person's sessions, here and at the login page. */
export async function leave() {
  const address = `${config.basePath}logout`;
  // The login page that logging out leads to refuses to show in a frame. A browser opens a window only at once.
  const popup = framed ? window.open('', '_blank', 'popup,width=520,height=720') : null;
  const link = byId('log-out');
  if (link) link.hidden = true;
  await logOut();
  if (!framed) {
    location.assign(address);
    return;
  }
  if (popup) popup.location.replace(address);
  if (byId('who')) fill(byId('who'));
  await renew();
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
      // Storage is not available: the choice lasts until the page is left.
    }
  });
}

function followLanguage() {
  const select = byId('language');
  select?.addEventListener('change', () => {
    // The server writes the page in it; forms are remembered.
    document.cookie = `${LANGUAGE_COOKIE}=${select.value}; path=${config.basePath}; max-age=31536000; samesite=lax${location.protocol === 'https:' ? '; secure' : ''}`;
    const address = new URL(location.href);
    address.searchParams.delete('lang');
    location.assign(address);
  });
}

/** The words of an error: message, place in an expression, hint and code. */
export function errorText(error) {
  const [first, ...rest] = String(error.message).split('\n');
  return [
    h('p', {}, h('strong', {}, first)),
    rest.length > 0 && h('pre', { tabindex: 0 }, rest.join('\n')),
    error.hint && h('p', {}, error.hint),
  ];
}

/** A message with its icon. Kind: error, warning or info. */
export function notice(kind, ...children) {
  const name = { error: 'error', warning: 'warning' }[kind] ?? 'wait';
  return h('div', { class: `notice ${kind}`, role: kind === 'error' ? 'alert' : 'status' }, icon(name), h('div', {}, ...children));
}

/** An error in place, with a button to try again where that makes sense. */
export function errorNotice(error, retry) {
  return notice(
    'error',
    errorText(error),
    error.code && error.status > 0 && h('p', { class: 'fine' }, texts.errors.code(error.code)),
    retry && h('div', { class: 'actions' }, button(texts.errors.tryAgain, retry, { kind: 'small' })),
  );
}

/** Marks a field as wrong and says why next to it; without a text the mark is taken away. */
export function fieldError(field, place, ...text) {
  if (text.some(Boolean)) field.setAttribute('aria-invalid', 'true');
  else field.removeAttribute('aria-invalid');
  fill(place, text);
}

/** Something remembered until the tab is closed or the session ends. */
export function memory(name) {
  const key = `user-import-export-extension:${name}`;
  return {
    read() {
      try {
        return JSON.parse(sessionStorage.getItem(key));
      } catch {
        return null;
      }
    },
    write(value) {
      try {
        if (value === null) sessionStorage.removeItem(key);
        else sessionStorage.setItem(key, JSON.stringify(value));
      } catch {
        // The storage is full or not available: nothing is remembered.
      }
    },
  };
}

export { config };
