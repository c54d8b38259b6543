/** Counts a month's minutes from the samples in D1, and returns the raw samples for recomputation. */

import { ESSENTIAL, PLATFORM } from "./components.js";
import { DAY_MINUTES, MINUTE, minuteOf, spanOf, statement } from "./uptime.js";

/** @import { Day } from "./model.js" */
/** @import { Agreement, Minutes, Span, Statement } from "./uptime.js" */

/**
 * Condition of maintenance that excuses downtime: announced with the promised notice (other maintenance is flagged as an
 * emergency), and of an essential component.
 */
const EXCUSES = `status <> 'cancelled' AND NOT emergency AND EXISTS (
  SELECT 1 FROM json_each(components) WHERE value IN (${ESSENTIAL.map((id) => `'${id}'`).join()}))`;

/** CROSS JOIN makes SQLite begin with the few maintenance windows, so that it reads only samples within them. */
const RECORDED_IN_WINDOWS = `
  SELECT COUNT(*) AS recorded, COALESCE(SUM(status = 'down'), 0) AS down FROM (
    SELECT DISTINCT samples.minute, samples.status
    FROM (SELECT start_minute, end_minute FROM maintenances
          WHERE ${EXCUSES} AND start_minute < ?2 AND end_minute > ?1) AS windows
    CROSS JOIN samples
    WHERE samples.minute >= MAX(windows.start_minute, ?1) AND samples.minute < MIN(windows.end_minute, ?2)
      AND samples.component = '${PLATFORM}')`;

const WINDOWS = `SELECT start_minute, end_minute FROM maintenances
  WHERE ${EXCUSES} AND start_minute < ?2 AND end_minute > ?1 ORDER BY start_minute`;

/** Runs of consecutive minutes with the same state: a month has few runs but tens of thousands of samples. */
const RUNS = `
  SELECT MIN(minute) AS minute, COUNT(*) AS minutes, status FROM (
    SELECT minute, status, minute - ROW_NUMBER() OVER (PARTITION BY status ORDER BY minute) AS run
    FROM samples WHERE component = '${PLATFORM}' AND minute >= ?1 AND minute < ?2)
  GROUP BY status, run ORDER BY minute`;

/**
 * Returns the queries of one month, whose results `statementOf` takes.
 *
 * @param {D1Database | D1DatabaseSession} db
 * @param {string} month `2026-11`
 * @returns {D1PreparedStatement[]}
 */
export function countQueries(db, month) {
  const { from, end } = boundsOf(month);
  return [db.prepare(RECORDED_IN_WINDOWS).bind(from, end), db.prepare(WINDOWS).bind(from, end)];
}

/**
 * @param {string} month `2026-11`
 * @param {{ since: number, horizon: number }} recorded see `recordedOf`
 * @param {readonly Day[]} days of the whole platform, at least all of the month
 * @param {readonly (D1Result<Record<string, any>> | undefined)[]} results of `countQueries`
 * @param {Agreement} agreement
 * @returns {Statement | null} null if no minute of the month is counted
 */
export function statementOf(month, { since, horizon }, days, [inWindows, windows], agreement) {
  const span = spanOf(month, since, horizon);
  if (span === null) return null;
  const { recorded, down: excusedDown } = inWindows?.results[0] ?? { recorded: 0, down: 0 };
  const excused = covered(windows?.results ?? [], span) - recorded + excusedDown;
  const { from, end } = boundsOf(month);
  const ofMonth = days.filter(({ day }) => day * DAY_MINUTES >= from && day * DAY_MINUTES < end);
  const up = sum(ofMonth, ({ ok, degraded }) => ok + degraded);
  const down = sum(ofMonth, (day) => day.down) - excusedDown;
  /** @type {Minutes} */
  const minutes = { up, down, unknown: span.to - span.from - up - down - excused, excused };
  return statement(month, span, minutes, agreement);
}

