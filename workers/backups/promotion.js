/**
 * Promotes full backups to the daily, monthly and yearly classes: it adds the objects of each class's repository to the
 * catalogue. Verification then copies them there. points/ adds the WAL up to the restore point of all groups later.
 */

import { close, open } from "./findings.js";
import { classesOf, periodOf, segmentsBetween, timelineFilePosition, timelineOf } from "./rotation.js";

/** @import { PromotedClass, Rotation, Run } from "./rotation.js" */

/** @typedef {Run & { grp: string, promoted: string | null }} Full */

/**
 * Decides on the classes of every new full backup.
 *
 * @param {D1Database} db
 * @param {Rotation} rotation
 * @param {Date} time
 * @returns {Promise<number>} number of full backups that were decided on
 */
export async function promote(db, rotation, time) {
  const { results } = /** @type {D1Result<Full>} */ (await db.prepare(FULLS).run());
  let decided = 0;
  for (const full of results) {
    if (full.promoted !== null) continue;
    const others = results
      .filter(({ grp, promoted }) => grp === full.grp && promoted !== null)
      .map(({ run, promoted }) => ({ run, classes: /** @type {string[]} */ (JSON.parse(promoted ?? "[]")) }));
    const classes = classesOf(full, others, rotation, time);
    if (await addToClasses(db, full, classes, time)) {
      full.promoted = JSON.stringify(classes);
      decided += 1;
    }
  }
  return decided;
}

const FULLS = `
  SELECT grp, run, kind, finished_at AS finishedAt, history, wal_first AS walFirst, wal_last AS walLast, promoted
  FROM manifests WHERE kind = 'full' AND EXISTS (SELECT 1 FROM manifests WHERE promoted IS NULL AND kind = 'full')
  ORDER BY run`;

/**
 * Adds a full backup to classes.
 *
 * @param {D1Database} db
 * @param {Full} full
 * @param {PromotedClass[]} classes
 * @param {Date} time
 * @returns {Promise<boolean>} false while WAL for a restore is missing: then a finding is opened, and the next run tries again
 */
async function addToClasses(db, full, classes, time) {
  const { grp, run, history, walFirst, walLast } = full;
  const key = `manifests/${grp}/${run}.json`;
  const wanted = segmentsBetween(walFirst, walLast);
  const found = Number(await db.prepare(SEGMENTS).bind(grp, history, walFirst, walLast).first("segments"));
  if (classes.length > 0 && found < wanted) {
    const detail = `${wanted - found} of the ${wanted} WAL segments that it needs are in no manifest; until they are, the backup is kept in the hourly class only`;
    await open(db, { kind: "incomplete", store: "primary", key, detail }, time).run();
    return false;
  }
  const at = time.toISOString();
  await db.batch([
    ...classes.flatMap((name) => [
      db
        .prepare(INSERT_OBJECTS)
        .bind(name, grp, run, history, walFirst, walLast, timelineFilePosition(timelineOf(walFirst)), at),
      db.prepare(INSERT_PROMOTION).bind(name, periodOf(run, name), grp, run),
      db.prepare(INSERT_COPIES).bind(name, grp, run, at),
      db.prepare(AUDIT).bind(at, grp, name, run),
    ]),
    db
      .prepare("UPDATE manifests SET promoted = ?3 WHERE grp = ?1 AND run = ?2")
      .bind(grp, run, JSON.stringify(classes)),
    close(db, { kinds: ["incomplete"], key }, "resolved", time),
  ]);
  return true;
}

const SEGMENTS = `
  SELECT COUNT(DISTINCT segment) AS segments FROM objects
  WHERE grp = ? AND class = 'hourly' AND history = ? AND segment BETWEEN ? AND ? AND length(segment) = 24`;

/**
 * Inserts the objects of a complete pgBackRest repository below CLASS/GROUP/RUN/: the backup, the WAL that makes it consistent,
 * and both index files.
 */
const INSERT_OBJECTS = `
  INSERT OR IGNORE INTO objects
    (key, grp, class, run, manifest, kind, size, sha256, stored_at, history, segment, source, listed_at, check_after)
  SELECT ?1 || '/' || ?2 || '/' || ?3 || '/' || CASE
      WHEN kind <> 'index' THEN substr(key, length('hourly/') + 1)
      WHEN key LIKE '%/archive.info' THEN 'archive/' || ?2 || '/archive.info'
      ELSE 'backup/' || ?2 || substr(key, length('manifests/' || ?2 || '/' || ?3) + 1)
    END,
    grp, ?1, ?3, manifest, kind, size, sha256,
    (SELECT finished_at FROM manifests WHERE grp = ?2 AND run = ?3), history, segment, key, ?8, ?8
  FROM objects WHERE grp = ?2 AND (
    (class = 'hourly' AND kind = 'backup' AND run = ?3)
    OR (class = 'manifests' AND kind = 'index' AND run = ?3)
    OR (class = 'hourly' AND kind = 'wal' AND history = ?4 AND length(segment) = 24 AND segment BETWEEN ?5 AND ?6)
    OR (class = 'hourly' AND kind = 'wal' AND history = ?4 AND segment = ?7))`;

const INSERT_PROMOTION = "INSERT OR IGNORE INTO promotions (class, period, grp, run) VALUES (?1, ?2, ?3, ?4)";

export const INSERT_COPIES = `
  INSERT OR IGNORE INTO object_copies (key, copy, since)
  SELECT key, copies.name, ?4 FROM objects, copies WHERE class = ?1 AND grp = ?2 AND run = ?3 AND removed_at IS NULL`;

const AUDIT = `
  INSERT INTO audit (at, action, grp, class, run, kind, objects, bytes, reason)
  SELECT ?1, 'promoted', ?2, ?3, ?4, 'full', COUNT(*), COALESCE(SUM(size), 0), 'the first full backup of its period'
  FROM objects WHERE grp = ?2 AND class = ?3 AND run = ?4`;
