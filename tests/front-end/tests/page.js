// Opens a page of the templates in jsdom, so that the scripts find their elements, a session and a server.

import { readFileSync } from 'node:fs';
import { register } from 'node:module';
import { JSDOM } from 'jsdom';

register('./texts-loader.js', import.meta.url);

const templates = new URL('../../../server/templates/', import.meta.url);
const scripts = new URL('../../../server/assets/js/', import.meta.url);

const CONFIG = {
  page: 'export',
  basePath: '/',
  tenant: 'acme.eu.auth0.com',
  manageUrl: 'about:blank',
  version: '0.0.0',
  embed: false,
  uploadLimit: 1_000_000,
  defaultColumns: [
    ['email', 'Email'],
    ['name', 'Name'],
  ],
  attributes: ['user.email', 'user.name', 'user.nickname'],
  importAttributes: ['email', 'email_verified', 'name', 'username', 'given_name'],
};

/** The text of a template. */
export const template = (name) => readFileSync(new URL(`${name}.html`, templates), 'utf8');

/** The HTML of a page: its template inside the layout, with texts in English and without values. */
function html(name, language) {
  const body = /{% block page %}([\s\S]*){% endblock page %}/.exec(template(name))[1];
  return template('layout')
    .replace('{% block page %}{% endblock page %}', () => body)
    .replaceAll(/\[\[([\s\S]*?)\]\]/g, '$1')
    .replaceAll(/{%[\s\S]*?%}/g, '')
    .replaceAll('{{ lang }}', language)
    .replaceAll(/{{[\s\S]*?}}/g, '');
}

/** A session token that is valid for one hour. */
function sessionToken() {
  const claims = { sub: 'auth0|1', email: 'ada@example.com', exp: Math.floor(Date.now() / 1000) + 3600 };
  return `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.signature`;
}

/**
 * Opens a page. `config` overrides members of the page's configuration. Returns functions that load a script, set the
 * responses of the server, and list its requests.
 */
export function openPage(name = 'export', { language = 'en', config = {} } = {}) {
  const { window } = new JSDOM(html(name, language), { url: 'http://localhost/export' });
  const requests = [];
  let answer = () => ({ status: 404, body: { message: 'Not found.', errorCode: 'not_found' } });

  const names = ['document', 'Node', 'HTMLElement', 'HTMLInputElement', 'Event', 'KeyboardEvent', 'location', 'sessionStorage', 'localStorage'];
  for (const global of names) globalThis[global] = window[global];
  globalThis.window = window;
  // A channel keeps the process of a test running.
  globalThis.BroadcastChannel = undefined;
  // jsdom does not scroll.
  window.Element.prototype.scrollIntoView = () => {};
  window.sessionStorage.setItem('user-import-export-extension:apiToken', sessionToken());
  window.document.getElementById('config').textContent = JSON.stringify({ ...CONFIG, ...config });

  globalThis.fetch = async (url, options) => {
    const request = { method: options.method ?? 'GET', path: url.replace(/^\/api\//, ''), body: options.body, signal: options.signal };
    requests.push(request);
    const { status = 200, body, error } = await answer(request);
    if (options.signal?.aborted) throw new DOMException('aborted', 'AbortError');
    if (error) throw error;
    return new Response(status === 204 ? null : JSON.stringify(body), { status });
  };

  return {
    window,
    requests,
    /** Imports a script of the pages. */
    script: (file) => import(new URL(file, scripts)),
    /** Sets how the server responds: `respond` gets a request and returns `{status, body}` or `{error}`. */
    serve(respond) {
      answer = respond;
    },
  };
}

/** Lets promises and timers without a delay run. */
export async function settle() {
  for (let round = 0; round < 5; round += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Types into a field. */
export function type(field, text) {
  field.value = text;
  field.dispatchEvent(new Event('input', { bubbles: true }));
}

/** Presses a key. */
export function press(element, key, options = {}) {
  element.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...options }));
}

/** The visible text of an element, without repeated spaces. */
export const text = (element) => element.textContent.replaceAll(/\s+/g, ' ').trim();
