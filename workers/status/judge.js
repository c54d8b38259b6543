/** When probes open, raise and close incidents. Pure: recent samples in, verdicts out. */

import { ESSENTIAL } from "./components.js";

/** @import { ComponentHealth } from "../lib/health.js" */
/** @import { Component } from "./model.js" */

/** Ranks of `Impact`, as D1 stores it. */
export const IMPACTS = /** @type {const} */ (["none", "minor", "major", "critical"]);

/** A failure or a recovery is believed when two looks in a row agree: one may be the way there. */
export const LOOKS = 2;

/** Looks that lie further apart than this are not "in a row": something was off in between. */
export const LOOK_BACK_MINUTES = 15;

/** @typedef {{ component: string, minute: number, status: ComponentHealth }} Sample */
/** @typedef {{ id: string, automatic: boolean, impact: number, components: string[] }} Open */

/**
 * @typedef {object} Verdict
 * @property {{ component: string, impact: number, since: number }[]} open `since`: the first failing look's minute
 * @property {{ id: string, impact: number }[]} raise
 * @property {{ id: string }[]} close
 */

/**
 * @param {readonly Component[]} components that are watched
 * @param {readonly Sample[]} samples of the last `LOOK_BACK_MINUTES`
 * @param {readonly Open[]} incidents that are open
 * @returns {Verdict}
 */
export function judge(components, samples, incidents) {
  /** @type {Verdict} */
  const verdict = { open: [], raise: [], close: [] };
  for (const { id: component } of components) {
    const { impact, since } = confirmed(component, samples);
    const incident = incidents.find((open) => open.components.includes(component));
    if (impact === null) continue;
    if (impact === 0) {
      // What an operator declared, an operator resolves.
      if (incident?.automatic) verdict.close.push({ id: incident.id });
    } else if (incident === undefined) {
      verdict.open.push({ component, impact, since });
    } else if (incident.automatic && impact > incident.impact) {
      verdict.raise.push({ id: incident.id, impact });
    }
  }
  return verdict;
}

/**
 * @param {string} component
 * @param {readonly Sample[]} samples
 * @returns {{ impact: number | null, since: number }} the milder of the last two known looks when neither was well; 0
 *   when both were; null when they disagree or are not there. `unknown` says nothing either way.
 */
function confirmed(component, samples) {
  const looks = samples
    .filter((sample) => sample.component === component && sample.status !== "unknown")
    .sort((a, b) => b.minute - a.minute)
    .slice(0, LOOKS);
  const impacts = looks.map(({ status }) => impactOf(component, status));
  const since = looks.at(-1)?.minute ?? 0;
  if (impacts.length < LOOKS) return { impact: null, since };
  if (impacts.every((impact) => impact === 0)) return { impact: 0, since };
  return { impact: impacts.includes(0) ? null : Math.min(...impacts), since };
}

/**
 * @param {string} component
 * @param {ComponentHealth} status
 * @returns {number}
 */
function impactOf(component, status) {
  if (status === "down") return ESSENTIAL.includes(component) ? 3 : 2;
  return status === "degraded" ? 1 : 0;
}
