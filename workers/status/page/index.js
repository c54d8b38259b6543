/** Renders the HTML documents: the present status, the history, one incident or maintenance, and "not found". Pure. */

import { LISTED } from "../model.js";
import { incidentArticle, maintenanceArticle, pastIncident } from "./announcements.js";
import { badDayList } from "./bad-days.js";
import { strip, summary } from "./days.js";
import { headline } from "./headline.js";
import { escaped, stamp } from "./html.js";
import { CSS, SCRIPT } from "./inline.js";
import { monthArticle, monthName } from "./months.js";
import { lastRestore } from "./restore.js";
import { componentState, openIncidents, running } from "./state.js";

/** @import { ComponentHealth } from "../../lib/health.js" */
/** @import { Component, History, Incident, Maintenance, Snapshot } from "../model.js" */
/** @import { Extent } from "./announcements.js" */
/** @import { State } from "./headline.js" */
/** @import { ComponentState } from "./state.js" */

const RECENT_MILLISECONDS = 14 * 24 * 60 * 60_000;

/** Limits of the first page, so that it stays small; the history shows the rest. */
const SHOWN_PAST = 5;
const SHOWN_ARTICLES = 3;
const SHOWN_UPDATES = 3;
const SHOWN_CHARACTERS = 300;

/** Colours of the tab icon, which cannot use the style sheet; they suit the light and the dark theme. */
/** @type {Record<State, string>} */
const ICON_COLOURS = { ok: "#2a9d5c", degraded: "#d08414", down: "#d93f35", maintenance: "#3b7ddd" };

const UNKNOWN_COLOUR = "#888888";

/** @type {Record<ComponentHealth, string>} */
const WORDS = { ok: "Operational", degraded: "Degraded", down: "Down", unknown: "Unknown" };

/** The result of the checks, shown beside an open incident. */
/** @type {Record<ComponentHealth, string>} */
const SEEN = {
  ok: "our checks pass",
  degraded: "degraded in our checks",
  down: "down in our checks",
  unknown: "not confirmed by our checks",
};

/**
 * @param {Snapshot} snapshot
 * @param {string} nonce that the content security policy gives to style and script
 * @returns {string} the HTML document for `/`
 */
export function renderPage(snapshot, nonce) {
  const { state, text, remarks } = headline(snapshot);
  const { time, history, probe } = snapshot;
  const waiting = probe.pending.includes("api") ? " (no answer yet)" : "";
  const main = `<section id=now class=${state}>
<div role=status><h1>${text}</h1></div>
${remarks.map((remark) => `<p>${remark}</p>`).join("\n")}
<p><small>Checked live at <time datetime="${time.toISOString()}">${clock(time)}</time>${waiting}, and again every minute.</small></p>
</section>
${history === null ? "" : announced(snapshot, history)}
<h2>Components</h2>
<ul id=components>
${history === null ? "" : "<li class=row><small>90 days ago</small><small>up, of known minutes</small><small>today</small></li>"}
${snapshot.components.map((component) => componentItem(component, snapshot)).join("\n")}
</ul>
${history === null ? "" : past(snapshot, history)}
${lastRestore(snapshot.restore)}`;
  return documentOf(snapshot, nonce, { state, title: text, main, refreshes: true });
}

/**
 * @param {Snapshot} snapshot
 * @param {string} nonce that the content security policy gives to style and script
 * @returns {string} the HTML document for `/history`
 */
export function renderHistory(snapshot, nonce) {
  const { history, components } = snapshot;
  const main =
    history === null
      ? "<h1>History</h1>\n<p>The history is unavailable at the moment.</p>"
      : `<h1>History</h1>
<p>The last 90 days${history.since === null ? "" : `; recorded since ${stamp(history.since)}`}.</p>
<h2>Uptime</h2>
${history.months.map(monthArticle).join("\n") || "<p>No month has been counted yet.</p>"}
${accounts(history.accounts)}
<h2>Bad days</h2>
${badDayList(snapshot, history)}
<h2>Incidents</h2>
${listed(history.incidents, history.incidentsTotal, (incident) => incidentArticle(incident, components))}
<h2>Maintenance</h2>
${listed(history.maintenances, history.maintenancesTotal, (plan) => maintenanceArticle(plan, components))}`;
  return documentOf(snapshot, nonce, { state: headline(snapshot).state, title: "History", main, refreshes: false });
}

