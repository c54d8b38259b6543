/** One scheduled run: records samples and publishes what follows from them. The outbox (notify/) delivers it. */

import { failureName, logFailure } from "../lib/log.js";
import { stamp } from "../lib/times.js";
import { moveMaintenance, openIncident, UNTIL, updateIncident } from "./announcements.js";
import { PLATFORM } from "./components.js";
import { IMPACTS, judge, LOOK_BACK_MINUTES } from "./judge.js";
import { MINUTE, minuteOf } from "./uptime.js";

/** @import { Open, Sample, Verdict } from "./judge.js" */
/** @import { Component } from "./model.js" */
/** @import { Probe } from "./probe.js" */

/** Raw samples are kept for a year's statements. They are deleted by whole months, so that no month is incomplete. */
const KEEP_MONTHS = 13;

/**
 * Open incidents. Updates by probes begin with their incident's id; updates by operators do not. `instr` instead of
 * `LIKE`, because D1 refuses patterns of more than 50 bytes.
 */
const OPEN = `
  SELECT id, title, automatic, impact, components, (
    SELECT MAX(impact) FROM updates WHERE updates.subject = incidents.id AND instr(updates.id, incidents.id || '-') = 1
  ) AS seen FROM incidents WHERE resolved_at IS NULL`;

/** @typedef {{ id: string, status: "scheduled" | "in_progress", start_minute: number, end_minute: number }} Due */

/** @typedef {{ subject: string, statements: D1PreparedStatement[] }} Change all updates of one subject in this minute */

/** A part of the run failed. The log names each failed part. */
export class TickError extends Error {
  name = "TickError";
}

/**
 * Records a probe's results, then opens, updates and closes incidents and maintenances. Samples and subjects fail
 * independently, so that a failure of one does not affect the others. An interrupted run loses nothing, because the next
 * run judges the same samples. Samples that exist already are not changed.
 *
 * @param {D1Database} db
 * @param {readonly Component[]} components
 * @param {Probe} seen
 * @param {Date} time
 * @throws {TickError} if a part failed, after all other parts are done
 */
export async function tick(db, components, seen, time) {
  const unrecorded = await record(db, seen, time);
  const { samples, incidents, maintenances, newest } = await situation(db, time);
  // A run for an older minute than the newest recorded one publishes nothing.
  const changes =
    minuteOf(time) < newest
      ? []
      : [
          ...maintenances.map((maintenance) => scheduledMoves(db, maintenance, time)),
          ...incidentChanges(db, judge(components, samples, incidents), components, time),
        ];
  const undone = await attempt([
    ...changes
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
    // A batch is one transaction, so one refused sample rolls back all others. Insert them one by one.
    return attempt(samples.map(({ subject, statement }) => ({ subject, run: () => statement.run() })));
  }
}

/**
 * Runs tasks one after the other, even if earlier ones fail.
 *
 * @param {{ subject: string, run: () => Promise<unknown> }[]} tasks
 * @returns {Promise<string[]>} subjects of the failed tasks
 */
async function attempt(tasks) {
  const failed = [];
  for (const { subject, run } of tasks) {
    try {
      await run();
    } catch (error) {
      logFailure("part of a run failed", { subject, error: failureName(error) });
      failed.push(subject);
    }
  }
  return failed;
}

/**
 * @param {D1Database} db
 * @param {Date} time
 * @returns {Promise<{ samples: Sample[], incidents: Open[], maintenances: Due[], newest: number }>} recent samples,
 *   open incidents, unfinished maintenances, and the newest recorded minute
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
 * @returns {number} the first minute whose samples are kept
 */
function firstKept(time) {
  return Date.UTC(time.getUTCFullYear(), time.getUTCMonth() - KEEP_MONTHS) / MINUTE;
}

/**
 * @param {D1Database} db
 * @param {Due} maintenance
 * @param {Date} time
 * @returns {Change} its beginning or its end; both if no run took place in between
 */
function scheduledMoves(db, { id, status, start_minute, end_minute }, time) {
  const minute = minuteOf(time);
  /** @type {D1PreparedStatement[]} */
  const moves = [];
  if (status === "scheduled" && start_minute <= minute) {
    const body = `The work has begun. It is planned to end at ${stamp(new Date(end_minute * MINUTE))}.`;
    moves.push(...moveMaintenance(db, id, { id: `${id}-started`, status: "in_progress", body }, time));
  }
  if (end_minute <= minute) {
    const body = "The planned time is over.";
    // Later than the update of its beginning, even if both are published now.
    const later = new Date(time.getTime() + moves.length);
    moves.push(...moveMaintenance(db, id, { id: `${id}-completed`, status: "completed", body }, later));
  }
  return { subject: id, statements: moves };
}

const RECOVERED = "Our checks pass again.";
const UNWATCHED =
  "The component of this incident was removed from this page. This closes the incident; our checks did not see the component recover.";

/**
 * @param {D1Database} db
 * @param {Verdict} verdict
 * @param {readonly Component[]} components
 * @param {Date} time
 * @returns {Change[]}
 */
function incidentChanges(db, { open, raise, close }, components, time) {
  const nameOf = new Map(components.map(({ id, name }) => [id, name]));
  return [
    ...close.map(({ id, watched }) => {
      const body = watched ? RECOVERED : UNWATCHED;
      const update = { id: `${id}-resolved`, status: "resolved", body };
      return { subject: id, statements: updateIncident(db, id, update, time) };
    }),
    ...raise.map(({ id, title, impact }) => {
      const body = "The problem is worse now: our checks fail completely.";
      const update = { id: `${id}-${IMPACTS[impact]}`, status: "investigating", body };
      // Titles that operators wrote stay.
      const changes = { impact, title: title.replace(/ is degraded$/, " is not available") };
      return { subject: id, statements: updateIncident(db, id, update, time, changes) };
    }),
    ...open.map(({ component, impact, since, flapping }) => {
      const title = `${nameOf.get(component)} ${impact === 1 ? "is degraded" : "is not available"}`;
      const failing = flapping
        ? "Our checks fail intermittently."
        : `Our checks have not passed since ${stamp(new Date(since * MINUTE))}.`;
      const body = `${failing} We are looking into it.`;
      // The id depends on the failure only, so that simultaneous runs open the same incident.
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
