/** Reads new manifests, and proves every object that they list in every store: by its bytes, at once and every week. */

import { now } from "../../lib/clock.js";
import { forEachConcurrently } from "../../lib/concurrency.js";
import { notFound } from "../../lib/http.js";
import { readManifests } from "../catalogue.js";
import { opened } from "../database.js";
import { COPIES_OF_OBJECT, retire } from "../enrolment.js";
import { alone } from "../lease.js";
import { promote } from "../promotion.js";
import { recordRun } from "../runs.js";
import { storesOf } from "../stores.js";
import { verifyObject } from "./objects.js";

/** @import { Env } from "../catalogue.js" */
/** @import { Result } from "../runs.js" */
/** @import { Counts, Listed } from "./objects.js" */

/** The next invocation comes two minutes after this one, and goes on where this one stops. */
const BUDGET_MILLISECONDS = 100_000;

/** Hashing is what computes here: so many bytes in all stores take less than the 30 s that a frequent cron may compute. */
const BUDGET_BYTES = 12 * 1_024 ** 3;

const PAGE = 50;

/** Each object is a stream from every store, and a Worker has so many connections. */
const CONNECTIONS = 6;

/** Stores that fail so often are down; what they hold is looked at when they are up again. */
const PATIENCE = 50;

/**
 * @param {Env} env
 * @param {D1Database} db
 * @param {Date} time
 * @returns {Promise<Result>}
 */
async function verify(env, db, time) {
  const manifests = await readManifests(env, db, time);
  await retire(db, env.COPIES, time);
  const promoted = await promote(db, env.ROTATION, time);
  const counts = { checked: 0, bytes: 0, repaired: 0, placed: 0, wrong: 0, waiting: 0, failed: 0 };
  const end = Date.now() + BUDGET_MILLISECONDS;
  const stores = storesOf(env);
  for (let due = await dueObjects(db, time); due.length > 0; due = await dueObjects(db, time)) {
    await forEachConcurrently(due, Math.max(1, Math.floor(CONNECTIONS / stores.length)), async (object) => {
      if (goesOn(counts, end)) await verifyObject(db, stores, object, time, counts);
    });
    if (!goesOn(counts, end)) break;
  }
  const overdue = Number(
    await db
      .prepare(OVERDUE)
      .bind(...openAt(time))
      .first("overdue"),
  );
  const well = manifests.refused + manifests.failed + counts.wrong + counts.repaired + counts.failed === 0;
  return { outcome: well ? "ok" : "alarm", detail: { manifests, promoted, ...counts, overdue } };
}

/**
 * @param {Counts} counts
 * @param {number} end milliseconds
 * @returns {boolean}
 */
function goesOn({ failed, bytes }, end) {
  return failed < PATIENCE && bytes < BUDGET_BYTES && Date.now() < end;
}

/** What is about to go, also while this invocation lasts, is no longer repaired. */
const OPEN = "check_after <= ?1 AND (due_at IS NULL OR due_at > ?2)";

const ABOUT_TO_GO_MILLISECONDS = 900_000;

const DUE = `
  SELECT key, size, sha256, source, listed_at, ${COPIES_OF_OBJECT} AS copies FROM objects
  WHERE ${OPEN} ORDER BY check_after LIMIT ${PAGE}`;

const OVERDUE = `SELECT COUNT(*) AS overdue FROM objects WHERE ${OPEN}`;

/**
 * @param {Date} time
 * @returns {[string, string]} parameters of OPEN
 */
function openAt(time) {
  return [time.toISOString(), new Date(time.getTime() + ABOUT_TO_GO_MILLISECONDS).toISOString()];
}

/**
 * @param {D1Database} db
 * @param {Date} time
 * @returns {Promise<Listed[]>} the next ones
 */
async function dueObjects(db, time) {
  const { results } = await db
    .prepare(DUE)
    .bind(...openAt(time))
    .run();
  return results.map((row) => {
    const copies = new Map(Object.entries(JSON.parse(String(row.copies))));
    return /** @type {Listed} */ (/** @type {unknown} */ ({ ...row, copies }));
  });
}

/** @satisfies {ExportedHandler<Env>} */
export default {
  fetch: notFound,

  async scheduled(controller, env) {
    const db = await opened(env.DB);
    const time = now(env);
    await alone(db, "verify", time, () =>
      recordRun(db, "verify", new Date(controller.scheduledTime), () => verify(env, db, time)),
    );
  },
};
