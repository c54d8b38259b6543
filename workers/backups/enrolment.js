/** Which copies objects are to be in. The binding COPIES lists them; the catalogue follows, and forgets none too early. */

/** @import { CopyBinding } from "./stores.js" */

/** Of `objects`: JSON, a copy's name to `since` and `verifiedAt`. */
export const COPIES_OF_OBJECT = `(
  SELECT json_group_object(copy, json_object('since', since, 'verifiedAt', verified_at))
  FROM object_copies WHERE object_copies.key = objects.key)`;

/**
 * Has every object be in each listed copy, from now on. An object that a new copy does not have yet is due for verification,
 * which places it.
 *
 * @param {D1Database} db
 * @param {readonly CopyBinding[]} copies
 * @param {Date} time
 */
export async function enrol(db, copies, time) {
  const { results } = await db.prepare("SELECT name FROM copies WHERE removed_at IS NULL").run();
  const known = new Set(results.map(({ name }) => name));
  for (const { name } of copies) {
    if (known.has(name)) continue;
    await db.batch(ENROL.map((sql) => db.prepare(sql).bind(name, time.toISOString())));
  }
}

/** ?1 the copy, ?2 the time. */
const ENROL = [
  `INSERT INTO copies (name, since) VALUES (?1, ?2)
   ON CONFLICT (name) DO UPDATE SET since = excluded.since, removed_at = NULL`,
  "INSERT OR IGNORE INTO object_copies (key, copy, since) SELECT key, ?1, ?2 FROM objects",
  `UPDATE objects SET check_after = MIN(check_after, ?2)
   WHERE key IN (SELECT key FROM object_copies WHERE copy = ?1 AND verified_at IS NULL)`,
  `UPDATE findings SET closed_at = ?2, outcome = 'copy added again'
   WHERE closed_at IS NULL AND kind = 'stranded' AND store = ?1`,
];

/**
 * Forgets of a copy that is listed no more what has been found right in another copy since. What is only there is reported
 * by name and stays known, until somebody puts the copy back or the object ages out.
 *
 * @param {D1Database} db
 * @param {readonly CopyBinding[]} copies
 * @param {Date} time
 */
export async function retire(db, copies, time) {
  const listed = JSON.stringify(copies.map(({ name }) => name));
  const { results } = await db
    .prepare("SELECT name FROM copies WHERE name NOT IN (SELECT value FROM json_each(?))")
    .bind(listed)
    .run();
  for (const { name } of results) await db.batch(forgetting(db, String(name), listed, time.toISOString()));
}

/** Of an object in the copy ?1: whether one of those listed in ?2 has been found right after a time. */
const ELSEWHERE = (/** @type {string} */ after) => `EXISTS (
  SELECT 1 FROM object_copies AS other WHERE other.key = object_copies.key AND other.verified_at > ${after}
    AND other.copy IN (SELECT value FROM json_each(?2)))`;

const STRANDED = `SELECT key FROM object_copies WHERE copy = ?1 AND NOT ${ELSEWHERE("''")}`;

/**
 * @param {D1Database} db
 * @param {string} copy that is listed no more
 * @param {string} listed JSON: those that are
 * @param {string} at
 * @returns {D1PreparedStatement[]}
 */
function forgetting(db, copy, listed, at) {
  return [
    db.prepare("UPDATE copies SET removed_at = COALESCE(removed_at, ?2) WHERE name = ?1").bind(copy, at),
    db
      .prepare(
        `DELETE FROM object_copies WHERE copy = ?1 AND (
           verified_at IS NULL OR ${ELSEWHERE("(SELECT removed_at FROM copies WHERE name = ?1)")})`,
      )
      .bind(copy, listed),
    db
      .prepare(
        `INSERT INTO findings (kind, store, key, detail, found_at, seen_at)
         SELECT 'stranded', ?1, key, ?4, ?3, ?3 FROM (${STRANDED}) WHERE true
         ON CONFLICT (kind, store, key) WHERE closed_at IS NULL DO UPDATE SET seen_at = ?3`,
      )
      .bind(copy, listed, at, `the copy ${copy} is in backups.copies no more, and no other copy has these bytes`),
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
