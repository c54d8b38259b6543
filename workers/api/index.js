/** The API Worker: says how the platform is, as seen from the edge. */

import { now } from "../lib/clock.js";
import { json, route } from "../lib/http.js";
import { checkDatabase, checkObjectStorage } from "./checks.js";

/** @import { Health, HealthReport } from "../lib/health.js" */

/**
 * @typedef {object} Env
 * @property {string} ENVIRONMENT the stack's tier
 * @property {WorkerVersionMetadata} VERSION
 * @property {R2Bucket} BACKUPS the primary backup bucket
 * @property {Hyperdrive} [HYPERDRIVE] the way to the coordinator; without it the database's state is unknown
 * @property {string} [CLOCK] only in tests
 */

/**
 * @param {HealthReport["components"]} components
 * @returns {Health} `ok` only when every component is known to be
 */
function overall(components) {
  if (components.database.status === "down") return "down";
  return Object.values(components).every(({ status }) => status === "ok") ? "ok" : "degraded";
}

/**
 * @param {Env} env
 * @returns {Promise<Response>} 503 when a customer would notice
 */
async function health(env) {
  const [database, objectStorage] = await Promise.all([checkDatabase(env.HYPERDRIVE), checkObjectStorage(env.BACKUPS)]);
  // This code running is the proof that the edge works.
  const unknown = { status: /** @type {const} */ ("unknown") };
  const edge = { status: /** @type {const} */ ("ok") };
  const components = { edge, database, replication: unknown, objectStorage, backups: unknown };
  const status = overall(components);
  const report = {
    status,
    components,
    environment: env.ENVIRONMENT,
    version: env.VERSION.tag || env.VERSION.id,
    time: now(env).toISOString(),
  };
  return json(report, status === "down" ? 503 : 200);
}

/** @satisfies {ExportedHandler<Env>} */
export default {
  fetch(request, env) {
    return route(request, { "/health": () => health(env) });
  },
};
