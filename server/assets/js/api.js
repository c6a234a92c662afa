// Requests to the server's API. When a session has ended, it is renewed and the request is sent once more. That is
// safe because the server rejected the first request before doing anything.

import { saveBlob } from './dom.js';
import { config, ensureToken, renewToken } from './session.js';
import { texts } from './texts.js';

/** An error of the API, with the members of its JSON error body. */
export class ApiError extends Error {
  constructor({ statusCode = 0, error = '', message = '', errorCode = '', hint = '', field = '' }) {
    super(message || error);
    this.name = 'ApiError';
    this.status = statusCode;
    this.code = errorCode;
    this.hint = hint;
    this.field = field;
  }
}

const url = (path) => `${config.basePath}api/${path}`;

const networkError = (hint = texts.errors.networkHint) => new ApiError({ message: texts.errors.network, errorCode: 'network', hint });

function errorOf(status, reason, text) {
  try {
    const body = JSON.parse(text);
    if (body && typeof body.message === 'string') return new ApiError({ ...body, statusCode: status });
  } catch {
    // Not an error body of this API, for example a page of a proxy.
  }
  return new ApiError({ statusCode: status, message: texts.errors.unexpectedAnswer(status, reason) });
}

async function send(path, options = {}) {
  let token = await ensureToken();
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
      token = await renewToken(token);
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

/** GET below `/api/`. A `background` request (polling) does not extend the idle timeout of the session. */
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

/** Inspects the beginning of a file before an import. */
export const inspect = async (form, { signal }) => json(await send('import/inspect', { method: 'POST', body: form, signal }));

/** The error report of a job as a stream of bytes. */
export const stream = async (path, { signal } = {}) => (await send(path, { signal })).body;

/** PUT below `/api/` with a JSON body. */
export const put = async (path, body) => json(await send(path, jsonOptions('PUT', body)));

/** POST of a file as the request body. */
export const uploadBytes = async (path, file, type) => json(await send(path, { method: 'POST', headers: { 'Content-Type': type }, body: file }));

/** DELETE below `/api/`. */
export async function del(path) {
  await send(path, { method: 'DELETE' });
}

/** POST of a form with a file. Uses XMLHttpRequest because `fetch` reports no upload progress. */
export async function upload(path, form, { onProgress, signal }) {
  let token = await ensureToken();
  for (let attempt = 1; ; attempt += 1) {
    const request = await transfer(url(path), form, token, onProgress, signal);
    if (request.status === 401 && attempt === 1) {
      token = await renewToken(token);
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

/** Saves a response as a file, named by its `Content-Disposition` header, else `fallbackName`. */
export async function save(path, fallbackName) {
  const response = await send(path);
  const name = /filename="([^"\\/]+)"/.exec(response.headers.get('Content-Disposition') ?? '')?.[1];
  saveBlob(await response.blob(), name ?? fallbackName);
}

/** Lets the browser download from a signed link of the API, which is valid for one minute without a session. */
export function follow(location) {
  const target = new URL(location, document.baseURI);
  if (target.protocol !== 'https:' && target.protocol !== 'http:') {
    throw new ApiError({ message: texts.errors.unreadableAnswer });
  }
  window.location.assign(target);
}
