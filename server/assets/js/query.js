// Counts the matching users while the query is typed.

import { get, isAbort, toApiError } from './api.js';

const DELAY_MS = 400;

/**
 * Counts the users that match a query. Returns null if the request was aborted.
 * @param {string} connection
 * @param {string} query
 * @param {AbortSignal} [signal]
 * @returns {Promise<Exclude<Count, { state: 'counting' }> | null>}
 */
export async function countUsers(connection, query, signal) {
  const parameters = new URLSearchParams();
  if (connection) parameters.set('connection', connection);
  if (query) parameters.set('q', query);
  try {
    const answer = await get(`users?${parameters}`, { signal });
    return { state: 'known', total: answer.total, capped: answer.capped === true, remarks: answer.remarks ?? [] };
  } catch (error) {
    return isAbort(error) ? null : { state: 'failed', error: toApiError(error) };
  }
}

/**
 * A counter. Calls `changed` with `{state: 'counting'}`, then with `{state: 'known', total, capped, remarks}` or
 * `{state: 'failed', error}`. The response to an outdated query is dropped.
 * @param {(count: Count) => void} changed
 */
export function counter(changed) {
  /** @type {Timer} */
  let timer = 0;
  /** @type {AbortController | null} */
  let running = null;

  /**
   * @param {string} connection
   * @param {string} query
   */
  async function count(connection, query) {
    running = new AbortController();
    const { signal } = running;
    const answer = await countUsers(connection, query, signal);
    if (answer && !signal.aborted) changed(answer);
  }

  return {
    /**
     * Counts again, after a pause in typing unless `now`.
     * @param {string} connection
     * @param {string} query
     * @param {Timing} [timing]
     */
    ask(connection, query, { now = false } = {}) {
      clearTimeout(timer);
      running?.abort();
      changed({ state: 'counting' });
      timer = setTimeout(() => count(connection, query), now ? 0 : DELAY_MS);
    },
  };
}
