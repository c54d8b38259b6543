/** What the page says first: one state and the words for it, never better than what is known. Pure. */

import { escaped, stamp } from "./html.js";
import { openIncidents, running } from "./state.js";

/** @import { ComponentHealth, Health } from "../../lib/health.js" */
/** @import { Impact, Maintenance, Snapshot } from "../model.js" */

/** @typedef {Health | "maintenance"} State in which a reader finds the platform */

/**
 * @typedef {object} Headline
 * @property {State} state
 * @property {string} text
 * @property {string[]} remarks HTML, a sentence each
 */

/** A minute is stored within seconds of its end; by then, several are missing. */
const LATE_MILLISECONDS = 5 * 60_000;

/** What open incidents make of the headline, the gravest first; one without impact makes nothing of it. */
/** @type {[Impact, { state: State, text: string }][]} */
const INCIDENTS = [
  ["critical", { state: "down", text: "Critical incident in progress" }],
  ["major", { state: "down", text: "Major incident in progress" }],
  ["minor", { state: "degraded", text: "Minor incident in progress" }],
];

/** @type {Record<ComponentHealth, string>} */
const WORDS = { ok: "operational", degraded: "degraded", down: "down", unknown: "unknown" };

/**
 * @param {Snapshot} snapshot
 * @returns {Headline}
 */
export function headline({ time, probe, components, history }) {
  const maintenances = running(history?.maintenances ?? [], time);
  const maintained = maintenances.flatMap(({ components }) => components);
  const maintenance = maintenances.find(({ emergency }) => emergency) ?? maintenances[0];
  const impacts = openIncidents(history?.incidents ?? []).map(({ impact }) => impact);
  const incident = INCIDENTS.find(([impact]) => impacts.includes(impact))?.[1];
  const amiss = components
    .map(({ id, name }) => ({ id, name, state: probe.components[id] ?? "unknown" }))
    .filter(({ state }) => state !== "ok");
  const unexplained =
    amiss.some(({ id }) => !maintained.includes(id)) || (probe.status !== "ok" && maintenance === undefined);

  const verdict = judged(probe.status, incident, maintenance, unexplained || history === null);
  const remarks = [];
  if (!probe.answered) remarks.push("The API did not answer the check with a health report.");
  else if (amiss.length > 0) {
    remarks.push(`${amiss.map(({ name, state }) => `${escaped(name)}: ${WORDS[state]}`).join(", ")}.`);
  }
  if (maintenance !== undefined && verdict.state !== "maintenance") remarks.push(`${maintenanceText(maintenance)}.`);
  if (history === null) {
    const seen = probe.status === "ok" && amiss.length === 0 ? "All checks pass right now, but the" : "The";
    remarks.push(`${seen} history is unavailable at the moment: incidents and maintenance cannot be read.`);
  } else if (history.lastSampleAt === null) {
    remarks.push("No minute has been recorded yet.");
  } else if (time.getTime() - history.lastSampleAt.getTime() > LATE_MILLISECONDS) {
    remarks.push(`Recording is late: the last recorded minute is ${stamp(history.lastSampleAt)}.`);
  }
  return { ...verdict, remarks };
}

/**
 * @param {Health} seen by the live check
 * @param {{ state: State, text: string } | undefined} incident the gravest open one
 * @param {Maintenance | undefined} maintenance in progress
 * @param {boolean} unconfirmed whether something is not seen to work and no maintenance says why, or it cannot be read
 *   what people were told
 * @returns {{ state: State, text: string }}
 */
function judged(seen, incident, maintenance, unconfirmed) {
  if (seen === "down") return { state: "down", text: "The platform is not available" };
  if (incident !== undefined) return incident;
  if (unconfirmed) return { state: "degraded", text: "Not everything is confirmed to work" };
  if (maintenance !== undefined) return { state: "maintenance", text: maintenanceText(maintenance) };
  return { state: "ok", text: "All systems operational" };
}

/**
 * @param {Maintenance} maintenance
 * @returns {string}
 */
function maintenanceText({ emergency }) {
  return `${emergency ? "Emergency maintenance" : "Maintenance"} in progress`;
}
