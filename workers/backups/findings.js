/** Findings: problems with a store or with an object in it, in D1. A finding stays open until the problem is resolved. */

/**
 * - `damaged`: the checksum of an object is not the one in its manifest;
 * - `missing`: an object is not in the store;
 * - `lost`: no store has an object with the checksum in its manifest;
 * - `stranded`: the only good copy of an object is in a copy that was removed from `backups.copies` (the finding's store);
 * - `refused`: a manifest is invalid, so that its objects do not count as backups;
 * - `chain`: the manifest before this one is missing, or has another checksum than this one names;
 * - `clock`: a manifest's run finished in the future;
 * - `unread`: the manifests of a group cannot be read;
 * - `conflict`: two manifests list the same object with different checksums;
 * - `incomplete`: a backup cannot be promoted, because manifests do not list all of its WAL; or a promoted backup has no restore
 *   point in common with the other groups';
 * - `oversize`: an object is too large to be read within one invocation, so that it cannot be copied;
 * - `undelivered`: an event of the primary bucket went to the dead-letter queue;
 * - `kept-on`: an object is due for deletion, but could not be deleted;
 * - `stalled`: a store's listing does not continue after this key: later keys are not compared;
 * - `missed`: an event did not arrive; reconciliation copied the object;
 * - `extra`: an object in a copy is neither in the primary nor in a manifest;
 * - `unlisted`: an object in the primary is in no manifest a day after it was stored.
 *
 * @typedef {"damaged" | "missing" | "lost" | "stranded" | "refused" | "chain" | "clock" | "conflict" | "incomplete" | "oversize" |
 *   "undelivered" | "kept-on" | "unread" | "stalled" | "missed" | "extra" | "unlisted"} FindingKind
 */

/** @typedef {{ kind: FindingKind, store: string, key: string, detail: string }} Finding */

/** Kinds that need no action: they are in the report, but raise no alarm. */
export const KINDS_WITHOUT_ALARM = /** @type {const} */ (["extra", "unlisted", "missed"]);

/**
 * Returns the statement that opens a finding, or updates it if it is open.
 *
 * @param {D1Database} db
 * @param {Finding} finding
 * @param {Date} time
 * @returns {D1PreparedStatement}
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
 * Returns the statement that closes the open findings of an object.
 *
 * @param {D1Database} db
 * @param {{ kinds: FindingKind[], key: string, store?: string }} which without `store`: of all stores
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
