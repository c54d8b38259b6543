/** The WAL of a promoted backup up to its restore point: what is missing of it, and how it is added. */

import { INSERT_COPIES } from "../promotion.js";
import { DAY, PROMOTED, segmentNumber, segmentsBetween, timelineFilePosition, timelineOf } from "../rotation.js";
import { miss, settled, warn } from "./outcome.js";

/** @import { Member } from "./choice.js" */

/** After a day without the point, or without the WAL up to it, a finding is opened; after another day it is no longer awaited. */
export const AWAITED = 2 * DAY;

/**
 * Counts the WAL files that are missing for a restore of the segments from `first` to `last`. After a promotion the WAL goes on
 * in another timeline, so each position is needed of the newest timeline that has it, and the last timeline's history file too.
 *
 * A group that was restored to an earlier point goes on in a timeline that does not contain the backup. Then the backup's own last
 * segment counts as missing.
 *
 * @param {{ walFirst: string, walLast: string }} backup
 * @param {string} last segment of the restore
 * @param {readonly string[]} listed positions of WAL files as in the catalogue, from `walFirst` to `last`
 * @returns {number}
 */
function missingWal({ walFirst: first, walLast }, last, listed) {
  const files = new Set(listed);
  let timeline = timelineOf(last);
  const history = timeline === timelineOf(first) || files.has(timelineFilePosition(timeline)) ? 0 : 1;
  const segments = listed.filter((name) => name.length === 24);
  const byNumber = Map.groupBy(segments, segmentNumber);
  let found = 0;
  for (const number of [...byNumber.keys()].sort((one, other) => other - one)) {
    const timelines = (byNumber.get(number) ?? []).map(timelineOf).sort();
    const newest = timelines.findLast((one) => one <= timeline);
    if (newest === undefined || (number === segmentNumber(last) && newest !== timeline)) continue;
    if (number === segmentNumber(walLast) && newest !== timelineOf(walLast)) continue;
    timeline = newest;
    found += 1;
  }
  return segmentsBetween(first, last) - found + history;
}

/**
 * Adds the WAL that manifests list so far to a promoted backup, and settles it if the WAL is complete.
 *
 * @param {D1Database} db
 * @param {Member} member
 * @param {readonly string[]} groups
 * @param {{ name: string, segment: string, at: Date }} point
 * @param {Date} time
 */
export async function addWal(db, member, groups, { name, segment, at }, time) {
  const { class: folder, grp, run, history, walFirst } = member;
  const range = [grp, history, walFirst, segment];
  const now = time.toISOString();
  const [listed] = await db.batch([
    db.prepare(`SELECT segment FROM objects WHERE ${WAL_OF_POINT}`).bind(...range),
    db.prepare(INSERT_WAL).bind(...range, folder, run, now),
    db.prepare(INSERT_COPIES).bind(folder, grp, run, now),
    db
      .prepare("UPDATE promotions SET point = ?4, segment = ?5 WHERE class = ?1 AND grp = ?2 AND run = ?3")
      .bind(folder, grp, run, name, segment),
  ]);
  const missing = missingWal(
    member,
    segment,
    (listed?.results ?? []).map((row) => String(Object(row).segment)),
  );
  if (missing === 0) {
    await db.batch([
      settled(db, member, time),
      db.prepare(AUDIT).bind(now, folder, grp, run, `the WAL up to the restore point ${name}`),
      db.prepare(CLOSE_FINDINGS).bind(now, grp, JSON.stringify(PROMOTED)),
    ]);
    return;
  }
  const late = time.getTime() - at.getTime();
  const why = `${missing} WAL files up to the restore point ${name} are in no manifest`;
  if (late >= AWAITED) await miss(db, member, groups, why, time);
  else if (late >= DAY) await warn(db, member, groups, why, time);
}

/** Parameters: the group, its history, the first and the last segment. Files of timelines that ended before do no harm. */
const WAL_OF_POINT = `
  grp = ?1 AND class = 'hourly' AND kind = 'wal' AND history = ?2 AND (
    (length(segment) = 24 AND segment BETWEEN ?3 AND ?4 AND substr(segment, 9) BETWEEN substr(?3, 9) AND substr(?4, 9))
    OR (segment LIKE '%~' AND substr(segment, 1, 8) BETWEEN substr(?3, 1, 8) AND substr(?4, 1, 8)))`;

const INSERT_WAL = `
  INSERT OR IGNORE INTO objects
    (key, grp, class, run, manifest, kind, size, sha256, stored_at, history, segment, source, listed_at, check_after)
  SELECT ?5 || '/' || ?1 || '/' || ?6 || '/' || substr(key, length('hourly/') + 1), grp, ?5, ?6, manifest, kind, size, sha256,
    (SELECT finished_at FROM manifests WHERE grp = ?1 AND run = ?6), history, segment, key, ?7, ?7
  FROM objects WHERE ${WAL_OF_POINT}`;

const AUDIT = `
  INSERT INTO audit (at, action, grp, class, run, kind, objects, bytes, reason)
  SELECT ?1, 'promoted', ?3, ?2, ?4, 'wal', COUNT(*), COALESCE(SUM(size), 0), ?5
  FROM objects WHERE grp = ?3 AND class = ?2 AND run = ?4 AND kind = 'wal'`;

/** Closes the findings of a group's earlier backups: they cannot be repaired, and the report shows that they have no point. */
const CLOSE_FINDINGS = `
  UPDATE findings SET closed_at = ?1, outcome = 'a later backup has a point'
  WHERE closed_at IS NULL AND kind = 'incomplete' AND EXISTS (
    SELECT 1 FROM json_each(?3) WHERE instr(findings.key, value || '/' || ?2 || '/') = 1)`;
