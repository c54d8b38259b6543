/**
 * Gives the promoted full backups of all groups one restore point: the first one that was made in all groups after all of
 * these backups had ended. The WAL of each group up to that point is added to its promoted backup once manifests list it.
 */

import { open } from "./findings.js";
import { timeOfPoint } from "./manifest.js";
import { INSERT_COPIES } from "./promotion.js";
import { DAY, PROMOTED, segmentNumber, segmentsBetween, timelineFilePosition, timelineOf } from "./rotation.js";

/** @import { Manifest } from "./manifest.js" */

/** Points are kept in the catalogue for this long; those of promoted backups, as long as the backups. */
const KEPT = 4 * DAY;

/** After a day without the point, or without the WAL up to it, a finding is opened; after another day it is no longer awaited. */
const AWAITED = 2 * DAY;

/** Candidates that are compared at once. Nearly always the first one is right. */
const CANDIDATES = 100;

/**
 * @typedef {object} Member a promoted full backup
 * @property {string} class
 * @property {string} period
 * @property {string} grp
 * @property {string} run
 * @property {string | null} point
 * @property {string | null} settledAt
 * @property {string} finishedAt
 * @property {number} history
 * @property {string} walFirst
 * @property {string} walLast
 */

/** @typedef {Map<string, Record<string, string>>} Points the last WAL segment that each point needs, by group, by the point's name */

/**
 * @param {D1Database} db
 * @param {Manifest} manifest
 * @returns {D1PreparedStatement[]} add the restore points that a manifest lists
 */
export function recordPoints(db, { group, run, points = [] }) {
  if (points.length === 0) return [];
  const rows = points.map(({ name, segments }) => ({ name, at: new Date(timeOfPoint(name)).toISOString(), segments }));
  return [db.prepare(INSERT_POINTS).bind(JSON.stringify(rows), group, run)];
}

const INSERT_POINTS = `
  INSERT OR IGNORE INTO points (name, grp, run, at, segments)
  SELECT value->>'name', ?2, ?3, value->>'at', value->'segments' FROM json_each(?1)`;

/**
 * Advances every promoted backup that waits for its point or for WAL.
 *
 * @param {D1Database} db
 * @param {readonly string[]} groups that are backed up: a point must be in all of them
 * @param {Date} time
 */
export async function settlePoints(db, groups, time) {
  const { results } = /** @type {D1Result<Member>} */ (await db.prepare(WAITING).run());
  const firstRuns = results.length === 0 ? new Map() : await firstRunsOf(db);
  for (const members of Map.groupBy(results, ({ class: name, period }) => `${name}/${period}`).values()) {
    await settle(db, { members, groups, firstRuns }, time);
  }
  await db.batch([
    db.prepare(DELETE_POINTS).bind(new Date(time.getTime() - KEPT).toISOString()),
    db.prepare(CLOSE_OF_REMOVED_GROUPS).bind(time.toISOString(), JSON.stringify(groups), JSON.stringify(PROMOTED)),
  ]);
}

/** All members of the periods in which one is not settled. */
const WAITING = `
  SELECT class, period, grp, run, point, settled_at AS settledAt, finished_at AS finishedAt, history,
    wal_first AS walFirst, wal_last AS walLast
  FROM promotions JOIN manifests USING (grp, run)
  WHERE (class, period) IN (SELECT class, period FROM promotions WHERE settled_at IS NULL)
  ORDER BY period, class, grp`;

const DELETE_POINTS = `
  DELETE FROM points WHERE at < ? AND name NOT IN (SELECT point FROM promotions WHERE point IS NOT NULL)`;

const CLOSE_OF_REMOVED_GROUPS = `
  UPDATE findings SET closed_at = ?1, outcome = 'group removed'
  WHERE closed_at IS NULL AND kind = 'incomplete' AND substr(key, 1, instr(key, '/') - 1) IN (SELECT value FROM json_each(?3))
    AND NOT EXISTS (SELECT 1 FROM json_each(?2) WHERE instr(findings.key, '/' || value || '/') > 0)`;

/**
 * @param {D1Database} db
 * @returns {Promise<Map<string, string>>} the end of each group's oldest known run
 */
async function firstRunsOf(db) {
  const { results } = await db.prepare("SELECT grp, MIN(finished_at) AS at FROM manifests GROUP BY grp").run();
  return new Map(results.map(({ grp, at }) => [String(grp), String(at)]));
}

