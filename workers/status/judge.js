/** When probes open, raise and close incidents. Pure: recent samples in, verdicts out. */

import { ESSENTIAL } from "./components.js";

/** @import { ComponentHealth } from "../lib/health.js" */
/** @import { Component } from "./model.js" */

/** Ranks of `Impact`, as D1 stores it. */
export const IMPACTS = /** @type {const} */ (["none", "minor", "major", "critical"]);

/** A failure or a recovery is believed when two looks in a row agree: one may be the way there. */
export const LOOKS = 2;

/** What comes and goes is believed, too: the third failing look within `LOOK_BACK_MINUTES`. */
const FLAPS = 3;

/** Looks that lie further apart than this are not "in a row": something was off in between. */
export const LOOK_BACK_MINUTES = 15;

/** @typedef {{ component: string, minute: number, status: ComponentHealth }} Sample */

/**
 * @typedef {object} Open incident
 * @property {string} id
 * @property {string} title
 * @property {boolean} automatic
 * @property {number} impact as it stands on the page
 * @property {number} seen the worst that probes have said of it
 * @property {string[]} components
 */

/**
 * @typedef {object} Verdict
 * @property {{ component: string, impact: number, since: number, flapping: boolean }[]} open `since`: the minute of the
 *   first failing look in a row
 * @property {{ id: string, title: string, impact: number }[]} raise `title`: as it stands
 * @property {{ id: string, watched: boolean }[]} close `watched`: seen to work again; otherwise nobody looks any more
 */

/**
 * @param {readonly Component[]} components that are watched
 * @param {readonly Sample[]} samples of the last `LOOK_BACK_MINUTES`
 * @param {readonly Open[]} incidents that are open
 * @returns {Verdict}
 */
export function judge(components, samples, incidents) {
  const beliefs = new Map(components.map(({ id }) => [id, believed(id, samples)]));
  const impactOn = (/** @type {string} */ component) => beliefs.get(component)?.impact ?? null;
  // What an operator declared, an operator raises and resolves.
  const automatic = incidents.filter((incident) => incident.automatic);
  return {
    open: [...beliefs].flatMap(([component, { impact, ...failure }]) =>
      impact === null || impact === 0 || incidents.some((incident) => incident.components.includes(component))
        ? []
        : [{ component, impact, ...failure }],
    ),
    // An operator who has set it lower knows why: only what probes have not said yet raises it.
    raise: automatic.flatMap(({ id, title, impact, seen, components: affected }) => {
      const worst = Math.max(...affected.map((component) => impactOn(component) ?? 0));
      return worst > Math.max(impact, seen) ? [{ id, title, impact: worst }] : [];
    }),
    // Where nothing is watched any more, nothing fails: it is closed for another reason.
    close: automatic
      .filter((incident) => [...beliefs].every(([id, { impact }]) => impact === 0 || !isAbout(incident, id)))
      .map((incident) => ({ id: incident.id, watched: !isUnwatched(incident, components) })),
  };
}

/**
 * @param {Pick<Open, "components">} incident without components it concerns everything
 * @param {string} component
 * @returns {boolean}
 */
function isAbout({ components }, component) {
  return components.length === 0 || components.includes(component);
}

/**
 * @param {Pick<Open, "automatic" | "components">} incident
 * @param {readonly Component[]} components that are watched
 * @returns {boolean} whether probes opened it, and look at nothing any more that it is about
 */
export function isUnwatched(incident, components) {
  return incident.automatic && !components.some(({ id }) => isAbout(incident, id));
}

/**
 * @param {string} component
 * @param {readonly Sample[]} samples
 * @returns {{ impact: number | null, since: number, flapping: boolean }} 0 when the last two known looks were well, the
 *   milder of them when neither was, null when there is nothing to believe. `unknown` says nothing either way.
 */
function believed(component, samples) {
  const looks = samples
    .filter((sample) => sample.component === component && sample.status !== "unknown")
    .sort((a, b) => b.minute - a.minute)
    .map(({ minute, status }) => ({ minute, impact: impactOf(component, status) }));
  const last = looks.slice(0, LOOKS);
  const failing = looks.filter(({ impact }) => impact > 0);
  const impacts = last.map(({ impact }) => impact);
  const since = last.at(-1)?.minute ?? 0;
  if (last.length === LOOKS && !impacts.includes(0)) return { impact: Math.min(...impacts), since, flapping: false };
  if (last.length === LOOKS && impacts.every((impact) => impact === 0)) return { impact: 0, since, flapping: false };
  const [newest] = looks;
  if (newest !== undefined && newest.impact > 0 && failing.length >= FLAPS) {
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
