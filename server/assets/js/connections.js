// The select of a database connection.

import { get } from './api.js';
import { fill, h } from './dom.js';
import { errorNotice } from './page.js';
import { config } from './session.js';
import { texts } from './texts.js';

/**
 * Fills a select with the tenant's database connections. `all` offers "All connections" first and enables unusable
 * connections too, because only an import needs a usable one. Errors and notes are shown in `place`. Returns the
 * connections by id.
 * @param {HTMLSelectElement} select
 * @param {HTMLElement} place
 * @param {{ all: boolean, selected?: string }} options
 * @returns {Promise<Map<string, Connection>>}
 */
export async function fillConnections(select, place, { all, selected = '' }) {
  select.disabled = true;
  fill(place);
  if (!all) fill(select, h('option', { value: '' }, texts.connections.loading));
  /** @type {Connection[]} */
  let list;
  try {
    list = await get('connections?strategy=auth0');
  } catch (error) {
    if (!all) fill(select, h('option', { value: '' }, texts.connections.failed));
    return new Promise((resolve) => {
      fill(
        place,
        errorNotice(error, () => resolve(fillConnections(select, place, { all, selected }))),
      );
    });
  }
  list.sort((a, b) => a.name.localeCompare(b.name));
  const first = all ? texts.connections.all : list.length ? texts.connections.choose : texts.connections.none;
  fill(
    select,
    h('option', { value: '' }, first),
    list.map((connection) => {
      const reason = all ? null : unusable(connection);
      const label = reason ? texts.connections.unusable({ name: connection.name }) : connection.name;
      return h('option', { value: connection.id, disabled: Boolean(reason) }, label);
    }),
  );
  select.value = list.some((connection) => connection.id === selected && (all || !unusable(connection))) ? selected : '';
  select.disabled = list.length === 0 && !all;
  if (list.length === 0 && !all) {
    fill(
      place,
      h(
        'p',
        { class: 'help' },
        texts.connections.noneHint,
        ' ',
        h('a', { href: config.manageUrl, target: '_blank', rel: 'noopener' }, texts.session.dashboard),
      ),
    );
  }
  const unusables = all ? [] : list.filter(unusable);
  if (unusables.length > 0) {
    fill(
      place,
      h(
        'details',
        { class: 'more' },
        h('summary', {}, texts.connections.whyUnusable({ count: unusables.length })),
        h(
          'ul',
          { class: 'reasons' },
          unusables.map((connection) => h('li', {}, h('strong', {}, `${connection.name}:`), ' ', unusable(connection))),
        ),
      ),
    );
  }
  return new Map(list.map((connection) => [connection.id, connection]));
}

/** @param {Connection} connection */
function unusable(connection) {
  if (!connection.unusable) return null;
  return typeof connection.unusable === 'string' ? connection.unusable : texts.connections.unusableUnknown;
}
