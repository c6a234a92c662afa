// The state of the Export page and what follows from it: pure functions.

import { number } from './format.js';
import { texts } from './texts.js';

/** Auth0 counts up to this number. A smaller capped number is the number of matches in a sample of users. */
const COUNT_LIMIT = 1000;

/**
 * The state: the connections by id, whether an export is followed, the number of matching users (see `counter` in
 * query.js), the query of the last count request, the transform versions that the settings of the form are pinned to
 * (see `pinsOf`), and the server's remarks on a sort expression.
 * @typedef {object} ExportState
 * @property {Map<string, Connection>} connections
 * @property {boolean} running
 * @property {Count} count
 * @property {string | null} countedQuery
 * @property {{ [name: string]: string }} pins
 * @property {{ sort: string, remarks: string[] }} sortRemarks
 */

/** @returns {ExportState} */
export const initialState = () => ({
  connections: new Map(),
  running: false,
  count: { state: 'counting' },
  countedQuery: null,
  pins: {},
  sortRemarks: { sort: '', remarks: [] },
});

/**
 * What the page shows of the count: its figure and words, the label of the start button and why it is disabled, the
 * error of the query and the remarks on it.
 * @param {Pick<ExportState, 'running' | 'count'>} state
 * @param {string} query
 */
export function countView({ running, count }, query) {
  const view = {
    figure: '',
    words: '',
    button: texts.export.button,
    isDisabled: running,
    note: running ? texts.export.running : '',
    /** @type {import('./api.js').ApiError | null} */
    error: null,
    /** @type {QueryRemark[]} */
    remarks: [],
  };
  if (count.state === 'counting') return { ...view, words: texts.export.counting };
  if (count.state === 'failed') {
    const { error } = count;
    const isQuery = error.status === 400;
    return { ...view, words: `${texts.export.notCounted}${isQuery ? '' : ` ${error.message}`}`, error: isQuery ? error : null };
  }
  const { total, capped, remarks = [] } = count;
  if (capped && total < COUNT_LIMIT) {
    const least = total > 0 && texts.export.atLeast({ count: total });
    return { ...view, words: [least, texts.export.uncounted].filter(Boolean).join(' '), remarks };
  }
  if (total === 0) return { ...view, words: texts.export.noMatch, button: texts.export.buttonNothing, isDisabled: true, remarks };
  const figure = capped ? '1000+' : number(total);
  return {
    ...view,
    figure,
    words: query === '' ? texts.export.everyone({ count: total }) : texts.export.matching({ count: total }),
    button: capped ? texts.export.buttonCapped : texts.export.buttonCount({ count: total }),
    remarks,
  };
}

/**
 * The remarks on a query that must be confirmed: it probably finds more users than its author expects.
 * @param {Count} count
 */
export const wideRemarks = (count) => (count.state === 'known' ? (count.remarks ?? []).filter(({ widens }) => widens) : []);
