/**
 * The verify Worker reads new manifests, and verifies every listed object in every store by its SHA-256: at once, and then
 * every week.
 */

import { now } from "../../lib/clock.js";
import { forEachConcurrently } from "../../lib/concurrency.js";
import { notFound } from "../../lib/http.js";
import { readManifests } from "../catalogue.js";
import { COPIES_OF_OBJECT, removeFormerCopies } from "../copy-list.js";
import { openDatabase } from "../database.js";
import { withLease } from "../lease.js";
import { settlePoints } from "../points/settle.js";
import { promote } from "../promotion.js";
import { recordRun } from "../runs.js";
import { storesOf } from "../stores/stores.js";
import { verifyObject } from "./objects.js";

/** @import { Env } from "../catalogue.js" */
/** @import { Result } from "../runs.js" */
/** @import { Counts, CatalogueObject } from "./objects.js" */

/** Time for one invocation. The next invocation, two minutes later, continues. */
const BUDGET_MILLISECONDS = 100_000;

/** Bytes read from all stores in one invocation: hashing them takes less than the 30 s of CPU time that Cloudflare allows. */
const BUDGET_BYTES = 12 * 1_024 ** 3;

const PAGE_OBJECTS = 50;

/** Connections of a Cloudflare Worker. Each object needs one for every store. */
const CONNECTIONS = 6;

/** Failures of stores that end an invocation: a store is probably down, and the next invocation tries again. */
const FAILURE_LIMIT = 50;

/**
 * Performs one run.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {Date} time
 * @returns {Promise<Result>}
 */
async function verify(env, db, time) {
  const manifests = await readManifests(env, db, time);
  await removeFormerCopies(db, env.COPIES, time);
  const promoted = await promote(db, env.ROTATION, time);
  await settlePoints(db, env.GROUPS, time);
  const counts = { checked: 0, bytes: 0, repaired: 0, placed: 0, wrong: 0, waiting: 0, failed: 0 };
  const end = Date.now() + BUDGET_MILLISECONDS;
  const stores = storesOf(env);
  for (let due = await dueObjects(db, time); due.length > 0; due = await dueObjects(db, time)) {
    await forEachConcurrently(due, Math.max(1, Math.floor(CONNECTIONS / stores.length)), async (object) => {
      if (isWithinBudget(counts, end)) await verifyObject(db, stores, object, time, counts);
    });
    if (!isWithinBudget(counts, end)) break;
  }
  const overdue = Number(
    await db
      .prepare(OVERDUE)
      .bind(...dueParameters(time))
      .first("overdue"),
  );
  const well = manifests.refused + manifests.failed + counts.wrong + counts.repaired + counts.failed === 0;
  return { outcome: well ? "ok" : "alarm", detail: { manifests, promoted, ...counts, overdue } };
}

/**
 * @param {Counts} counts
 * @param {number} end in milliseconds since 1970
 * @returns {boolean} whether this invocation may verify another object
 */
function isWithinBudget({ failed, bytes }, end) {
  return failed < FAILURE_LIMIT && bytes < BUDGET_BYTES && Date.now() < end;
}

/** SQL condition for the objects that are due for verification, without those that age-out deletes soon. */
const DUE_CONDITION = "check_after <= ?1 AND (due_at IS NULL OR due_at > ?2)";

const DELETION_MARGIN_MILLISECONDS = 900_000;

const DUE_OBJECTS = `
  SELECT key, size, sha256, source, listed_at, ${COPIES_OF_OBJECT} AS copies FROM objects
  WHERE ${DUE_CONDITION} ORDER BY check_after LIMIT ${PAGE_OBJECTS}`;

const OVERDUE = `SELECT COUNT(*) AS overdue FROM objects WHERE ${DUE_CONDITION}`;

/**
 * @param {Date} time
 * @returns {[string, string]} values of the parameters of DUE_CONDITION
 */
function dueParameters(time) {
  return [time.toISOString(), new Date(time.getTime() + DELETION_MARGIN_MILLISECONDS).toISOString()];
}

/**
 * @param {D1Database} db
 * @param {Date} time
 * @returns {Promise<CatalogueObject[]>} the next objects that are due
 */
async function dueObjects(db, time) {
  const { results } = await db
    .prepare(DUE_OBJECTS)
    .bind(...dueParameters(time))
    .run();
  return results.map((row) => {
    const copies = new Map(Object.entries(JSON.parse(String(row.copies))));
    return /** @type {CatalogueObject} */ (/** @type {unknown} */ ({ ...row, copies }));
  });
}

/** @satisfies {ExportedHandler<Env>} */
export default {
  fetch: notFound,

  async scheduled(controller, env) {
    const db = await openDatabase(env.DB);
    const time = now(env);
    await withLease(db, "verify", time, () =>
      recordRun(db, "verify", new Date(controller.scheduledTime), () => verify(env, db, time)),
    );
  },
};