/**
 * @param {readonly string[]} months earlier months, which are not shown themselves
 * @returns {string} HTML
 */
function accounts(months) {
  if (months.length === 0) return "";
  const links = months.map((month) => `<a href=/sla/${month}.json>${monthName(month)}</a>`);
  return `<p>Details of earlier months: ${links.join(", ")}</p>`;
}

/**
 * @param {Pick<Snapshot, "platform" | "contact" | "time" | "components">} snapshot
 * @param {string} nonce that the content security policy gives to style and script
 * @param {{ incident?: Incident, maintenance?: Maintenance }} subject empty if the history cannot be read
 * @returns {string} the HTML document of one incident or maintenance
 */
export function renderSubject(snapshot, nonce, { incident, maintenance }) {
  const { components } = snapshot;
  const [article, title] = incident
    ? [incidentArticle(incident, components), incident.title]
    : maintenance
      ? [maintenanceArticle(maintenance, components), maintenance.title]
      : ["<p>The history is unavailable at the moment.</p>", "History"];
  const main = `<h1>${incident ? "Incident" : maintenance ? "Maintenance" : "History"}</h1>\n<h2>All updates</h2>\n${article}`;
  return documentOf(snapshot, nonce, { state: null, title: escaped(title), main, refreshes: false });
}

/**
 * @param {Pick<Snapshot, "platform" | "contact" | "time">} page
 * @param {string} nonce
 * @returns {string} the HTML document for an unknown path
 */
export function renderNotFound(page, nonce) {
  const main = `<h1>Page not found</h1>
<p>There is no page at this address. See <a href=/>the current status</a> or <a href=/history>the history</a>.</p>`;
  return documentOf(page, nonce, { state: null, title: "Page not found", main, refreshes: null });
}

/**
 * @template T
 * @param {readonly T[]} items latest first
 * @param {number} total number of items, including those not in `items`
 * @param {(item: T) => string} render
 * @returns {string}
 */
function listed(items, total, render) {
  if (total === 0) return "<p>None.</p>";
  const shown = items.slice(0, LISTED);
  const more = total > shown.length ? [`<p>${total - shown.length} more not shown.</p>`] : [];
  return [...shown.map(render), ...more].join("\n");
}

/**
 * @param {Pick<Snapshot, "platform" | "contact" | "time">} snapshot
 * @param {string} nonce
 * @param {{ state: State | null, title: string, main: string, refreshes: boolean | null }} content `state`: the
 *   platform's, or null; `refreshes`: true also without JavaScript, false with JavaScript only, null never
 * @returns {string}
 */
function documentOf({ platform, contact, time }, nonce, { state, title, main, refreshes }) {
  const name = escaped(`${platform} status`);
  const address = escaped(contact);
  return `<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta name=viewport content=width=device-width>
<title>${title} – ${name}</title>
<link rel=icon href="${icon(state)}">
<link rel=alternate type=application/atom+xml href=/feed.atom>
${refreshes ? "<noscript><meta http-equiv=refresh content=60></noscript>" : ""}
<style nonce="${nonce}">${CSS}</style>
<header><a href=/>${name}</a>
<p id=notice><b role=status></b> <i></i></p></header>
<main data-at="${time.toISOString()}">
${main}
</main>
<footer>
<p>Questions about availability: <a href="mailto:${address}">${address}</a></p>
<p><a href=/history>History</a> <a href=/feed.atom>Atom feed</a> <a href=/api/v2/summary.json>JSON</a></p>
</footer>
${refreshes === null ? "" : `<script nonce="${nonce}">${SCRIPT}</script>`}
</html>
`;
}

/**
 * @param {Snapshot} snapshot
 * @param {History} history
 * @returns {string} open incidents, and maintenance in progress or planned
 */
