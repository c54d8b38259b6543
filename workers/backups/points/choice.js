/** Which restore point the promoted backups of one period get: the first one that every group can be restored to. */

import { DAY, segmentNumber, timelineOf } from "../rotation.js";
import { warnOfAbsence } from "./outcome.js";

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

/** @typedef {{ members: Member[], groups: readonly string[], firstRuns: Map<string, string> }} Period of a class */

/** @typedef {Map<string, Record<string, string>>} Points the last WAL segment that each point needs, by group, by the point's name */

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
export async function pointOf(db, { members, groups, firstRuns }, time) {
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
function absentGroups(members, groups, firstRuns, limit) {
  const present = new Set(members.map(({ grp }) => grp));
  return groups.filter((grp) => !present.has(grp) && (firstRuns.get(grp) ?? "~") < limit.toISOString());
}

/**
 * @param {Points} points
 * @param {readonly string[]} names in the order of time
 * @param {readonly Pick<Member, "grp" | "walLast">[]} members
 * @returns {string | undefined} the first point to which all of these backups can be restored
 */
function firstUsable(points, names, members) {
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
export function reaches(segment, walLast) {
  return timelineOf(segment) >= timelineOf(walLast) && segmentNumber(segment) >= segmentNumber(walLast);
}

/**
 * @param {readonly Member[]} members
 * @returns {Date} the end of the last of these backups
 */
export function latestEnd(members) {
  return new Date(Math.max(...members.map(({ finishedAt }) => Date.parse(finishedAt))));
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
