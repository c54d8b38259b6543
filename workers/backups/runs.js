/** The log of what the scheduled backup Workers did, in D1. */

import { failureName, logFailure } from "../lib/log.js";
import schema from "./migrations/0001_runs.sql";

/** @typedef {{ outcome: "ok" | "alarm", detail: object }} Result */

/**
 * Does `job` and records what came of it; anything but `ok` is also logged as an error.
 *
 * @param {D1Database} db
 * @param {string} worker
 * @param {Date} at the scheduled time
 * @param {() => Promise<Result>} job
 * @throws what D1 throws: a run that cannot be recorded fails as a whole, which the platform's own metrics show
 */
export async function recordRun(db, worker, at, job) {
  const { outcome, detail } = await job().catch((error) => ({
    outcome: "failed",
    detail: { error: failureName(error) },
  }));
  if (outcome !== "ok") logFailure(`${worker}: ${outcome}`, { at: at.toISOString(), detail });
  const insert = db.prepare("INSERT OR REPLACE INTO runs (worker, at, outcome, detail) VALUES (?, ?, ?, ?)");
  // A Worker is deployed before anything else can reach its database, so it makes its own table.
  await db.batch([db.prepare(schema), insert.bind(worker, at.toISOString(), outcome, JSON.stringify(detail))]);
}

/**
 * @param {D1Database} db
 * @param {string} worker
 * @returns {Promise<any>} detail of the newest run that did not fail, or null before the first
 */
export async function lastDetail(db, worker) {
  await db.prepare(schema).run();
  const detail = await db
    .prepare("SELECT detail FROM runs WHERE worker = ? AND outcome <> 'failed' ORDER BY at DESC LIMIT 1")
    .bind(worker)
    .first("detail");
  return detail === null ? null : JSON.parse(String(detail));
}
