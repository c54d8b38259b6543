/** What the page says first: one state and the words for it, never better than what is known. Pure. */

import { LATE_MILLISECONDS } from "../model.js";
import { escaped, stamp } from "./html.js";
import { openIncidents, running } from "./state.js";

/** @import { ComponentHealth, Health } from "../../lib/health.js" */
/** @import { History, Impact, Maintenance, Snapshot } from "../model.js" */

/** @typedef {Health | "maintenance"} State in which a reader finds the platform */

/**
 * @typedef {object} Headline
 * @property {State} state
 * @property {string} text
 * @property {string[]} remarks HTML, a sentence each
 */

/** What open incidents make of the headline, the gravest first; one without impact makes nothing of it. */
/** @type {[Impact, { state: State, text: string }][]} */
const INCIDENTS = [
  ["critical", { state: "down", text: "Critical incident in progress" }],
  ["major", { state: "down", text: "Major incident in progress" }],
  ["minor", { state: "degraded", text: "Minor incident in progress" }],
];

/** @type {Record<ComponentHealth, string>} */
const WORDS = { ok: "operational", degraded: "degraded", down: "down", unknown: "unknown" };

/** @typedef {{ id: string, name: string, state: ComponentHealth }} Amiss a component that is not seen to work */

/**
 * @param {Snapshot} snapshot
 * @returns {Headline}
 */
export function headline(snapshot) {
  const { time, probe, components, history } = snapshot;
  const maintenances = running(history?.maintenances ?? [], time);
  const maintained = maintenances.flatMap(({ components }) => components);
  const maintenance = maintenances.find(({ emergency }) => emergency) ?? maintenances[0];
  const impacts = openIncidents(snapshot).map(({ impact }) => impact);
  const incident = INCIDENTS.find(([impact]) => impacts.includes(impact))?.[1];
  /** @type {Amiss[]} */
  const amiss = components
    .map(({ id, name }) => ({ id, name, state: probe.components[id] ?? "unknown" }))
    .filter(({ state }) => state !== "ok");
  const unexplained = amiss.filter(({ id }) => !maintained.includes(id));
  const waiting = probe.pending.includes("api");
  const late = lateness(history, time);

  const undecided = probe.status !== "ok" && maintenance === undefined;

  const verdict = judged({
    seen: probe.status,
    incident,
    trouble: undecided && amiss.length === 0 && !waiting ? "The platform is degraded" : known(unexplained),
    unconfirmed: waiting || undecided || unexplained.length > 0 || history === null,
    late: late !== "",
    maintenance,
  });
  const remarks = [];
  if (waiting) {
    const shown = probe.at < time ? `shown is what was recorded at ${stamp(probe.at)}` : "nothing recent is recorded";
    remarks.push(`The API has not answered the live check yet; ${shown}.`);
  } else if (!probe.answered) remarks.push("The API did not answer the check with a health report.");
  if (amiss.length > 0 && (probe.answered || waiting)) {
    remarks.push(`${amiss.map(({ name, state }) => `${escaped(name)}: ${WORDS[state]}`).join(", ")}.`);
  }
  if (maintenance !== undefined && verdict.state !== "maintenance") remarks.push(`${maintenanceText(maintenance)}.`);
  if (history === null) {
    const well = probe.status === "ok" && amiss.length === 0 && !waiting;
    const seen = well ? "All checks pass right now, but the" : "The";
    remarks.push(`${seen} history is unavailable at the moment: incidents and maintenance cannot be read.`);
  } else if (late) {
    remarks.push(late);
  } else {
    const unrecorded = components.filter(({ id }) => !Object.hasOwn(history.lastStates, id));
    const names = unrecorded.map(({ name }) => escaped(name)).join(", ");
    if (names !== "") remarks.push(`Not recorded in the latest minute: ${names}.`);
  }
  return { ...verdict, remarks };
}

/**
 * @param {History | null} history
 * @param {Date} time
 * @returns {string} HTML: that minutes are not recorded; empty while they are
 */
function lateness(history, time) {
  const last = history?.lastSampleAt;
  if (last === undefined) return "";
  if (last === null) return "No minute has been recorded yet.";
  if (time.getTime() - last.getTime() <= LATE_MILLISECONDS) return "";
  return `Recording is late: the last recorded minute is ${stamp(last)}. Until it goes on, nobody is notified.`;
}

/**
 * @param {Amiss[]} unexplained components
 * @returns {string} HTML: what is seen not to work, in the words of its incident to come; empty when nothing is: what is
 *   `unknown` is in doubt, and not known to fail
 */
function known(unexplained) {
  const down = unexplained.filter(({ state }) => state === "down");
  const worst = down.length > 0 ? down : unexplained.filter(({ state }) => state === "degraded");
  const [first] = worst;
  if (first === undefined) return "";
  const which = worst.length === 1 ? `${escaped(first.name)} is` : "Some components are";
  return `${which} ${down.length > 0 ? "not available" : "degraded"}`;
}

/**
 * @typedef {object} Findings
 * @property {Health} seen by the live check
 * @property {{ state: State, text: string } | undefined} incident the gravest open one
 * @property {string} trouble that is seen and that no maintenance explains; empty when there is none
 * @property {boolean} unconfirmed whether something is not seen to work and no maintenance says why, or it cannot be read
 *   what people were told
 * @property {boolean} late whether minutes are not recorded
 * @property {Maintenance | undefined} maintenance in progress
 */

/**
 * @param {Findings} findings
 * @returns {{ state: State, text: string }}
 */
function judged({ seen, incident, trouble, unconfirmed, late, maintenance }) {
  if (seen === "down") return { state: "down", text: "The platform is not available" };
  if (incident !== undefined) return incident;
  if (trouble !== "") return { state: "degraded", text: trouble };
  if (unconfirmed) return { state: "degraded", text: "Not everything is confirmed to work" };
  if (late) return { state: "degraded", text: "Checks pass, but are not recorded" };
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
