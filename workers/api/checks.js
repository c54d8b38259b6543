/** The API's checks: each ends in time, and claims no more than it has seen. */

import { failureName, logFailure } from "../lib/log.js";
import { withTimeout } from "../lib/timeout.js";
import { acceptsConnections } from "./postgres.js";

/** @import { ComponentHealth } from "../lib/health.js" */

/** Checks run side by side, so this leaves half a second of the two that a report may take. */
const CHECK_MILLISECONDS = 1_500;

/**
 * Whether the database takes connections; whether it can be written to is not tried, and so stays unknown.
 *
 * @param {Hyperdrive | undefined} hyperdrive
 * @returns {Promise<{ status: ComponentHealth, acceptsConnections: boolean | "unknown", writable: "unknown" }>}
 */
export async function checkDatabase(hyperdrive) {
  if (hyperdrive === undefined) return { status: "unknown", acceptsConnections: "unknown", writable: "unknown" };
  const accepts = await passes("database", (signal) => acceptsConnections(hyperdrive, signal));
  return { status: accepts ? "ok" : "down", acceptsConnections: accepts, writable: "unknown" };
}

/**
 * Whether the bucket answers; the probed object need not exist.
 *
 * @param {R2Bucket} bucket
 * @returns {Promise<{ status: ComponentHealth }>}
 */
export async function checkObjectStorage(bucket) {
  const answers = await passes("objectStorage", async () => {
    await bucket.head("health-probe");
    return true;
  });
  return { status: answers ? "ok" : "down" };
}

/**
 * @param {string} component
 * @param {(signal: AbortSignal) => Promise<boolean>} check gives up what it holds when `signal` aborts
 * @returns {Promise<boolean>} false also when the check fails or does not end in time
 */
async function passes(component, check) {
  const end = new AbortController();
  try {
    return await withTimeout(check(end.signal), CHECK_MILLISECONDS);
  } catch (error) {
    logFailure("check failed", { component, error: failureName(error) });
    return false;
  } finally {
    end.abort();
  }
}
