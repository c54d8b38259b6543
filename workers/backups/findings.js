/** What is wrong with a store or an object in it: opened once, seen again and again, closed when it is right again. */

/**
 * - `damaged`: the bytes are not those that the manifest names;
 * - `missing`: the object is not there;
 * - `lost`: no copy anywhere has the bytes that the manifest names;
 * - `stranded`: the only copy that has them is listed no more (its store is that copy);
 * - `refused`: a manifest that is not believed: nothing of what it lists counts as a backup;
 * - `chain`: a manifest names another one before it than there is;
 * - `clock`: a manifest ends in the future;
 * - `unread`: a group's manifests cannot be read;
 * - `conflict`: two manifests name different bytes for the same object;
 * - `incomplete`: a backup cannot be kept in its classes, for want of WAL;
 * - `oversize`: too large to be copied at once;
 * - `undelivered`: an event ended among the dead letters;
 * - `kept-on`: an object that is to go could not be deleted;
 * - `stalled`: a store says that it lists more and does not come to it: nothing behind the key is compared;
 * - `missed`: an event never came, and the object was copied without it;
 * - `extra`: an object in a copy that the primary does not have and no manifest lists;
 * - `unlisted`: an object in the primary that no manifest lists, a day after it was stored.
 *
 * @typedef {"damaged" | "missing" | "lost" | "stranded" | "refused" | "chain" | "clock" | "conflict" | "incomplete" | "oversize" |
 *   "undelivered" | "kept-on" | "unread" | "stalled" | "missed" | "extra" | "unlisted"} FindingKind
 */

/** @typedef {{ kind: FindingKind, store: string, key: string, detail: string }} Finding */

/** Those that nobody needs to act on today: they are reported and raise no alarm. */
export const NOTES = /** @type {const} */ (["extra", "unlisted", "missed"]);

/**
 * @param {D1Database} db
 * @param {Finding} finding
 * @param {Date} time
 * @returns {D1PreparedStatement} opens it, or sees it again
 */
export function open(db, { kind, store, key, detail }, time) {
  const at = time.toISOString();
  return db
    .prepare(
      `INSERT INTO findings (kind, store, key, detail, found_at, seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
       ON CONFLICT (kind, store, key) WHERE closed_at IS NULL DO UPDATE SET seen_at = ?5, detail = ?4`,
    )
    .bind(kind, store, key, detail, at);
}

/**
 * @param {D1Database} db
 * @param {{ kinds: FindingKind[], key: string, store?: string }} which without `store`: in every one
 * @param {string} outcome
 * @param {Date} time
 * @returns {D1PreparedStatement}
 */
export function close(db, { kinds, key, store }, outcome, time) {
  return db
    .prepare(
      `UPDATE findings SET closed_at = ?1, outcome = ?2
       WHERE closed_at IS NULL AND key = ?3 AND (?4 IS NULL OR store = ?4) AND kind IN (SELECT value FROM json_each(?5))`,
    )
    .bind(time.toISOString(), outcome, key, store ?? null, JSON.stringify(kinds));
}
