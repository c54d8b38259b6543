/** The health report: every check side by side, and one word for the whole. */

import { now } from "../lib/clock.js";
import { json } from "../lib/http.js";
import { checkBackups, checkDatabase, checkObjectStorage, databaseHealth, replicationHealth } from "./checks.js";

/** @import { Health, HealthReport } from "../lib/health.js" */
/** @import { Env } from "./index.js" */

/**
 * @param {Env} env
 * @returns {Promise<Response>} 503 when a customer would notice
 */
export async function health(env) {
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
  const status = overall(components);
  /** @type {HealthReport & { environment: string }} */
  const report = {
    status,
    components,
    environment: env.ENVIRONMENT,
    version: env.VERSION.tag || env.VERSION.id,
    time: now(env).toISOString(),
  };
  return json(report, status === "down" ? 503 : 200);
}

/**
 * @param {HealthReport["components"]} components
 * @returns {Health} `ok` only when every component is known to be
 */
function overall(components) {
  if (components.database.status === "down") return "down";
  return Object.values(components).every(({ status }) => status === "ok") ? "ok" : "degraded";
}
