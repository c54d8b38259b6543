/** The page: what was seen, in words first, then in colour and shape. Pure. */

import { STYLE } from "./style.js";

/** @import { ComponentHealth, Health } from "../lib/health.js" */
/** @import { History } from "./history.js" */
/** @import { Probe, ProbedComponent } from "./probe.js" */

/**
 * @typedef {object} View
 * @property {string} platform display name
 * @property {string} contact e-mail address
 * @property {string} nonce that the content security policy gives to the style
 * @property {Date} time of the probe
 * @property {Probe} probe
 * @property {History | null} history null when it cannot be read
 */

/** @type {Record<Health, string>} */
const HEADLINES = {
  ok: "All systems operational",
  degraded: "Not everything is confirmed to work",
  down: "The platform is not available",
};

/** @type {Record<ComponentHealth, string>} */
const WORDS = { ok: "Operational", degraded: "Degraded", down: "Down", unknown: "Unknown" };

/** Shapes that differ without colour, drawn in a square of 16. */
/** @type {Record<ComponentHealth, string>} */
const SHAPES = {
  ok: "M2.5 8.5l3.5 3.5 7.5-8",
  degraded: "M8 2v7.5M8 12.5v1.5",
  down: "M3 3l10 10M13 3L3 13",
  unknown: "M2.5 8h11",
};

/** Colours of the tab's icon, which sees no style sheet: between the light and the dark theme's. */
/** @type {Record<Health, string>} */
const ICON_COLOURS = { ok: "#2a9d5c", degraded: "#d08414", down: "#d93f35" };

/** @type {Record<ProbedComponent, string>} */
const NAMES = { api: "API", edge: "Edge", database: "Database", objectStorage: "Object storage" };

/**
 * @param {View} view
 * @returns {string} a whole HTML document
 */
export function render({ platform, contact, nonce, time, probe, history }) {
  const title = escaped(`${platform} status`);
  const address = escaped(contact);
  const components = /** @type {ProbedComponent[]} */ (Object.keys(NAMES));
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${HEADLINES[probe.status]} – ${title}</title>
<link rel="icon" href="${icon(probe.status)}">
<style nonce="${nonce}">${STYLE}</style>
<header>
<h1>${title}</h1>
</header>
<main>
<div class="headline ${probe.status}">
<strong>${HEADLINES[probe.status]}</strong>
${probe.answered ? "" : "<p>The API did not answer the check with a health report.</p>"}
<p class="quiet">Checked live at ${stamp(time)}. This page refreshes every minute.</p>
</div>
<h2>Components</h2>
<ul>
${components.map((name) => item(name, probe.components[name], history)).join("\n")}
</ul>
<h2>History</h2>
<p>${sinceWhen(history)}</p>
</main>
<footer>
<p>Questions about availability: <a href="mailto:${address}">${address}</a></p>
</footer>
</html>
`;
}

/**
 * @param {ProbedComponent} name
 * @param {ComponentHealth} state
 * @param {History | null} history
 * @returns {string}
 */
function item(name, state, history) {
  const drawing = `<svg viewBox="0 0 16 16" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="2.25" stroke-linecap="round"><path d="${SHAPES[state]}"/></svg>`;
  const minutes = history?.minutes[name];
  const share = minutes === undefined ? "" : `<span class="quiet">${shareOk(minutes)}</span>`;
  return `<li><span class="name">${NAMES[name]}</span><span class="state ${state}">${drawing}${WORDS[state]}</span>${share}</li>`;
}

/**
 * @param {{ ok: number, recorded: number }} minutes
 * @returns {string} a share cut off, never rounded up to a 100 % that was not
 */
function shareOk({ ok, recorded }) {
  const percent = Math.floor((ok / recorded) * 10_000) / 100;
  return `Last 24 hours: operational in ${ok} of ${recorded} recorded minutes (${percent} %)`;
}

/**
 * @param {History | null} history
 * @returns {string}
 */
function sinceWhen(history) {
  if (history === null) return "The history is unavailable at the moment. What is shown above was checked live.";
  if (history.since === null) return "The history begins with the first recorded minute; none has been recorded yet.";
  return `The history begins with the first recorded minute, ${stamp(history.since)}.`;
}

/**
 * @param {Date} time
 * @returns {string}
 */
function stamp(time) {
  const iso = time.toISOString();
  return `<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC</time>`;
}

/**
 * @param {Health} state
 * @returns {string} a `data:` address
 */
function icon(state) {
  const drawing = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="${ICON_COLOURS[state]}"/></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(drawing)}`;
}

/**
 * @param {string} text
 * @returns {string} safe in HTML text and quoted attributes
 */
function escaped(text) {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
