/** What happens every minute: look, record, judge, say. Delivering what was said is the outbox's (notify/). */

import { stamp } from "../lib/times.js";
import { moveMaintenance, openIncident, UNTIL, updateIncident } from "./announcements.js";
import { PLATFORM } from "./components.js";
import { IMPACTS, judge, LOOK_BACK_MINUTES } from "./judge.js";
import { MINUTE, minuteOf } from "./uptime.js";

/** @import { Open, Sample, Verdict } from "./judge.js" */
/** @import { Component } from "./model.js" */
/** @import { Probe } from "./probe.js" */

/** Raw samples prove a year's statements, and go by whole months: none is left with a part of its proof. */
const KEEP_MONTHS = 13;

/** The probes' own words are named by their incident; an operator's are not. */
const OPEN = `
  SELECT id, automatic, impact, components, (
    SELECT MAX(impact) FROM updates WHERE updates.subject = incidents.id AND updates.id LIKE incidents.id || '-%'
  ) AS seen FROM incidents WHERE resolved_at IS NULL`;

/** @typedef {{ id: string, status: "scheduled" | "in_progress", start_minute: number, end_minute: number }} Due */

/**
 * Two transactions: what was seen, and what is said of it. Whoever falls between them loses nothing, because the next
 * minute judges the same samples. A minute that was recorded before is left as it is.
 *
 * @param {D1Database} db
 * @param {readonly Component[]} components
 * @param {Probe} seen
 * @param {Date} time
 */
export async function tick(db, components, seen, time) {
  const { samples, incidents, maintenances, newest } = await record(db, seen, time);
  // A call that comes after later ones has nothing to add to what they said.
  if (minuteOf(time) < newest) return;
  const words = [
    ...maintenances.flatMap((maintenance) => onTime(db, maintenance, time)),
    ...spoken(db, judge(components, samples, incidents), components, time),
  ];
  if (words.length > 0) await db.batch(words);
}

/**
 * @param {D1Database} db
 * @param {Probe} seen
 * @param {Date} time
 * @returns {Promise<{ samples: Sample[], incidents: Open[], maintenances: Due[], newest: number }>} what there is to judge
 *   by, and the newest minute that is recorded
 */
async function record(db, seen, time) {
  const minute = minuteOf(time);
  const insert = db.prepare("INSERT OR IGNORE INTO samples (minute, component, status) VALUES (?, ?, ?)");
  const states = Object.entries({ [PLATFORM]: seen.status, ...seen.components });
  const [samples, incidents, maintenances, ends] = /** @type {D1Result<Record<string, any>>[]} */ (
    await db.batch([
      ...states.map(([component, status]) => insert.bind(minute, component, status)),
      db.prepare("DELETE FROM samples WHERE minute < ?").bind(firstKept(time)),
      db
        .prepare("SELECT component, minute, status FROM samples WHERE minute > ? AND minute <= ?")
        .bind(minute - LOOK_BACK_MINUTES, minute),
      db.prepare(OPEN),
      db.prepare(
        `SELECT id, status, start_minute, ${UNTIL("maintenances")} AS end_minute FROM maintenances
         WHERE status IN ('scheduled', 'in_progress')`,
      ),
      db.prepare("SELECT MAX(minute) AS newest FROM samples"),
    ])
  ).slice(-4);
  return {
    samples: /** @type {Sample[]} */ (samples?.results ?? []),
    incidents: (incidents?.results ?? []).map(({ id, automatic, impact, seen, components }) => ({
      id,
      automatic: automatic === 1,
      impact,
      seen: seen ?? 0,
      components: JSON.parse(components),
    })),
    maintenances: /** @type {Due[]} */ (maintenances?.results ?? []),
    newest: ends?.results[0]?.newest,
  };
}

/**
 * @param {Date} time
 * @returns {number} minute
 */
function firstKept(time) {
  return Date.UTC(time.getUTCFullYear(), time.getUTCMonth() - KEEP_MONTHS) / MINUTE;
}

/**
 * @param {D1Database} db
 * @param {Due} maintenance
 * @param {Date} time
 * @returns {D1PreparedStatement[]} its beginning, its end, or (when nobody looked in between) both
 */
function onTime(db, { id, status, start_minute, end_minute }, time) {
  const minute = minuteOf(time);
  /** @type {D1PreparedStatement[]} */
  const moves = [];
  if (status === "scheduled" && start_minute <= minute) {
    const body = `The work has begun. It is planned to end at ${stamp(new Date(end_minute * MINUTE))}.`;
    moves.push(...moveMaintenance(db, id, { id: `${id}-started`, status: "in_progress", body }, time));
  }
  if (end_minute <= minute) {
    const body = "The planned time is over.";
    // Said after its beginning, also when both are said now.
    const later = new Date(time.getTime() + moves.length);
    moves.push(...moveMaintenance(db, id, { id: `${id}-completed`, status: "completed", body }, later));
  }
  return moves;
}

/**
 * @param {D1Database} db
 * @param {Verdict} verdict
 * @param {readonly Component[]} components
 * @param {Date} time
 * @returns {D1PreparedStatement[]}
 */
function spoken(db, { open, raise, close }, components, time) {
  const nameOf = new Map(components.map(({ id, name }) => [id, name]));
  return [
    ...close.flatMap(({ id }) =>
      updateIncident(db, id, { id: `${id}-resolved`, status: "resolved", body: "Our checks pass again." }, time),
    ),
    ...raise.flatMap(({ id, impact }) => {
      const body = "It has become worse: our checks now fail altogether.";
      return updateIncident(db, id, { id: `${id}-${IMPACTS[impact]}`, status: "investigating", body }, time, {
        impact,
      });
    }),
    ...open.flatMap(({ component, impact, since, flapping }) => {
      const title = `${nameOf.get(component)} ${impact === 1 ? "is degraded" : "is not available"}`;
      const failing = flapping
        ? "Our checks fail again and again."
        : `Our checks have not passed since ${stamp(new Date(since * MINUTE))}.`;
      const body = `${failing} We are looking into it.`;
      // Whoever else sees this failure makes the same incident of it.
      const id = `${component}-${since}`;
      return openIncident(
        db,
        { id, title, impact, components: [component], automatic: true, startedAt: new Date(since * MINUTE) },
        { id: `${id}-opened`, status: "investigating", body },
        time,
      );
    }),
  ];
}
