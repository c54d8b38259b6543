/** The health report: every check side by side, and one word for the whole. */

import { now } from "../lib/clock.js";
import { json } from "../lib/http.js";
import { shared } from "../lib/shared.js";
import { checkBackups, checkDatabase, checkObjectStorage, databaseHealth, replicationHealth } from "./checks.js";

/** @import { Health, HealthReport } from "../lib/health.js" */
/** @import { Env } from "./index.js" */

/** @typedef {HealthReport & { environment: string }} Report */

/**
 * However many ask, the database and the bucket are asked once in this time by each isolate: reading must not be able to
 * use up their connections. Whoever reads once a minute still gets what is at most these two seconds old.
 */
const KEEP_MILLISECONDS = 2_000;

/** Longer than a report takes. */
const PATIENCE_MILLISECONDS = 2_000;

/** @type {ReturnType<typeof shared<Report>>} */
const together = shared(KEEP_MILLISECONDS, PATIENCE_MILLISECONDS);

/**
 * @param {Env} env
 * @param {ExecutionContext} context
 * @returns {Promise<Response>} 503 when a customer would notice
 */
export async function health(env, context) {
  const report = await together(now(env), context, () => check(env));
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
    // This code running is the proof that the edge works.
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
 * @returns {Health} `ok` only when every component is known to be
 */
function overall(components) {
  if (components.database.status === "down") return "down";
  return Object.values(components).every(({ status }) => status === "ok") ? "ok" : "degraded";
}
