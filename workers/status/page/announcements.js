/** Incidents and maintenance, with every word that was said of them. Pure. */

import { MINUTE } from "../uptime.js";
import { counted, duration, escaped, stamp, stretch } from "./html.js";
import { begunAt, endedAt } from "./state.js";

/** @import { Component, Impact, Incident, Maintenance, UpdateStatus } from "../model.js" */

/**
 * @typedef {object} Extent how much of an announcement is shown
 * @property {number} updates the latest
 * @property {number} characters of each text
 */

/** @type {Extent} */
const WHOLE = { updates: Number.POSITIVE_INFINITY, characters: Number.POSITIVE_INFINITY };

/** Of a title where its announcement is only named. */
const NAME_CHARACTERS = 80;

/** @type {Record<UpdateStatus, string>} */
const STATUSES = {
  investigating: "Investigating",
  identified: "Identified",
  monitoring: "Monitoring",
  resolved: "Resolved",
  postmortem: "Post-mortem",
  scheduled: "Scheduled",
  in_progress: "In progress",
  completed: "Completed",
  cancelled: "Cancelled",
};

/**
 * @param {UpdateStatus} status
 * @returns {string} what a word with that status is called beside the time at which it was said; `Scheduled` would read
 *   as if the work were at that time
 */
export function wordOf(status) {
  return status === "scheduled" ? "Announced" : STATUSES[status];
}

/** @type {Record<Impact, { state: string, text: string }>} */
const IMPACTS = {
  none: { state: "unknown", text: "No impact" },
  minor: { state: "degraded", text: "Minor impact" },
  major: { state: "down", text: "Major impact" },
  critical: { state: "down", text: "Critical impact" },
};

/**
 * @param {Incident} incident
 * @param {readonly Component[]} components
 * @param {Extent} [extent]
 * @returns {string}
 */
export function incidentArticle(incident, components, extent = WHOLE) {
  const { state, text } = IMPACTS[incident.impact];
  return article(incident, "incidents", state, extent, "", [
    `<b class=${state}>${text}</b>`,
    incident.resolvedAt === null ? STATUSES[incident.status] : "",
    affected(incident.components, components),
    incidentTimes(incident),
  ]);
}

/**
 * @param {Maintenance} maintenance
 * @param {readonly Component[]} components
 * @param {Extent} [extent]
 * @returns {string}
 */
export function maintenanceArticle(maintenance, components, extent = WHOLE) {
  const { status, emergency } = maintenance;
  const ahead = status === "scheduled" || status === "in_progress";
  const times = maintenanceTimes(maintenance).replace(/^since/, "Since");
  return article(maintenance, "maintenance", "maintenance", extent, times, [
    emergency ? "<b class=degraded>Emergency maintenance</b>" : "",
    `<b class=${ahead ? "maintenance" : "unknown"}>${STATUSES[status]}</b>`,
    affected(maintenance.components, components),
  ]);
}

/**
 * @param {Incident} incident that is over
 * @returns {string} its name, its start and how long it took; the history has the rest
 */
export function pastIncident(incident) {
  const { id, title, impact, startedAt, resolvedAt } = incident;
  const minutes = ((resolvedAt ?? startedAt).getTime() - startedAt.getTime()) / MINUTE;
  return `<li><a href="/incidents/${escaped(id)}" dir=auto>${escaped(cut(title, NAME_CHARACTERS))}</a>
<p><small>${IMPACTS[impact].text} · ${stamp(startedAt)} (${duration(minutes)})</small>`;
}

/**
 * @param {Incident} incident
 * @returns {string} HTML
 */
export function incidentTimes({ startedAt, resolvedAt }) {
  return resolvedAt === null ? `since ${stamp(startedAt)}` : lasting(startedAt, resolvedAt);
}

/**
 * @param {Maintenance} maintenance
 * @returns {string} HTML: what happened, as far as it has, and what is planned
 */
export function maintenanceTimes(maintenance) {
  const { status, startsAt, endsAt } = maintenance;
  if (status === "in_progress") return `since ${stamp(begunAt(maintenance))}, planned until ${stamp(endsAt)}`;
  if (status === "completed") return lasting(begunAt(maintenance), endedAt(maintenance));
  return lasting(startsAt, endsAt);
}

/**
 * @param {Pick<Incident | Maintenance, "id" | "title" | "updates" | "updatesTotal">} subject
 * @param {"incidents" | "maintenance"} kind as addresses name it
 * @param {string} state
 * @param {Extent} extent
 * @param {string} times HTML: when it is, where a reader plans by that; or empty
 * @param {string[]} facts HTML; empty ones are left out
 * @returns {string}
 */
function article({ id, title, updates, updatesTotal }, kind, state, extent, times, facts) {
  const shown = updates.slice(0, extent.updates);
  const name = cut(title, extent.characters);
  const items = shown.map(
    ({ id, status, body, at, correctedAt }) =>
      `<li id="${escaped(id)}"><b>${wordOf(status)}</b> <small>${stamp(at)}${corrected(correctedAt)}</small><p dir=auto>${escaped(cut(body, extent.characters))}`,
  );
  const parts = [
    `<article id="${escaped(id)}" class=${state}><h3 dir=auto>${escaped(name)}</h3>`,
    ...(times === "" ? [] : [`<p><b>${times}</b>`]),
    `<p><small>${facts.filter((fact) => fact !== "").join(" · ")}</small>`,
    ...(items.length > 0 ? [`<ul>${items.join("")}</ul>`] : []),
  ];
  const hidden = updatesTotal - shown.length;
  const isCut = name !== title || shown.some(({ body }) => cut(body, extent.characters) !== body);
  const rest = hidden > 0 ? counted(hidden, "earlier update") : "The whole text";
  if (extent === WHOLE && hidden > 0) parts.push(`<p>${rest} not shown.</p>`);
  else if (hidden > 0 || isCut) parts.push(`<p><a href="/${kind}/${escaped(id)}">${rest}</a></p>`);
  return `${parts.join("\n")}</article>`;
}

/**
 * @param {Date | null} time
 * @returns {string} HTML: when a text was amended or withdrawn, if it was
 */
export function corrected(time) {
  return time ? `, corrected ${stamp(time)}` : "";
}

/**
 * @param {string} text
 * @param {number} characters
 * @returns {string} at most that much of it, and no half of a character
 */
function cut(text, characters) {
  if (text.length <= characters) return text;
  return `${text
    .slice(0, characters)
    .replace(/[\ud800-\udbff]$/, "")
    .trimEnd()}…`;
}

/**
 * @param {readonly string[]} ids
 * @param {readonly Component[]} components
 * @returns {string} HTML: their names, or the id of one that is no longer watched
 */
export function affected(ids, components) {
  const names = ids.map((id) => escaped(components.find((component) => component.id === id)?.name ?? id));
  return names.length === 0 ? "" : `affects ${names.join(", ")}`;
}

/**
 * @param {Date} from
 * @param {Date} to
 * @returns {string} both ends, and how long that is
 */
function lasting(from, to) {
  return `${stretch(from, to)} (${duration((to.getTime() - from.getTime()) / MINUTE)})`;
}
