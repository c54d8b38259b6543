/** Renders incidents and maintenances with their updates. Pure. */

import { MINUTE } from "../uptime.js";
import { counted, duration, escaped, stamp, stretch } from "./html.js";
import { begunAt, endedAt } from "./state.js";

/** @import { Component, Impact, Incident, Maintenance, UpdateStatus } from "../model.js" */

/**
 * @typedef {object} Extent how much of an announcement is shown
 * @property {number} updates maximum number of updates, the latest ones
 * @property {number} characters maximum length of each text
 */

/** @type {Extent} */
const WHOLE = { updates: Number.POSITIVE_INFINITY, characters: Number.POSITIVE_INFINITY };

/** Maximum length of a title in a list of past incidents. */
const TITLE_CHARACTERS = 80;

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
 * @returns {string} label of an update with that status, shown beside the time of the update. Not `Scheduled`, which could
 *   be read as the time of the work.
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
 * @param {Incident} incident a resolved one
 * @returns {string} its title, start and duration
 */
export function pastIncident(incident) {
  const { id, title, impact, startedAt, resolvedAt } = incident;
  const minutes = ((resolvedAt ?? startedAt).getTime() - startedAt.getTime()) / MINUTE;
  return `<li><a href="/incidents/${escaped(id)}" dir=auto>${escaped(cut(title, TITLE_CHARACTERS))}</a>
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
 * @returns {string} HTML: the actual times as far as they are past, otherwise the planned ones
 */
export function maintenanceTimes(maintenance) {
  const { status, startsAt, endsAt } = maintenance;
  if (status === "in_progress") return `since ${stamp(begunAt(maintenance))}, planned until ${stamp(endsAt)}`;
  if (status === "completed") return lasting(begunAt(maintenance), endedAt(maintenance));
  return lasting(startsAt, endsAt);
}

/**
 * @param {Pick<Incident | Maintenance, "id" | "title" | "updates" | "updatesTotal">} subject
 * @param {"incidents" | "maintenance"} kind first part of its path
 * @param {string} state
 * @param {Extent} extent
 * @param {string} times HTML: the times, to be emphasised; or empty
 * @param {string[]} facts HTML; empty strings are omitted
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
 * @returns {string} HTML: the time of a text's correction; empty without one
 */
export function corrected(time) {
  return time ? `, corrected ${stamp(time)}` : "";
}

/**
 * @param {string} text
 * @param {number} characters
 * @returns {string} the text, truncated without splitting a surrogate pair
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
 * @returns {string} HTML: the components' names, or the id of a component that was removed
 */
export function affected(ids, components) {
  const names = ids.map((id) => escaped(components.find((component) => component.id === id)?.name ?? id));
  return names.length === 0 ? "" : `affects ${names.join(", ")}`;
}

/**
 * @param {Date} from
 * @param {Date} to
 * @returns {string} HTML: start, end and duration
 */
function lasting(from, to) {
  return `${stretch(from, to)} (${duration((to.getTime() - from.getTime()) / MINUTE)})`;
}
