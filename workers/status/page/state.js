/** What is going on, and what it makes of a component: the same for people, for programs and on the badge. Pure. */

import { IMPACTS, isUnwatched } from "../judge.js";

/** @import { ComponentHealth } from "../../lib/health.js" */
/** @import { Impact, Incident, Maintenance, Snapshot } from "../model.js" */

/** From best to worst. `partial` is only ever said, never seen. */
const STATES = /** @type {const} */ (["ok", "unknown", "degraded", "partial", "down"]);

/**
 * @typedef {object} ComponentState
 * @property {typeof STATES[number] | "maintenance"} state the worse of what is seen and what is said
 * @property {ComponentHealth} seen by the live check
 * @property {Impact} incident the gravest that is open and speaks of it
 * @property {boolean} maintained whether maintenance of it is in progress
 */

/** What an open incident says of each component that it affects. */
/** @type {Record<Impact, typeof STATES[number]>} */
const SAID = { none: "ok", minor: "degraded", major: "partial", critical: "down" };

/**
 * An open incident of any impact outranks maintenance, because people were told that something is wrong. Otherwise
 * maintenance in progress explains whatever is seen.
 *
 * @param {string} id
 * @param {Snapshot} snapshot
 * @returns {ComponentState}
 */
export function componentState(id, snapshot) {
  const seen = snapshot.probe.components[id] ?? "unknown";
  const impacts = openIncidents(snapshot)
    .filter(({ components }) => components.includes(id))
    .map(({ impact }) => impact);
  const incident = IMPACTS.findLast((impact) => impacts.includes(impact)) ?? "none";
  const plans = running(snapshot.history?.maintenances ?? [], snapshot.time);
  const maintained = plans.some(({ components }) => components.includes(id));
  const worst = STATES.findLast((state) => state === seen || state === SAID[incident]) ?? "unknown";
  return { state: maintained && incident === "none" ? "maintenance" : worst, seen, incident, maintained };
}

/**
 * @param {Snapshot} snapshot
 * @returns {Incident[]} those that are open, in the order given. One of which nothing is watched any more is left out:
 *   the next minute closes it.
 */
export function openIncidents({ components, history }) {
  return (history?.incidents ?? []).filter(
    (incident) => incident.status !== "resolved" && !isUnwatched(incident, components),
  );
}

/**
 * What was not ended at its end (nothing ran that would have) is over all the same: it explains nothing any more.
 *
 * @param {readonly Maintenance[]} maintenances
 * @param {Date} time
 * @returns {Maintenance[]} those in progress
 */
export function running(maintenances, time) {
  return maintenances.filter((plan) => plan.status === "in_progress" && begunAt(plan) <= time && time < plan.endsAt);
}

/**
 * @param {Maintenance} maintenance
 * @returns {Date} its planned start, or when it was said to have begun before that
 */
export function begunAt({ startsAt, updates }) {
  const begun = updates.findLast(({ status }) => status === "in_progress")?.at ?? startsAt;
  return begun < startsAt ? begun : startsAt;
}

/**
 * @param {Maintenance} maintenance
 * @returns {Date} its planned end, or when it was said to be completed before that
 */
export function endedAt({ endsAt, updates }) {
  const completed = updates.find(({ status }) => status === "completed")?.at ?? endsAt;
  return completed < endsAt ? completed : endsAt;
}
