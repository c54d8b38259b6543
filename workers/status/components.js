/** The components of the status page: the API, those of its health report, and those added in the settings. */

/** @import { Component } from "./model.js" */

/**
 * Name of the whole platform in samples, days and the SLA: `down` if customers notice. Not a component.
 */
export const PLATFORM = "platform";

/** @type {readonly Component[]} */
const OWN = [
  { id: "api", name: "API" },
  { id: "edge", name: "Edge" },
  { id: "database", name: "Database" },
  { id: "replication", name: "Database replication" },
  { id: "objectStorage", name: "Object storage" },
  { id: "backups", name: "Backups" },
];

/** Without these, customers are not served: their failure is critical, and only their maintenance excuses an outage. */
export const ESSENTIAL = ["api", "edge", "database"];

/**
 * @param {readonly Component[]} [added] by the settings, each with the URL to probe
 * @returns {Component[]} in display order
 */
export function catalogue(added = []) {
  return [...OWN, ...added];
}
