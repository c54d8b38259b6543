/** Incidents and maintenance, with every word that was said of them. Pure. */

import { MINUTE } from "../uptime.js";
import { counted, duration, escaped, stamp, stretch } from "./html.js";

/** @import { Component, Impact, Incident, IncidentStatus, Maintenance, MaintenanceStatus, Update } from "../model.js" */

/** More than the latest updates are folded away on the first page. */
const SHOWN_UPDATES = 3;

/** @type {Record<IncidentStatus | MaintenanceStatus, string>} */
const STATUSES = {
  investigating: "Investigating",
  identified: "Identified",
  monitoring: "Monitoring",
  resolved: "Resolved",
  scheduled: "Scheduled",
  in_progress: "In progress",
  completed: "Completed",
  cancelled: "Cancelled",
};

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
 * @param {boolean} whole whether all updates are unfolded
 * @returns {string}
 */
export function incidentArticle(incident, components, whole) {
  const { state, text } = IMPACTS[incident.impact];
  return article(incident, state, whole, [
    `<b class="${state}">${text}</b>`,
    incident.resolvedAt === null ? STATUSES[incident.status] : "",
    affected(incident.components, components),
    incident.resolvedAt === null
      ? `since ${stamp(incident.startedAt)}`
      : `${stretch(incident.startedAt, incident.resolvedAt)} (${lasted(incident.startedAt, incident.resolvedAt)})`,
  ]);
}

/**
 * @param {Maintenance} maintenance
 * @param {readonly Component[]} components
 * @param {boolean} whole whether all updates are unfolded
 * @returns {string}
 */
export function maintenanceArticle(maintenance, components, whole) {
  const { status, emergency, startsAt, endsAt } = maintenance;
  return article(maintenance, "maintenance", whole, [
    emergency ? '<b class="degraded">Emergency maintenance</b>' : "",
    `<b class="${status === "in_progress" ? "maintenance" : "unknown"}">${STATUSES[status]}</b>`,
    affected(maintenance.components, components),
    `${stretch(startsAt, endsAt)} (${lasted(startsAt, endsAt)})`,
  ]);
}

/**
 * @param {Incident} incident that is over
 * @param {readonly Component[]} components
 * @returns {string} folded
 */
export function pastIncident(incident, components) {
  const { id, title, startedAt, resolvedAt, impact, updates } = incident;
  const end = resolvedAt ?? startedAt;
  return `<details id="${escaped(id)}"><summary><b dir="auto">${escaped(title)}</b> <small>${IMPACTS[impact].text} · ${stretch(startedAt, end)} (${lasted(startedAt, end)})</small></summary>
<p><small>${affected(incident.components, components)}</small></p>
${updateList(updates)}
</details>`;
}

/**
 * @param {{ id: string, title: string, updates: Update[] }} subject
 * @param {string} state
 * @param {boolean} whole
 * @param {string[]} facts HTML; empty ones are left out
 * @returns {string}
 */
function article({ id, title, updates }, state, whole, facts) {
  const shown = whole ? updates.length : SHOWN_UPDATES;
  const earlier = updates.slice(shown);
  const folded = `<details><summary>${counted(earlier.length, "earlier update")}</summary>${updateList(earlier)}</details>`;
  return `<article id="${escaped(id)}" class="${state}"><h3 dir="auto">${escaped(title)}</h3>
<p><small>${facts.filter((fact) => fact !== "").join(" · ")}</small></p>
${updateList(updates.slice(0, shown))}${earlier.length > 0 ? folded : ""}
</article>`;
}

/**
 * @param {readonly Update[]} updates
 * @returns {string}
 */
function updateList(updates) {
  const items = updates.map(
    ({ id, status, body, at }) =>
      `<li id="${escaped(id)}"><b>${STATUSES[status]}</b> <small>${stamp(at)}</small><p dir="auto">${escaped(body)}</p></li>`,
  );
  return items.length === 0 ? "" : `<ul>${items.join("\n")}</ul>`;
}

/**
 * @param {readonly string[]} ids
 * @param {readonly Component[]} components
 * @returns {string} HTML: their names, or the id of one that is no longer watched
 */
function affected(ids, components) {
  const names = ids.map((id) => escaped(components.find((component) => component.id === id)?.name ?? id));
  return names.length === 0 ? "" : `affects ${names.join(", ")}`;
}

/**
 * @param {Date} from
 * @param {Date} to
 * @returns {string}
 */
function lasted(from, to) {
  return duration((to.getTime() - from.getTime()) / MINUTE);
}
