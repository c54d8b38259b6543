/** The log of the scheduled backup Workers' runs, in D1. */

import { failureName, logFailure } from "../lib/log.js";

/** @typedef {{ outcome: "ok" | "alarm", detail: object }} Result */

/**
 * Runs `job` and records its result. A result other than `ok` is also logged as an error.
 *
 * @param {D1Database} db migrated
 * @param {string} worker
 * @param {Date} at the scheduled time
 * @param {() => Promise<Result>} job
 * @throws what D1 throws: if the result cannot be recorded, the invocation fails, which Cloudflare's metrics show
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
 * @param {D1Database} db migrated
 * @param {string} worker
 * @returns {Promise<any>} detail of the newest run that did not fail; null without such a run
 */
export async function lastDetail(db, worker) {
  const detail = await db
    .prepare("SELECT detail FROM runs WHERE worker = ? AND outcome <> 'failed' ORDER BY at DESC LIMIT 1")
    .bind(worker)
    .first("detail");
  return detail === null ? null : JSON.parse(String(detail));
}
