/** Decides from recent samples which incidents to open, raise and close. Pure. */

import { ESSENTIAL } from "./components.js";

/** @import { ComponentHealth } from "../lib/health.js" */
/** @import { Component } from "./model.js" */

/** Ranks of `Impact`, as D1 stores it. */
export const IMPACTS = /** @type {const} */ (["none", "minor", "major", "critical"]);

/** Two consecutive samples confirm a failure or a recovery; a single one may be a network problem of the probe. */
export const CONFIRMING_SAMPLES = 2;

/** An intermittent failure is confirmed by the third failing sample within `LOOK_BACK_MINUTES`. */
const FLAPPING_SAMPLES = 3;

/** Only samples of the last minutes are compared. */
export const LOOK_BACK_MINUTES = 15;

/** @typedef {{ component: string, minute: number, status: ComponentHealth }} Sample */

/**
 * @typedef {object} Open an open incident
 * @property {string} id
 * @property {string} title
 * @property {boolean} automatic
 * @property {number} impact as published
 * @property {number} seen the worst impact that probes have published for it
 * @property {string[]} components
 */

/**
 * @typedef {object} Verdict
 * @property {{ component: string, impact: number, since: number, flapping: boolean }[]} open `since`: the minute of the
 *   first of the consecutive failing samples
 * @property {{ id: string, title: string, impact: number }[]} raise `title`: as published
 * @property {{ id: string, watched: boolean }[]} close `watched`: false if its components are no longer probed
 */

/**
 * @param {readonly Component[]} components that are probed
 * @param {readonly Sample[]} samples of the last `LOOK_BACK_MINUTES`
 * @param {readonly Open[]} incidents that are open
 * @returns {Verdict}
 */
export function judge(components, samples, incidents) {
  const confirmed = new Map(components.map(({ id }) => [id, confirmedState(id, samples)]));
  const impactOn = (/** @type {string} */ component) => confirmed.get(component)?.impact ?? null;
  // Only operators change incidents that operators declared.
  const automatic = incidents.filter((incident) => incident.automatic);
  return {
    open: [...confirmed].flatMap(([component, { impact, ...failure }]) =>
      impact === null || impact === 0 || incidents.some((incident) => incident.components.includes(component))
        ? []
        : [{ component, impact, ...failure }],
    ),
    // An operator may have lowered the impact: only an impact that probes have not published yet raises it.
    raise: automatic.flatMap(({ id, title, impact, seen, components: affected }) => {
      const worst = Math.max(...affected.map((component) => impactOn(component) ?? 0));
      return worst > Math.max(impact, seen) ? [{ id, title, impact: worst }] : [];
    }),
    // An incident without probed components is closed as well, with another text (`watched`).
    close: automatic
      .filter((incident) => [...confirmed].every(([id, { impact }]) => impact === 0 || !isAbout(incident, id)))
      .map((incident) => ({ id: incident.id, watched: !isUnwatched(incident, components) })),
  };
}

/**
 * @param {Pick<Open, "components">} incident one without components affects all of them
 * @param {string} component
 * @returns {boolean}
 */
function isAbout({ components }, component) {
  return components.length === 0 || components.includes(component);
}

/**
 * @param {Pick<Open, "automatic" | "components">} incident
 * @param {readonly Component[]} components that are probed
 * @returns {boolean} whether probes opened it, and none of its components is probed any more
 */
export function isUnwatched(incident, components) {
  return incident.automatic && !components.some(({ id }) => isAbout(incident, id));
}

/**
 * @param {string} component
 * @param {readonly Sample[]} samples
 * @returns {{ impact: number | null, since: number, flapping: boolean }} `impact`: 0 if the last two known samples were
 *   `ok`, the smaller impact if both failed, null if nothing is confirmed. Samples that are `unknown` are ignored.
 */
function confirmedState(component, samples) {
  const known = samples
    .filter((sample) => sample.component === component && sample.status !== "unknown")
    .sort((a, b) => b.minute - a.minute)
    .map(({ minute, status }) => ({ minute, impact: impactOf(component, status) }));
  const last = known.slice(0, CONFIRMING_SAMPLES);
  const failing = known.filter(({ impact }) => impact > 0);
  const impacts = last.map(({ impact }) => impact);
  const since = last.at(-1)?.minute ?? 0;
  if (last.length === CONFIRMING_SAMPLES && !impacts.includes(0))
    return { impact: Math.min(...impacts), since, flapping: false };
  if (last.length === CONFIRMING_SAMPLES && impacts.every((impact) => impact === 0))
    return { impact: 0, since, flapping: false };
  const [newest] = known;
  if (newest !== undefined && newest.impact > 0 && failing.length >= FLAPPING_SAMPLES) {
    return { impact: Math.min(...failing.map(({ impact }) => impact)), since: newest.minute, flapping: true };
  }
  return { impact: null, since, flapping: false };
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
