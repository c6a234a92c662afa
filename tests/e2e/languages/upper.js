/** Large letters. */
export function apply(literals, rows) {
  return rows.map((row) => {
    let next = 0;
    const [value] = literals.map((literal) => (literal === undefined ? row[next++] : literal));
    if (value.tag === "text") return { tag: "ok", val: { tag: "text", val: value.val.toUpperCase() } };
    if (value.tag === "nothing") return { tag: "ok", val: value };
    return { tag: "err", val: { message: "text is expected" } };
  });
}