function announced(snapshot, { maintenances }) {
  const { components, time } = snapshot;
  const upcoming = maintenances.filter(({ status }) => status === "scheduled").reverse();
  const planned = [...running(maintenances, time), ...upcoming];
  return [
    ...section("Incidents", openIncidents(snapshot), (incident, extent) =>
      incidentArticle(incident, components, extent),
    ),
    ...section("Maintenance", planned, (plan, extent) => maintenanceArticle(plan, components, extent)),
  ].join("\n");
}

/**
 * @template T
 * @param {string} title
 * @param {readonly T[]} items
 * @param {(item: T, extent: Extent) => string} render
 * @returns {string[]} HTML: the first items, which share the limit of updates
 */
function section(title, items, render) {
  if (items.length === 0) return [];
  const extent = { updates: Math.ceil(SHOWN_UPDATES / items.length), characters: SHOWN_CHARACTERS };
  const more = items.length - SHOWN_ARTICLES;
  return [
    `<h2>${title}</h2>`,
    ...items.slice(0, SHOWN_ARTICLES).map((item) => render(item, extent)),
    ...(more > 0 ? [`<p><a href=/history>${more} more</a></p>`] : []),
  ];
}

/**
 * @param {Component} component
 * @param {Snapshot} snapshot
 * @returns {string}
 */
function componentItem({ id, name }, snapshot) {
  const { time, history } = snapshot;
  const state = componentState(id, snapshot);
  const days = history?.days[id] ?? [];
  const { figure, rest } = summary(days, time);
  // A pending component shows its recorded state with the time of the record, but not the sign for `ok`.
  const old = snapshot.probe.pending.includes(id) && state.seen !== "unknown" && history?.lastSampleAt;
  const sign = old && state.state === "ok" ? "unknown" : state.state;
  const words = `${wordsOf(state)}${old ? ` at ${clock(old).slice(11, 16)} UTC` : ""}`;
  return `<li><h3>${escaped(name)} <b class=${sign}>${words}</b></h3>${
    history === null ? "" : `${strip(days, time)}<small><b>${figure}</b>${rest}</small>`
  }`;
}

/**
 * @param {ComponentState} state
 * @returns {string} `Major incident; our checks pass`: the incident first, because the sign shows it as well
 */
function wordsOf({ seen, incident, maintained }) {
  if (incident !== "none") {
    const name = `${incident.charAt(0).toUpperCase()}${incident.slice(1)} incident`;
    return `${name}${maintained ? ", under maintenance" : ""}; ${SEEN[seen]}`;
  }
  if (!maintained) return WORDS[seen];
  return seen === "ok" ? "Under maintenance" : `Under maintenance, ${WORDS[seen].toLowerCase()}`;
}

/**
 * @param {Snapshot} snapshot
 * @param {History} history
 * @returns {string} the last two months and recent incidents
 */
function past({ time }, { months, incidents }) {
  const recent = incidents.filter(
    ({ resolvedAt }) => resolvedAt !== null && time.getTime() - resolvedAt.getTime() < RECENT_MILLISECONDS,
  );
  const list = `<ul>${recent.slice(0, SHOWN_PAST).map(pastIncident).join("\n")}</ul>`;
  return `<h2>Uptime</h2>
${months.map(monthArticle).join("\n") || "<p>No month has been counted yet.</p>"}
<h2>Past incidents</h2>
${recent.length > 0 ? list : "<p>None in the last 14 days.</p>"}
<p><a href=/history>All of the last 90 days</a></p>`;
}

/**
 * @param {Date} time
 * @returns {string} to the second
 */
function clock(time) {
  const iso = time.toISOString();
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
}

/**
 * @param {State | null} state
 * @returns {string} a `data:` address
 */
function icon(state) {
  const drawing = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='-1 -1 2 2'><circle r='1' fill='${state === null ? UNKNOWN_COLOUR : ICON_COLOURS[state]}'/></svg>`;
  return `data:image/svg+xml,${drawing.replace("#", "%23")}`;
}