/**
 * @param {D1Database} db
 * @param {string} month `2026-11`
 * @param {Date} time
 * @param {Agreement} agreement
 * @returns {Promise<object | null>} the published account; null if no sample of the month is stored
 */
export async function accountOf(db, month, time, agreement) {
  const { from, end } = boundsOf(month);
  /** @type {D1Result<Record<string, any>>[]} */
  const [ends, days, runs, maintenances, ...counts] = await db.batch([
    db.prepare(ENDS),
    db
      .prepare(
        `SELECT day, ok, degraded, down, unknown FROM days WHERE component = '${PLATFORM}' AND day >= ? AND day < ?`,
      )
      .bind(from / DAY_MINUTES, end / DAY_MINUTES),
    db.prepare(RUNS).bind(from, end),
    db
      .prepare(
        `SELECT id, title, status, components, emergency, announced_at, start_minute, end_minute FROM maintenances
         WHERE start_minute < ?2 AND end_minute > ?1 ORDER BY start_minute, id`,
      )
      .bind(from, end),
    ...countQueries(db, month),
  ]);
  const recorded = recordedOf(ends, time);
  // A month's account is published only with its samples, so that it can be verified.
  if (recorded === null || end <= recorded.kept) return null;
  const account = statementOf(month, recorded, /** @type {any} */ (days?.results ?? []), counts, agreement);
  if (account === null) return null;
  return {
    month,
    agreement,
    essential: ESSENTIAL,
    statement: account,
    maintenances: maintenances?.results.map((row) => ({
      id: row.id,
      title: row.title,
      status: row.status,
      components: JSON.parse(row.components),
      emergency: row.emergency === 1,
      announcedAt: new Date(row.announced_at).toISOString(),
      startsAt: new Date(row.start_minute * MINUTE).toISOString(),
      endsAt: new Date(row.end_minute * MINUTE).toISOString(),
    })),
    runs: runs?.results.map(({ minute, minutes, status }) => [
      new Date(minute * MINUTE).toISOString(),
      minutes,
      status,
    ]),
  };
}

/** The first and the last minute with a stored sample, and the first stored day: days are kept longer than samples. */
export const ENDS = `SELECT (SELECT MIN(minute) FROM samples) AS first, (SELECT MAX(minute) FROM samples) AS last,
  (SELECT MIN(day) FROM days) AS day`;

/**
 * @param {D1Result<Record<string, any>> | undefined} ends result of `ENDS`
 * @param {Date} time
 * @returns {{ since: number, kept: number, last: number, horizon: number } | null} null before the first sample.
 *   `since`: the first minute ever recorded, or the start of the first day if that sample was deleted; `kept`: the first
 *   minute with a stored sample; `last`: the last one; `horizon`: the first minute that is neither over nor recorded,
 *   and so is not counted.
 */
export function recordedOf(ends, time) {
  const { first: kept = null, last = null, day = null } = ends?.results[0] ?? {};
  if (kept === null) return null;
  const since = day < Math.floor(kept / DAY_MINUTES) ? day * DAY_MINUTES : kept;
  return { since, kept, last, horizon: Math.max(minuteOf(time), last + 1) };
}

/**
 * @param {string} month `2026-11`
 * @returns {{ from: number, end: number }} minutes
 */
function boundsOf(month) {
  const { from, end } = /** @type {Span} */ (spanOf(month, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY));
  return { from, end };
}

/**
 * @param {readonly Record<string, any>[]} windows by start
 * @param {Span} span
 * @returns {number} minutes of the span that lie in any of them
 */
function covered(windows, span) {
  let [total, reached] = [0, span.from];
  for (const { start_minute, end_minute } of windows) {
    const end = Math.min(end_minute, span.to);
    total += Math.max(0, end - Math.max(start_minute, reached));
    reached = Math.max(reached, end);
  }
  return total;
}

/**
 * @template T
 * @param {readonly T[]} items
 * @param {(item: T) => number} value
 * @returns {number}
 */
function sum(items, value) {
  return items.reduce((total, item) => total + value(item), 0);
}
