/** What happens every minute: look, record, judge, say. Delivering what was said is the outbox's (notify/). */

import { failureName, logFailure } from "../lib/log.js";
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

/**
 * The probes' own words are named by their incident; an operator's are not. No pattern says so, because D1 refuses one
 * of more than 50 bytes.
 */
const OPEN = `
  SELECT id, title, automatic, impact, components, (
    SELECT MAX(impact) FROM updates WHERE updates.subject = incidents.id AND instr(updates.id, incidents.id || '-') = 1
  ) AS seen FROM incidents WHERE resolved_at IS NULL`;

/** @typedef {{ id: string, status: "scheduled" | "in_progress", start_minute: number, end_minute: number }} Due */

/** @typedef {{ subject: string, statements: D1PreparedStatement[] }} Words all that is said of one subject in this minute */

/** A part of a minute failed; the log names each. */
export class TickError extends Error {
  name = "TickError";
}

/**
 * Records what was seen, then says what follows from it. Each sample and each subject's words can fail alone, so that
 * trouble with one component costs no other its minute. Whatever ends early loses nothing, because the next minute
 * judges the same samples. A minute that was recorded before is left as it is.
 *
 * @param {D1Database} db
 * @param {readonly Component[]} components
 * @param {Probe} seen
 * @param {Date} time
 * @throws {TickError} when a part failed, after all others were done
 */
export async function tick(db, components, seen, time) {
  const unrecorded = await record(db, seen, time);
  const { samples, incidents, maintenances, newest } = await situation(db, time);
  // A call that comes after later ones has nothing to add to what they said.
  const words =
    minuteOf(time) < newest
      ? []
      : [
          ...maintenances.map((maintenance) => onTime(db, maintenance, time)),
          ...spoken(db, judge(components, samples, incidents), components, time),
        ];
  const undone = await attempt([
    ...words
      .filter(({ statements }) => statements.length > 0)
      .map(({ subject, statements }) => ({ subject, run: () => db.batch(statements) })),
    {
      subject: "old samples",
      run: () => db.prepare("DELETE FROM samples WHERE minute < ?").bind(firstKept(time)).run(),
    },
  ]);
  const failed = [...unrecorded, ...undone];
  if (failed.length > 0) throw new TickError(`failed: ${failed.join(", ")}`);
}

/**
 * @param {D1Database} db
 * @param {Probe} seen
 * @param {Date} time
 * @returns {Promise<string[]>} components whose sample could not be stored
 */
async function record(db, seen, time) {
  const insert = db.prepare("INSERT OR IGNORE INTO samples (minute, component, status) VALUES (?, ?, ?)");
  const states = Object.entries({ [PLATFORM]: seen.status, ...seen.components });
  const samples = states.map(([subject, status]) => ({
    subject,
    statement: insert.bind(minuteOf(time), subject, status),
  }));
  try {
    await db.batch(samples.map(({ statement }) => statement));
    return [];
  } catch {
    // A batch is one transaction: one sample that is refused would take all others along.
    return attempt(samples.map(({ subject, statement }) => ({ subject, run: () => statement.run() })));
  }
}

/**
 * Does one task after the other, whatever becomes of those before it.
 *
 * @param {{ subject: string, run: () => Promise<unknown> }[]} tasks
 * @returns {Promise<string[]>} subjects of those that failed
 */
async function attempt(tasks) {
  const failed = [];
  for (const { subject, run } of tasks) {
    try {
      await run();
    } catch (error) {
      logFailure("part of a minute failed", { subject, error: failureName(error) });
      failed.push(subject);
    }
  }
  return failed;
}

/**
 * @param {D1Database} db
 * @param {Date} time
 * @returns {Promise<{ samples: Sample[], incidents: Open[], maintenances: Due[], newest: number }>} what there is to judge
 *   by, and the newest minute that is recorded
 */
async function situation(db, time) {
  const minute = minuteOf(time);
  /** @type {D1Result<Record<string, any>>[]} */
  const [samples, incidents, maintenances, ends] = await db.batch([
    db
      .prepare("SELECT component, minute, status FROM samples WHERE minute > ? AND minute <= ?")
      .bind(minute - LOOK_BACK_MINUTES, minute),
    db.prepare(OPEN),
    db.prepare(
      `SELECT id, status, start_minute, ${UNTIL("maintenances")} AS end_minute FROM maintenances
       WHERE status IN ('scheduled', 'in_progress')`,
    ),
    db.prepare("SELECT MAX(minute) AS newest FROM samples"),
  ]);
  return {
    samples: /** @type {Sample[]} */ (samples?.results ?? []),
    incidents: (incidents?.results ?? []).map(({ id, title, automatic, impact, seen, components }) => ({
      id,
      title,
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
 * @returns {Words} its beginning, its end, or (when nobody looked in between) both
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
  return { subject: id, statements: moves };
}

const RECOVERED = "Our checks pass again.";
const UNWATCHED =
  "The component of this incident was removed from this page. The incident is closed for that reason: our checks did not see the component recover.";

/**
 * @param {D1Database} db
 * @param {Verdict} verdict
 * @param {readonly Component[]} components
 * @param {Date} time
 * @returns {Words[]}
 */
function spoken(db, { open, raise, close }, components, time) {
  const nameOf = new Map(components.map(({ id, name }) => [id, name]));
  return [
    ...close.map(({ id, watched }) => {
      const body = watched ? RECOVERED : UNWATCHED;
      const word = { id: `${id}-resolved`, status: "resolved", body };
      return { subject: id, statements: updateIncident(db, id, word, time) };
    }),
    ...raise.map(({ id, title, impact }) => {
      const body = "It has become worse: our checks now fail altogether.";
      const word = { id: `${id}-${IMPACTS[impact]}`, status: "investigating", body };
      // A title that an operator wrote stays.
      const changes = { impact, title: title.replace(/ is degraded$/, " is not available") };
      return { subject: id, statements: updateIncident(db, id, word, time, changes) };
    }),
    ...open.map(({ component, impact, since, flapping }) => {
      const title = `${nameOf.get(component)} ${impact === 1 ? "is degraded" : "is not available"}`;
      const failing = flapping
        ? "Our checks fail again and again."
        : `Our checks have not passed since ${stamp(new Date(since * MINUTE))}.`;
      const body = `${failing} We are looking into it.`;
      // Whoever else sees this failure makes the same incident of it.
      const id = `${component}-${since}`;
      const statements = openIncident(
        db,
        { id, title, impact, components: [component], automatic: true, startedAt: new Date(since * MINUTE) },
        { id: `${id}-opened`, status: "investigating", body },
        time,
      );
      return { subject: id, statements };
    }),
  ];
}
