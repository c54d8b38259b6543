/** The health report: runs all checks in parallel and derives one overall status. */

import { now } from "../lib/clock.js";
import { json } from "../lib/http.js";
import { shared } from "../lib/shared.js";
import { checkBackups, checkDatabase, checkObjectStorage, databaseHealth, replicationHealth } from "./checks.js";

/** @import { Health, HealthReport } from "../lib/health.js" */
/** @import { Env } from "./index.js" */

/** @typedef {HealthReport & { environment: string }} Report */

/**
 * Each isolate runs the checks at most once in this time, so that many requests cannot exhaust the connections of the
 * database and the bucket. A report is at most this old.
 */
const KEEP_MILLISECONDS = 2_000;

/** Longer than a report takes. */
const TIMEOUT_MILLISECONDS = 2_000;

/** @type {ReturnType<typeof shared<Report>>} */
const sharedReport = shared(KEEP_MILLISECONDS, TIMEOUT_MILLISECONDS);

/**
 * @param {Env} env
 * @param {ExecutionContext} context
 * @returns {Promise<Response>} 503 if the status is `down`, that is if customers notice
 */
export async function health(env, context) {
  const report = await sharedReport(now(env), context, () => check(env));
  return json(report, report.status === "down" ? 503 : 200);
}

/**
 * @param {Env} env
 * @returns {Promise<Report>}
 */
async function check(env) {
  const [database, objectStorage, backups] = await Promise.all([
    checkDatabase(env.HYPERDRIVE),
    checkObjectStorage(env.BACKUPS),
    checkBackups(env),
  ]);
  const components = {
    // The edge works if this code runs.
    edge: { status: /** @type {const} */ ("ok") },
    database: databaseHealth(database),
    replication: replicationHealth(database),
    objectStorage,
    backups,
  };
  return {
    status: overall(components),
    components,
    environment: env.ENVIRONMENT,
    version: env.VERSION.tag || env.VERSION.id,
    time: now(env).toISOString(),
  };
}

/**
 * @param {HealthReport["components"]} components
 * @returns {Health} `ok` only if every component is `ok`; `unknown` counts as degraded
 */
function overall(components) {
  if (components.database.status === "down") return "down";
  return Object.values(components).every(({ status }) => status === "ok") ? "ok" : "degraded";
}