/** @typedef {{ members: Member[], groups: readonly string[], firstRuns: Map<string, string> }} Period of a class */

/**
 * Chooses the point of one period's backups, and settles those whose WAL is complete.
 *
 * @param {D1Database} db
 * @param {Period} period
 * @param {Date} time
 */
async function settle(db, period, time) {
  const { members, groups, firstRuns } = period;
  const expected = await pointOf(db, period, time);
  if (expected === undefined) return;
  const { name, segments } = expected ?? NO_POINT;
  const at = name === null ? null : new Date(timeOfPoint(name));
  for (const member of members.filter(({ settledAt }) => settledAt === null)) {
    const { grp, finishedAt, walLast } = member;
    const segment = segments[grp];
    if (at === null || name === null) {
      const late = time.getTime() - latestEnd(members).getTime();
      if (late >= AWAITED) await miss(db, member, groups, "no restore point of all groups was made within a day", time);
      else if (late >= DAY) await warn(db, member, groups, "no manifests list a restore point of all groups yet", time);
    } else if (segment === undefined || !isAfter(member, at) || !reaches(segment, walLast)) {
      const isNew = (firstRuns.get(grp) ?? finishedAt) >= at.toISOString();
      const why = `it ended after ${name}, the restore point of the other groups' backups`;
      await miss(db, member, isNew ? [] : groups, why, time);
    } else {
      await addWal(db, member, groups, { name, segment, at }, time);
    }
  }
}

/** @type {{ name: null, segments: Record<string, string> }} */
const NO_POINT = { name: null, segments: {} };

/**
 * @typedef {{ name: string, segments: Record<string, string> } | null} Choice a point with the segments that it needs; null
 *   while there is none
 */

/**
 * @param {D1Database} db
 * @param {Period} period
 * @param {Date} time
 * @returns {Promise<Choice | undefined>} the point that was chosen for other backups of the period, or the first one after all
 *   of them; undefined while the backup of a group may still come
 */
async function pointOf(db, { members, groups, firstRuns }, time) {
  const chosen = members.find(({ point }) => point !== null)?.point;
  if (chosen != null) return { name: chosen, segments: (await segmentsOf(db, [chosen])).get(chosen) ?? {} };
  const limit = new Date(Math.min(...members.map(({ finishedAt }) => Date.parse(finishedAt))) + DAY);
  const absent = absentGroups(members, groups, firstRuns, limit);
  if (absent.length > 0) {
    if (time < limit) return undefined;
    for (const group of absent) await warnOfAbsence(db, group, members, time);
  }
  const current = members.filter(({ grp }) => groups.includes(grp));
  const after = latestEnd(current.length > 0 ? current : members);
  const names = await candidates(db, current, after);
  const points = await segmentsOf(db, names);
  const name = firstUsable(points, names, current);
  return name === undefined ? null : { name, segments: points.get(name) ?? {} };
}

/**
 * Returns the groups whose full backup of the period is missing. A group without an older run than the others' backups is new.
 *
 * @param {readonly Member[]} members
 * @param {readonly string[]} groups
 * @param {ReadonlyMap<string, string>} firstRuns
 * @param {Date} limit
 * @returns {string[]}
 */
export function absentGroups(members, groups, firstRuns, limit) {
  const present = new Set(members.map(({ grp }) => grp));
  return groups.filter((grp) => !present.has(grp) && (firstRuns.get(grp) ?? "~") < limit.toISOString());
}

/**
 * @param {Points} points
 * @param {readonly string[]} names in the order of time
 * @param {readonly Pick<Member, "grp" | "walLast">[]} members
 * @returns {string | undefined} the first point to which all of these backups can be restored
 */
export function firstUsable(points, names, members) {
  return names.find((name) =>
    members.every(({ grp, walLast }) => {
      const segment = points.get(name)?.[grp];
      return segment !== undefined && reaches(segment, walLast);
    }),
  );
}

/**
 * @param {string} segment
 * @param {string} walLast last WAL segment that makes a backup consistent
 * @returns {boolean} whether the segment is the same or a later one
 */
