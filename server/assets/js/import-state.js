// The state of the Import page and what follows from it: pure functions.

/**
 * The state: the files that will be sent, whether a job is followed, whether a start waits for the inspection of the
 * files, and whether files are being uploaded.
 * @typedef {{ files: ChosenFile[], running: boolean, waiting: boolean, uploading: boolean }} ImportState
 */

/** @typedef {{ upsert: boolean, backup: boolean, email: boolean, dropEmpty: boolean, dropUnknown: boolean, dropReadOnly: boolean, keepPrefix: boolean }} ImportOptions */

/** @returns {ImportState} */
export const initialState = () => ({ files: [], running: false, waiting: false, uploading: false });

/**
 * The options of a form that is filled from a draft. Updating existing users cannot be undone, so it is chosen for each
 * import, and its backup is on unless the user switches it off for this import.
 * @param {ImportDraft} draft
 * @returns {ImportOptions}
 */
export const restoredOptions = ({ email, dropEmpty, dropUnknown, dropReadOnly, keepPrefix }) => ({
  upsert: false,
  backup: true,
  email: email === true,
  dropEmpty: dropEmpty === true,
  dropUnknown: dropUnknown === true,
  dropReadOnly: dropReadOnly === true,
  keepPrefix: keepPrefix === true,
});

/**
 * The options that a draft keeps.
 * @param {ImportOptions} options
 * @returns {Pick<ImportDraft, 'email' | 'dropEmpty' | 'dropUnknown' | 'dropReadOnly' | 'keepPrefix'>}
 */
export const storedOptions = ({ email, dropEmpty, dropUnknown, dropReadOnly, keepPrefix }) => ({ email, dropEmpty, dropUnknown, dropReadOnly, keepPrefix });

/**
 * What the page shows: whether its fields are disabled, the sample and the button "Clear".
 * @param {ImportState} state
 * @param {boolean} hasResult
 */
export const importView = ({ files, running }, hasResult) => ({
  isDisabled: running,
  showsSample: files.length === 0,
  showsClear: !running && (files.length > 0 || hasResult),
});

/**
 * What prevents a start, the first obstacle on the page; null if nothing does. A check sends nothing to Auth0, so it
 * needs no connection.
 * @param {{ files: number, isUnusable: boolean, isMapped: boolean, connection: string, dryRun: boolean }} form
 * @returns {'files' | 'unusable' | 'mapping' | 'connection' | null}
 */
export function obstacleOf({ files, isUnusable, isMapped, connection, dryRun }) {
  if (files === 0) return 'files';
  if (isUnusable) return 'unusable';
  if (!isMapped) return 'mapping';
  return connection || dryRun ? null : 'connection';
}
