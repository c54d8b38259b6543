/** The log of what the scheduled backup Workers did, in D1. */

import { failureName, logFailure } from "../lib/log.js";

/** @typedef {{ outcome: "ok" | "alarm", detail: object }} Result */

/**
 * Does `job` and records what came of it; anything but `ok` is also logged as an error.
 *
 * @param {D1Database} db opened
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
  await db
    .prepare("INSERT OR REPLACE INTO runs (worker, at, outcome, detail) VALUES (?, ?, ?, ?)")
    .bind(worker, at.toISOString(), outcome, JSON.stringify(detail))
    .run();
}

/**
 * @param {D1Database} db opened
 * @param {string} worker
 * @returns {Promise<any>} detail of the newest run that did not fail, or null before the first
 */
export async function lastDetail(db, worker) {
  const detail = await db
    .prepare("SELECT detail FROM runs WHERE worker = ? AND outcome <> 'failed' ORDER BY at DESC LIMIT 1")
    .bind(worker)
    .first("detail");
  return detail === null ? null : JSON.parse(String(detail));
}
