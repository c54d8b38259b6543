/** What was recorded: one sample per component and minute, in D1. */

import { failureName, logFailure } from "../lib/log.js";
import { withTimeout } from "../lib/timeout.js";
import schema from "./migrations/0001_samples.sql";

/** @import { Probe } from "./probe.js" */

const MINUTE = 60_000;
const DAY_MINUTES = 24 * 60;

/** No longer than the probe beside it may take. */
const READ_MILLISECONDS = 5_000;

const SHARES = `
  SELECT component, COUNT(*) AS recorded, SUM(status = 'ok') AS ok
  FROM samples WHERE minute > ? GROUP BY component`;

/**
 * @typedef {object} History of the last 24 hours
 * @property {Date | null} since the first minute ever recorded; null while there is none
 * @property {Record<string, { ok: number, recorded: number }>} minutes by component
 */

/**
 * Recording the same minute twice leaves one sample, the later one.
 *
 * @param {D1Database} db
 * @param {Date} time
 * @param {Probe} probe
 */
export async function record(db, time, probe) {
  const insert = db.prepare("INSERT OR REPLACE INTO samples (minute, component, status) VALUES (?, ?, ?)");
  const minute = Math.floor(time.getTime() / MINUTE);
  const samples = Object.entries(probe.components).map(([name, status]) => insert.bind(minute, name, status));
  // A Worker is deployed before anything else can reach its database, so it makes its own table.
  await db.batch([db.prepare(schema), ...samples]);
}

/**
 * @param {D1Database} db
 * @param {Date} time
 * @returns {Promise<History | null>} null when the history cannot be read
 */
export async function read(db, time) {
  try {
    /** @type {D1Result<Record<string, any>>[]} */
    const [, first, day] = await withTimeout(
      db.batch([
        db.prepare(schema),
        db.prepare("SELECT MIN(minute) AS minute FROM samples"),
        db.prepare(SHARES).bind(Math.floor(time.getTime() / MINUTE) - DAY_MINUTES),
      ]),
      READ_MILLISECONDS,
    );
    const minute = first?.results[0]?.minute ?? null;
    return {
      since: minute === null ? null : new Date(minute * MINUTE),
      minutes: Object.fromEntries(
        day?.results.map(({ component, ok, recorded }) => [component, { ok, recorded }]) ?? [],
      ),
    };
  } catch (error) {
    logFailure("history unavailable", { error: failureName(error) });
    return null;
  }
}
