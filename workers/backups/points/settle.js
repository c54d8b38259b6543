/**
 * Gives the promoted full backups of all groups one restore point: the first one that was made in all groups after all of
 * these backups had ended. The WAL of each group up to that point is added to its promoted backup once manifests list it.
 */

import { timeOfPoint } from "../manifest.js";
import { DAY, PROMOTED } from "../rotation.js";
import { latestEnd, pointOf, reaches } from "./choice.js";
import { miss, warn } from "./outcome.js";
import { AWAITED, addWal } from "./wal.js";

/** @import { Manifest } from "../manifest.js" */
/** @import { Member, Period } from "./choice.js" */

/** Points are kept in the catalogue for this long; those of promoted backups, as long as the backups. */
const KEPT = 4 * DAY;

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
 * @param {Member} member
 * @param {Date} at
 * @returns {boolean} whether `at` is after the end of the backup
 */
function isAfter({ finishedAt }, at) {
  return at.getTime() > Date.parse(finishedAt);
}
