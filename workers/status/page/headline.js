/** The page's headline: the platform's overall state, its text and remarks. Unknown states never count as working. Pure. */

import { LATE_MILLISECONDS } from "../model.js";
import { escaped, stamp } from "./html.js";
import { openIncidents, running } from "./state.js";

/** @import { ComponentHealth, Health } from "../../lib/health.js" */
/** @import { History, Impact, Maintenance, Snapshot } from "../model.js" */

/** @typedef {Health | "maintenance"} State of the platform */

/**
 * @typedef {object} Headline
 * @property {State} state
 * @property {string} text
 * @property {string[]} remarks sentences in HTML
 */

/** The headline of an open incident by its impact, the most severe first. Impact `none` does not change the headline. */
/** @type {[Impact, { state: State, text: string }][]} */
const INCIDENTS = [
  ["critical", { state: "down", text: "Critical incident in progress" }],
  ["major", { state: "down", text: "Major incident in progress" }],
  ["minor", { state: "degraded", text: "Minor incident in progress" }],
];

/** @type {Record<ComponentHealth, string>} */
const WORDS = { ok: "operational", degraded: "degraded", down: "down", unknown: "unknown" };

/** @typedef {{ id: string, name: string, state: ComponentHealth }} Unhealthy a component whose state is not `ok` */

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
  /** @type {Unhealthy[]} */
  const unhealthy = components
    .map(({ id, name }) => ({ id, name, state: probe.components[id] ?? "unknown" }))
    .filter(({ state }) => state !== "ok");
  const unexplained = unhealthy.filter(({ id }) => !maintained.includes(id));
  const waiting = probe.pending.includes("api");
  const late = lateRemark(history, time);

  const undecided = probe.status !== "ok" && maintenance === undefined;

  const verdict = judged({
    seen: probe.status,
    incident,
    trouble: undecided && unhealthy.length === 0 && !waiting ? "The platform is degraded" : failureText(unexplained),
    unconfirmed: waiting || undecided || unexplained.length > 0 || history === null,
    late: late !== "",
    maintenance,
  });
  const remarks = [];
  if (waiting) {
    const shown = probe.at < time ? `this is the state recorded at ${stamp(probe.at)}` : "nothing recent is recorded";
    remarks.push(`The API has not answered the live check yet; ${shown}.`);
  } else if (!probe.answered) remarks.push("The API did not answer the check with a health report.");
  if (unhealthy.length > 0 && (probe.answered || waiting)) {
    remarks.push(`${unhealthy.map(({ name, state }) => `${escaped(name)}: ${WORDS[state]}`).join(", ")}.`);
  }
  if (maintenance !== undefined && verdict.state !== "maintenance") remarks.push(`${maintenanceText(maintenance)}.`);
  if (history === null) {
    const well = probe.status === "ok" && unhealthy.length === 0 && !waiting;
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
 * @returns {string} HTML: a remark if minutes are not being recorded; otherwise empty
 */
function lateRemark(history, time) {
  const last = history?.lastSampleAt;
  if (last === undefined) return "";
  if (last === null) return "No minute has been recorded yet.";
  if (time.getTime() - last.getTime() <= LATE_MILLISECONDS) return "";
  return `Recording is late: the last recorded minute is ${stamp(last)}. Until it resumes, no notifications are sent.`;
}

/**
 * @param {Unhealthy[]} unexplained components
 * @returns {string} HTML: which components fail, in the words of an automatic incident; empty if none is known to fail
 *   (`unknown` is not a known failure)
 */
function failureText(unexplained) {
  const down = unexplained.filter(({ state }) => state === "down");
  const worst = down.length > 0 ? down : unexplained.filter(({ state }) => state === "degraded");
  const [first] = worst;
  if (first === undefined) return "";
  const which = worst.length === 1 ? `${escaped(first.name)} is` : "Some components are";
  return `${which} ${down.length > 0 ? "not available" : "degraded"}`;
}

/**
 * @typedef {object} Findings
 * @property {Health} seen the platform's status in the live check
 * @property {{ state: State, text: string } | undefined} incident the most severe open one
 * @property {string} trouble text of a failure that no maintenance explains; empty if there is none
 * @property {boolean} unconfirmed whether a component outside of maintenance is not `ok`, or the history cannot be read
 * @property {boolean} late whether minutes are not being recorded
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
