// Requests to the server's API. A session that ended is renewed and the request sent once more, which is
// safe: the server refused it before doing anything.

import { saveBlob } from './dom.js';
import { config, ensure, renew } from './session.js';
import { texts } from './texts.js';

/** What went wrong, in the shape every answer of the API has. */
export class ApiError extends Error {
  constructor({ statusCode = 0, error = '', message = '', errorCode = '', hint = '' }) {
    super(message || error);
    this.name = 'ApiError';
    this.status = statusCode;
    this.code = errorCode;
    this.hint = hint;
  }
}

const url = (path) => `${config.basePath}api/${path}`;

const networkError = (hint = texts.errors.networkHint) => new ApiError({ message: texts.errors.network, errorCode: 'network', hint });

function errorOf(status, reason, text) {
  try {
    const body = JSON.parse(text);
    if (body && typeof body.message === 'string') return new ApiError({ ...body, statusCode: status });
  } catch {
    // Not from our API: a proxy perhaps.
  }
  return new ApiError({ statusCode: status, message: texts.errors.unexpectedAnswer(status, reason) });
}

async function send(path, options = {}) {
  let token = await ensure();
  for (let attempt = 1; ; attempt += 1) {
    let response;
    try {
      response = await fetch(url(path), {
        ...options,
        headers: { ...options.headers, Authorization: `Bearer ${token}` },
        cache: 'no-store',
        credentials: 'same-origin',
      });
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw networkError();
    }
    if (response.status === 401 && attempt === 1) {
      token = await renew(token);
    } else if (response.ok) {
      return response;
    } else {
      throw errorOf(response.status, response.statusText, await response.text().catch(() => ''));
    }
  }
}

async function json(response) {
  try {
    return await response.json();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError({ statusCode: response.status, message: texts.errors.unreadableAnswer });
  }
}

/** GET below `/api/`. A `background` request, as of a page that polls, does not count as use of the session. */
export const get = async (path, { signal, background = false } = {}) =>
  json(await send(path, { signal, headers: background ? { 'X-Background': '1' } : {} }));

/** A request with a JSON body, or without one. */
function jsonOptions(method, body, signal) {
  const options = { method, signal };
  if (body !== undefined) {
    options.headers = { 'Content-Type': 'application/json' };
    options.body = JSON.stringify(body);
  }
  return options;
}

/** POST below `/api/`, with a JSON body if given. */
export const post = async (path, body, { signal } = {}) => json(await send(path, jsonOptions('POST', body, signal)));

/** Looks into the beginning of a file that may be imported. */
export const inspect = async (form, { signal }) => json(await send('import/inspect', { method: 'POST', body: form, signal }));

/** A report of faults as a stream of bytes. */
export const stream = async (path, { signal } = {}) => (await send(path, { signal })).body;

/** PUT below `/api/` with a JSON body. */
export const put = async (path, body) => json(await send(path, jsonOptions('PUT', body)));

/** POST of a file as it is. */
export const uploadBytes = async (path, file, type) => json(await send(path, { method: 'POST', headers: { 'Content-Type': type }, body: file }));

/** DELETE below `/api/`. */
export async function del(path) {
  await send(path, { method: 'DELETE' });
}

/** POST of a form with a file, with the progress that only XMLHttpRequest tells. */
export async function upload(path, form, { onProgress, signal }) {
  let token = await ensure();
  for (let attempt = 1; ; attempt += 1) {
    const request = await transfer(url(path), form, token, onProgress, signal);
    if (request.status === 401 && attempt === 1) {
      token = await renew(token);
    } else if (request.status >= 200 && request.status < 300) {
      try {
        return JSON.parse(request.responseText);
      } catch {
        throw new ApiError({ statusCode: request.status, message: texts.errors.unreadableAnswer });
      }
    } else {
      throw errorOf(request.status, request.statusText, request.responseText);
    }
  }
}

function transfer(address, form, token, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    request.open('POST', address);
    request.setRequestHeader('Authorization', `Bearer ${token}`);
    request.upload.addEventListener('progress', (event) => {
      if (event.lengthComputable) onProgress(event.loaded, event.total);
    });
    request.addEventListener('load', () => resolve(request));
    request.addEventListener('error', () => reject(networkError(texts.errors.uploadHint)));
    request.addEventListener('abort', () => reject(new DOMException('The upload was canceled.', 'AbortError')));
    request.addEventListener('loadend', () => signal.removeEventListener('abort', abort));
    signal.addEventListener('abort', abort);
    if (signal.aborted) {
      reject(new DOMException('The upload was canceled.', 'AbortError'));
      return;
    }
    request.send(form);
  });
}

/** Saves an answer of the API as a file, under the name that the server gives it. */
export async function save(path, otherwise) {
  const response = await send(path);
  const name = /filename="([^"\\/]+)"/.exec(response.headers.get('Content-Disposition') ?? '')?.[1];
  saveBlob(await response.blob(), name ?? otherwise);
}

/** Lets the browser download from a link of the API that is good for a minute without a session. */
export function follow(location) {
  const target = new URL(location, document.baseURI);
  if (target.protocol !== 'https:' && target.protocol !== 'http:') {
    throw new ApiError({ message: texts.errors.unreadableAnswer });
  }
  window.location.assign(target);
}
