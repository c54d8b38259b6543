/** Adds the copies in the binding COPIES to the catalogue, and removes former copies once no object depends on them. */

/** @import { CopyBinding } from "./stores/stores.js" */

/** SQL expression on `objects`: JSON object with `since` and `verifiedAt` for the name of each copy. */
export const COPIES_OF_OBJECT = `(
  SELECT json_group_object(copy, json_object('since', since, 'verifiedAt', verified_at))
  FROM object_copies WHERE object_copies.key = objects.key)`;

/**
 * Adds the copies that are new in COPIES: from now on every object must be in them. Each object becomes due for verification,
 * which copies it there.
 *
 * @param {D1Database} db
 * @param {readonly CopyBinding[]} copies
 * @param {Date} time
 */
export async function addCopies(db, copies, time) {
  const { results } = await db.prepare("SELECT name FROM copies WHERE removed_at IS NULL").run();
  const known = new Set(results.map(({ name }) => name));
  for (const { name } of copies) {
    if (known.has(name)) continue;
    await db.batch(ADD_COPY.map((sql) => db.prepare(sql).bind(name, time.toISOString())));
  }
}

/** Parameters: ?1 is the copy, ?2 the time. */
const ADD_COPY = [
  `INSERT INTO copies (name, since) VALUES (?1, ?2)
   ON CONFLICT (name) DO UPDATE SET since = excluded.since, removed_at = NULL`,
  "INSERT OR IGNORE INTO object_copies (key, copy, since) SELECT key, ?1, ?2 FROM objects",
  `UPDATE objects SET check_after = MIN(check_after, ?2)
   WHERE key IN (SELECT key FROM object_copies WHERE copy = ?1 AND verified_at IS NULL)`,
  `UPDATE findings SET closed_at = ?2, outcome = 'copy added again'
   WHERE closed_at IS NULL AND kind = 'stranded' AND store = ?1`,
];

/**
 * Removes the copies that are no longer in COPIES from the catalogue.
 *
 * An object's row for such a copy is deleted once the object was verified in another copy after the removal. Until then, an
 * object without any other verified copy is a finding (`stranded`). It ends when the copy is listed again or the object ages out.
 *
 * @param {D1Database} db
 * @param {readonly CopyBinding[]} copies
 * @param {Date} time
 */
export async function removeFormerCopies(db, copies, time) {
  const listed = JSON.stringify(copies.map(({ name }) => name));
  const { results } = await db
    .prepare("SELECT name FROM copies WHERE name NOT IN (SELECT value FROM json_each(?))")
    .bind(listed)
    .run();
  for (const { name } of results) await db.batch(removal(db, String(name), listed, time.toISOString()));
}

/** SQL condition on `object_copies`: whether the object was verified in a copy of the list ?2 after a time. */
const VERIFIED_ELSEWHERE = (/** @type {string} */ after) => `EXISTS (
  SELECT 1 FROM object_copies AS other WHERE other.key = object_copies.key AND other.verified_at > ${after}
    AND other.copy IN (SELECT value FROM json_each(?2)))`;

const STRANDED = `SELECT key FROM object_copies WHERE copy = ?1 AND NOT ${VERIFIED_ELSEWHERE("''")}`;

/**
 * @param {D1Database} db
 * @param {string} copy that is no longer in COPIES
 * @param {string} listed JSON list of the names in COPIES
 * @param {string} at ISO 8601
 * @returns {D1PreparedStatement[]} the statements that remove the copy, as far as possible
 */
function removal(db, copy, listed, at) {
  return [
    db.prepare("UPDATE copies SET removed_at = COALESCE(removed_at, ?2) WHERE name = ?1").bind(copy, at),
    db
      .prepare(
        `DELETE FROM object_copies WHERE copy = ?1 AND (
           verified_at IS NULL OR ${VERIFIED_ELSEWHERE("(SELECT removed_at FROM copies WHERE name = ?1)")})`,
      )
      .bind(copy, listed),
    db
      .prepare(
        `INSERT INTO findings (kind, store, key, detail, found_at, seen_at)
         SELECT 'stranded', ?1, key, ?4, ?3, ?3 FROM (${STRANDED}) WHERE true
         ON CONFLICT (kind, store, key) WHERE closed_at IS NULL DO UPDATE SET seen_at = ?3`,
      )
      .bind(copy, listed, at, `the copy ${copy} was removed from backups.copies, and no other copy has these bytes`),
    db
      .prepare(
        `UPDATE findings SET closed_at = ?3, outcome = 'copy removed'
         WHERE closed_at IS NULL AND store = ?1 AND (kind <> 'stranded' OR key NOT IN (${STRANDED}))`,
      )
      .bind(copy, listed, at),
    db
      .prepare("DELETE FROM copies WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM object_copies WHERE copy = ?1)")
      .bind(copy),
  ];
}
