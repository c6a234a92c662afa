// Counts the matching users while the query is typed.

import { get } from './api.js';

const DELAY_MS = 400;

/**
 * A counter. Calls `changed` with `{state: 'counting'}`, then with `{state: 'known', total, capped}` or
 * `{state: 'failed', error}`. The response to an outdated query is dropped.
 */
export function counter(changed) {
  let timer = 0;
  let running = null;

  async function count(connection, query) {
    running = new AbortController();
    const { signal } = running;
    const parameters = new URLSearchParams();
    if (connection) parameters.set('connection', connection);
    if (query) parameters.set('q', query);
    try {
      const answer = await get(`users?${parameters}`, { signal });
      if (!signal.aborted) changed({ state: 'known', total: answer.total, capped: answer.capped === true });
    } catch (error) {
      if (!signal.aborted && error.name !== 'AbortError') changed({ state: 'failed', error });
    }
  }

  return {
    /** Counts again, after a pause in typing unless `now`. */
    ask(connection, query, { now = false } = {}) {
      clearTimeout(timer);
      running?.abort();
      changed({ state: 'counting' });
      timer = setTimeout(() => count(connection, query), now ? 0 : DELAY_MS);
    },
  };
}