function reaches(segment, walLast) {
  return timelineOf(segment) >= timelineOf(walLast) && segmentNumber(segment) >= segmentNumber(walLast);
}

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
export function missingWal({ walFirst: first, walLast }, last, listed) {
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
 * @param {readonly Member[]} members
 * @returns {Date} the end of the last of these backups
 */
function latestEnd(members) {
  return new Date(Math.max(...members.map(({ finishedAt }) => Date.parse(finishedAt))));
}

/**
 * @param {Member} member
 * @param {Date} at
 * @returns {boolean} whether `at` is after the end of the backup
 */
function isAfter({ finishedAt }, at) {
  return at.getTime() > Date.parse(finishedAt);
}

/**
 * @param {D1Database} db
 * @param {readonly Member[]} members
 * @param {Date} after
 * @returns {Promise<string[]>} the first points within a day after a time for which manifests list a segment of every group
 */
async function candidates(db, members, after) {
  const groups = JSON.stringify(members.map(({ grp }) => grp));
  const until = new Date(after.getTime() + DAY);
  const { results } = await db.prepare(COMMON).bind(after.toISOString(), until.toISOString(), groups).run();
  return results.map(({ name }) => String(name));
}

const COMMON = `
  SELECT name FROM points CROSS JOIN json_each(points.segments) AS listed
  WHERE at > ?1 AND at <= ?2 AND listed.key IN (SELECT value FROM json_each(?3))
  GROUP BY at, name HAVING COUNT(DISTINCT listed.key) = json_array_length(?3) ORDER BY at, name LIMIT ${CANDIDATES}`;

/**
 * @param {D1Database} db
 * @param {string[]} names
 * @returns {Promise<Points>} of several manifests that list a segment of one group, the last segment
 */
async function segmentsOf(db, names) {
  const { results } = await db
    .prepare("SELECT name, segments FROM points WHERE name IN (SELECT value FROM json_each(?))")
    .bind(JSON.stringify(names))
    .run();
  /** @type {Points} */
  const points = new Map();
  for (const row of results) {
    const known = points.get(String(row.name)) ?? {};
    for (const [group, segment] of Object.entries(JSON.parse(String(row.segments)))) {
      known[group] = (known[group] ?? "") > segment ? /** @type {string} */ (known[group]) : segment;
    }
    points.set(String(row.name), known);
  }
  return points;
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
async function addWal(db, member, groups, { name, segment, at }, time) {
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

/**
 * Ends the wait for a backup's point: the backup stays without one.
 *
 * @param {D1Database} db
 * @param {Member} member
 * @param {readonly string[]} groups for which a finding is opened
 * @param {string} why
 * @param {Date} time
 */
async function miss(db, member, groups, why, time) {
  await db.batch([
    db
      .prepare("UPDATE promotions SET point = NULL, segment = NULL WHERE class = ?1 AND grp = ?2 AND run = ?3")
      .bind(member.class, member.grp, member.run),
    settled(db, member, time),
  ]);
  await warn(db, member, groups, why, time);
}

/**
 * @param {D1Database} db
 * @param {Member} member
 * @param {Date} time
 * @returns {D1PreparedStatement}
 */
function settled(db, { class: folder, grp, run }, time) {
  return db
    .prepare("UPDATE promotions SET settled_at = ?4 WHERE class = ?1 AND grp = ?2 AND run = ?3")
    .bind(folder, grp, run, time.toISOString());
}

/**
 * Opens the finding that a backup has no point; none for a group that is not in `groups`.
 *
 * @param {D1Database} db
 * @param {Member} member
 * @param {readonly string[]} groups
 * @param {string} why
 * @param {Date} time
 */
async function warn(db, { class: folder, grp, run }, groups, why, time) {
  if (!groups.includes(grp)) return;
  const detail = `${why}; this backup can be restored by itself, but not to the same point as the other groups. The finding ends with the group's next backup that has a point`;
  await open(db, { kind: "incomplete", store: "primary", key: `${folder}/${grp}/${run}/`, detail }, time).run();
}

/**
 * @param {D1Database} db
 * @param {string} group
 * @param {readonly Member[]} members
 * @param {Date} time
 */
async function warnOfAbsence(db, group, members, time) {
  const [{ class: folder, period }] = /** @type {[Member]} */ (members);
  const detail = `the group has no full backup of ${period}, so the other groups' backups get a restore point without it. See journalctl -u 'backbuild-backup@*' on the group's leader`;
  await open(db, { kind: "incomplete", store: "primary", key: `${folder}/${group}/`, detail }, time).run();
}
