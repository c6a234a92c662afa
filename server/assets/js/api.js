// Requests to the server's API. When a session has ended, it is renewed and the request is sent once more. That is
// safe because the server rejected the first request before doing anything.

import { saveBlob } from './dom.js';
import { config, ensureToken, renewToken } from './session.js';
import { texts } from './texts.js';

/** An error of the API, with the members of its JSON error body. `status` is 0 if there was no response. */
export class ApiError extends Error {
  /** @param {Partial<ErrorBody>} body */
  constructor({ statusCode = 0, error = '', message = '', errorCode = '', hint = '', field = '' }) {
    super(message || error);
    this.name = 'ApiError';
    this.status = statusCode;
    this.code = errorCode;
    this.hint = hint;
    this.field = field;
  }
}

/**
 * The error of a request as an `ApiError`. An error in a script gets neither a status nor a code.
 * @param {unknown} error
 */
export const toApiError = (error) => (error instanceof ApiError ? error : new ApiError({ message: error instanceof Error ? error.message : String(error) }));

/**
 * Whether a request was aborted.
 * @param {unknown} error
 */
export const isAbort = (error) => error instanceof Error && error.name === 'AbortError';

/**
 * The headers of every request. Error messages come in the language of the page.
 * @param {string} token
 */
const requestHeaders = (token) => ({ Authorization: `Bearer ${token}`, 'Accept-Language': document.documentElement.lang });

/** @param {string} path */
const url = (path) => `${config.basePath}api/${path}`;

const networkError = (hint = texts.errors.networkHint) => new ApiError({ message: texts.errors.network, errorCode: 'network', hint });

/**
 * @param {number} status
 * @param {string} reason
 * @param {string} text
 */
function errorOf(status, reason, text) {
  try {
    const body = JSON.parse(text);
    if (body && typeof body.message === 'string') return new ApiError({ ...body, statusCode: status });
  } catch {
    // Not an error body of this API, for example a page of a proxy.
  }
  const message = reason ? texts.errors.unexpectedAnswerReason({ status, reason }) : texts.errors.unexpectedAnswer({ status });
  return new ApiError({ statusCode: status, message });
}

/**
 * @param {string} path
 * @param {RequestInit & { headers?: Record<string, string> }} [options]
 * @returns {Promise<Response>}
 */
async function send(path, options = {}) {
  let token = await ensureToken();
  for (let attempt = 1; ; attempt += 1) {
    let response;
    try {
      response = await fetch(url(path), {
        ...options,
        headers: { ...options.headers, ...requestHeaders(token) },
        cache: 'no-store',
        credentials: 'same-origin',
      });
    } catch (error) {
      if (isAbort(error)) throw error;
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

/**
 * @param {Response} response
 * @returns {Promise<unknown>}
 */
async function json(response) {
  try {
    return await response.json();
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError({ statusCode: response.status, message: texts.errors.unreadableAnswer });
  }
}

/**
 * GET below `/api/`. A `background` request (polling) does not extend the idle timeout of the session.
 * @template {string} Path
 * @param {PathOf<'get', Path>} path
 * @param {{ signal?: AbortSignal, background?: boolean }} [options]
 */
export const get = async (path, { signal, background = false } = {}) =>
  /** @type {ResponseBody<'get', Path>} */ (await json(await send(path, { signal, headers: background ? { 'X-Background': '1' } : {} })));

/**
 * A request with a JSON body, or without one.
 * @param {string} method
 * @param {unknown} [body]
 * @param {AbortSignal} [signal]
 */
function jsonOptions(method, body, signal) {
  /** @type {RequestInit & { headers?: Record<string, string> }} */
  const options = { method, signal };
  if (body !== undefined) {
    options.headers = { 'Content-Type': 'application/json' };
    options.body = JSON.stringify(body);
  }
  return options;
}

/**
 * POST below `/api/`, with a JSON body if given.
 * @template {string} Path
 * @param {PathOf<'post', Path>} path
 * @param {RequestBody<'post', Path>} [body]
 * @param {{ signal?: AbortSignal }} [options]
 */
export const post = async (path, body, { signal } = {}) =>
  /** @type {ResponseBody<'post', Path>} */ (await json(await send(path, jsonOptions('POST', body, signal))));

/**
 * Inspects the beginning of a file before an import.
 * @param {FormData} form
 * @param {{ signal: AbortSignal }} options
 */
export const inspect = async (form, { signal }) => /** @type {Inspection} */ (await json(await send('import/inspect', { method: 'POST', body: form, signal })));

/**
 * The error report of a job as a stream of bytes.
 * @param {string} path
 * @param {{ signal?: AbortSignal }} [options]
 */
export const stream = async (path, { signal } = {}) => (await send(path, { signal })).body;

/**
 * PUT below `/api/` with a JSON body.
 * @template {string} Path
 * @param {PathOf<'put', Path>} path
 * @param {RequestBody<'put', Path>} body
 */
export const put = async (path, body) => /** @type {ResponseBody<'put', Path>} */ (await json(await send(path, jsonOptions('PUT', body))));

/**
 * POST of a file as the request body.
 * @template {string} Path
 * @param {PathOf<'post', Path>} path
 * @param {Blob} file
 * @param {string} type
 */
export const uploadBytes = async (path, file, type) =>
  /** @type {ResponseBody<'post', Path>} */ (await json(await send(path, { method: 'POST', headers: { 'Content-Type': type }, body: file })));

/**
 * DELETE below `/api/`.
 * @template {string} Path
 * @param {PathOf<'delete', Path>} path
 */
export async function del(path) {
  await send(path, { method: 'DELETE' });
}

/**
 * POST of a form with a file. Uses XMLHttpRequest because `fetch` reports no upload progress.
 * @template {string} Path
 * @param {PathOf<'post', Path>} path
 * @param {FormData} form
 * @param {UploadOptions} options
 * @returns {Promise<ResponseBody<'post', Path>>}
 */
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

/**
 * @param {string} address
 * @param {FormData} form
 * @param {string} token
 * @param {UploadOptions['onProgress']} onProgress
 * @param {AbortSignal} signal
 * @returns {Promise<XMLHttpRequest>}
 */
function transfer(address, form, token, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    request.open('POST', address);
    for (const [name, value] of Object.entries(requestHeaders(token))) request.setRequestHeader(name, value);
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

/**
 * Saves a response as a file, named by its `Content-Disposition` header, else `fallbackName`.
 * @template {string} Path
 * @param {PathOf<'get', Path>} path
 * @param {string} fallbackName
 */
export async function save(path, fallbackName) {
  const response = await send(path);
  const name = /filename="([^"\\/]+)"/.exec(response.headers.get('Content-Disposition') ?? '')?.[1];
  saveBlob(await response.blob(), name ?? fallbackName);
}

/**
 * Lets the browser download from a signed link of the API, which is valid for one minute without a session.
 * @param {string} location
 */
export function follow(location) {
  const target = new URL(location, document.baseURI);
  if (target.protocol !== 'https:' && target.protocol !== 'http:') {
    throw new ApiError({ message: texts.errors.unreadableAnswer });
  }
  window.location.assign(target);
}
