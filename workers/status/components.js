/** What the page speaks of: the API, what its health report tells of, and what an operator adds. */

/** @import { Component } from "./model.js" */

/**
 * What samples, days and the SLA call the whole: `down` when a customer notices. Not a component.
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

/** Those without which a customer is served nothing: their failure is critical, their maintenance excuses an outage. */
export const ESSENTIAL = ["api", "edge", "database"];

/**
 * @param {readonly Component[]} [added] by the settings, each with the address to ask
 * @returns {Component[]} in the order in which people read them
 */
export function catalogue(added = []) {
  return [...OWN, ...added];
}
