// Finds paths of expressions that no known attribute matches, and the attribute that was probably meant.

/** A path: names and indexes, with or without `user` in front. */
const PATH = /^[A-Za-z_$][\w$]*(?:\??\.[A-Za-z_$][\w$]*|\[\d+\]|\["[^"\\]*"\])*$/;

/**
 * A path in the form that paths are compared in: with `user.` in front, all indexes 0, and names after a dot.
 * @param {string} path
 */
function normalized(path) {
  const plain = path
    .replaceAll('?.', '.')
    .replaceAll(/\[\d+\]/g, '[0]')
    .replaceAll(/\["([A-Za-z_$][\w$]*)"\]/g, '.$1');
  return plain === 'user' || plain.startsWith('user.') || plain.startsWith('user[') ? plain : `user.${plain}`;
}

/**
 * The number of edits between two texts: insertions, deletions, replacements and swaps of neighbors.
 * @param {string} one
 * @param {string} other
 */
export function editDistance(one, other) {
  /** @type {number[][]} */
  const rows = [[...Array(other.length + 1).keys()]];
  for (let i = 1; i <= one.length; i += 1) {
    rows.push([i]);
    for (let j = 1; j <= other.length; j += 1) {
      const same = one[i - 1] === other[j - 1];
      let best = Math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (same ? 0 : 1));
      if (i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]) best = Math.min(best, rows[i - 2][j - 2] + 1);
      rows[i].push(best);
    }
  }
  return rows[one.length][other.length];
}

/**
 * The path of an expression that no known attribute matches, with the nearest known one; null if the expression is not
 * a path, or may match. `sampled` are the attributes of a sample of users; without a sample nothing is reported.
 * @param {string} expression
 * @param {{ path: string, type: string }[]} sampled
 * @param {string[]} documented
 * @returns {{ path: string, nearest: string | null } | null}
 */
export function unknownPath(expression, sampled, documented) {
  const path = expression.trim();
  if (sampled.length === 0 || !PATH.test(path)) return null;
  const wanted = normalized(path);
  if (wanted === 'user') return null;
  const known = [...sampled.map((attribute) => attribute.path), ...documented].map(normalized);
  const isPart = known.some((name) => name === wanted || name.startsWith(`${wanted}.`) || name.startsWith(`${wanted}[`));
  // Members of values that are not listed one by one: of lists, and of groups that are too deep.
  const isBelow = sampled.some(({ path: name, type }) => ['array', 'object', 'mixed'].includes(type) && wanted.startsWith(normalized(name)));
  if (isPart || isBelow) return null;
  const [nearest] = known
    .map((name) => ({ name, distance: editDistance(wanted.toLowerCase(), name.toLowerCase()) }))
    .filter(({ name, distance }) => distance <= Math.max(2, Math.ceil((name.length - 'user.'.length) / 4)))
    .sort((a, b) => a.distance - b.distance);
  return { path, nearest: nearest?.name ?? null };
}
