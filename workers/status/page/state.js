/** Open incidents, maintenance in progress and the resulting state of a component, for all public formats. Pure. */

import { IMPACTS, isUnwatched } from "../judge.js";

/** @import { ComponentHealth } from "../../lib/health.js" */
/** @import { Impact, Incident, Maintenance, Snapshot } from "../model.js" */

/** From best to worst. Only incidents set `partial`; probes never do. */
const STATES = /** @type {const} */ (["ok", "unknown", "degraded", "partial", "down"]);

/**
 * @typedef {object} ComponentState
 * @property {typeof STATES[number] | "maintenance"} state the worse of the live check's result and the incident's
 * @property {ComponentHealth} seen result of the live check
 * @property {Impact} incident most severe impact of an open incident that affects the component
 * @property {boolean} maintained whether its maintenance is in progress
 */

/** The state that an open incident gives to the components that it affects. */
/** @type {Record<Impact, typeof STATES[number]>} */
const DECLARED = { none: "ok", minor: "degraded", major: "partial", critical: "down" };

/**
 * Returns a component's state. An open incident of any impact outranks maintenance, because a problem was announced.
 * Without an incident, maintenance in progress outranks the live check.
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
  const worst = STATES.findLast((state) => state === seen || state === DECLARED[incident]) ?? "unknown";
  return { state: maintained && incident === "none" ? "maintenance" : worst, seen, incident, maintained };
}

/**
 * @param {Snapshot} snapshot
 * @returns {Incident[]} the open ones, in the given order, without those whose components are no longer probed: the next
 *   run closes them.
 */
export function openIncidents({ components, history }) {
  return (history?.incidents ?? []).filter(
    (incident) => incident.status !== "resolved" && !isUnwatched(incident, components),
  );
}

/**
 * Maintenance past its end does not count as in progress, even if no run has completed it yet.
 *
 * @param {readonly Maintenance[]} maintenances
 * @param {Date} time
 * @returns {Maintenance[]} the ones in progress
 */
export function running(maintenances, time) {
  return maintenances.filter((plan) => plan.status === "in_progress" && begunAt(plan) <= time && time < plan.endsAt);
}

/**
 * @param {Maintenance} maintenance
 * @returns {Date} its planned start, or its actual start if that was earlier
 */
export function begunAt({ startsAt, updates }) {
  const begun = updates.findLast(({ status }) => status === "in_progress")?.at ?? startsAt;
  return begun < startsAt ? begun : startsAt;
}

/**
 * @param {Maintenance} maintenance
 * @returns {Date} its planned end, or its actual end if that was earlier
 */
export function endedAt({ endsAt, updates }) {
  const completed = updates.find(({ status }) => status === "completed")?.at ?? endsAt;
  return completed < endsAt ? completed : endsAt;
}
