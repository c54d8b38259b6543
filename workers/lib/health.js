/** The health report: written by the API, read by the status page. */

/** @typedef {"ok" | "degraded" | "down"} Health as a customer experiences it */
/** @typedef {Health | "unknown"} ComponentHealth `unknown`: it could not be determined, and does not count as an outage */

/** Names of the components in a report, in the order in which they are displayed. */
export const COMPONENTS = /** @type {const} */ (["edge", "database", "replication", "objectStorage", "backups"]);

/** @typedef {typeof COMPONENTS[number]} Component */

/**
 * @typedef {object} HealthReport
 * @property {Health} status
 * @property {Record<Component, { status: ComponentHealth }>} components
 * @property {string} version of the Worker that wrote the report
 * @property {string} time ISO 8601
 */
