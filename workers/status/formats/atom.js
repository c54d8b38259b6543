/** The Atom feed (RFC 4287), with ids as `tag:` URIs (RFC 4151). Pure. */

import { xml } from "../../lib/xml.js";
import { LISTED } from "../model.js";
import { affected, corrected, incidentTimes, maintenanceTimes, wordOf } from "../page/announcements.js";
import { counted, escaped, stamp } from "../page/html.js";

/** @import { Incident, Maintenance, Snapshot, Update } from "../model.js" */

/**
 * @typedef {object} Entry
 * @property {string} id
 * @property {"incident" | "maintenance"} kind
 * @property {string} title
 * @property {Date} published
 * @property {Date} updated
 * @property {string[]} facts HTML; empty strings are omitted
 * @property {Update[]} updates newest first
 * @property {number} updatesTotal
 */

/**
 * @param {Snapshot} snapshot
 * @returns {string} a complete feed: an entry for each incident and maintenance of the last 90 days with its updates, the
 *   most recently updated first. Without a history it has no entries and states the reason; feed readers keep the entries
 *   they have.
 */
export function atom(snapshot) {
  const { platform, contact, origin, time, history } = snapshot;
  const entries = [
    ...(history?.incidents ?? []).slice(0, LISTED).map((incident) => incidentEntry(incident, snapshot)),
    ...(history?.maintenances ?? []).slice(0, LISTED).map((maintenance) => maintenanceEntry(maintenance, snapshot)),
  ].sort((a, b) => b.updated.getTime() - a.updated.getTime());
  const updated = entries[0]?.updated ?? history?.since ?? time;
  const hidden = (history?.incidentsTotal ?? 0) + (history?.maintenancesTotal ?? 0) - entries.length;
  const remark =
    history === null
      ? "The history is unavailable at the moment."
      : `Incidents and maintenance${hidden > 0 ? `; ${hidden} more not shown` : ""}`;
  return `<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en">
<id>${xml(`${origin}/feed.atom`)}</id>
<title>${xml(`${platform} status`)}</title>
<subtitle>${remark}</subtitle>
<updated>${updated.toISOString()}</updated>
<author><name>${xml(platform)}</name><email>${xml(contact)}</email></author>
<link rel="self" type="application/atom+xml" href="${xml(`${origin}/feed.atom`)}"/>
<link rel="alternate" type="text/html" href="${xml(`${origin}/`)}"/>
${entries.map((entry) => entryElement(entry, origin)).join("")}</feed>
`;
}

/**
 * @param {Snapshot} snapshot
 * @returns {Date | null} time of the feed's last change; null if unknown
 */
export function feedChangedAt({ history }) {
  if (history === null) return null;
  const times = [...history.incidents, ...history.maintenances].map(({ updatedAt }) => updatedAt.getTime());
  const since = history.since === null ? [] : [history.since.getTime()];
  return times.length + since.length === 0 ? null : new Date(Math.max(...since, ...times));
}

/**
 * @param {Incident} incident
 * @param {Snapshot} snapshot
 * @returns {Entry}
 */
function incidentEntry(incident, snapshot) {
  return {
    ...incident,
    kind: "incident",
    published: incident.announcedAt,
    updated: incident.updatedAt,
    facts: [
      incident.impact === "none" ? "No impact" : `${displayed(incident.impact)} impact`,
      affected(incident.components, snapshot.components),
      incidentTimes(incident),
    ],
  };
}

/**
 * @param {Maintenance} maintenance
 * @param {Snapshot} snapshot
 * @returns {Entry}
 */
function maintenanceEntry(maintenance, snapshot) {
  return {
    ...maintenance,
    kind: "maintenance",
    published: maintenance.announcedAt,
    updated: maintenance.updatedAt,
    facts: [
      maintenance.emergency ? "Emergency maintenance" : "Maintenance",
      displayed(maintenance.status).toLowerCase(),
      affected(maintenance.components, snapshot.components),
      maintenanceTimes(maintenance),
    ],
  };
}

/**
 * @param {Entry} entry
 * @param {string} origin
 * @returns {string}
 */
function entryElement({ id, kind, title, published, updated, facts, updates, updatesTotal }, origin) {
  // The date in the id is that of the first update, so the id never changes.
  const tag = `tag:${new URL(origin).hostname},${published.toISOString().slice(0, 10)}:${kind}/${id}`;
  const story = [
    `<p><small>${facts.filter((fact) => fact !== "").join(" · ")}</small></p>`,
    ...updates.map(
      ({ status, body, at, correctedAt }) =>
        `<p dir="auto"><b>${wordOf(status)}</b> <small>${stamp(at)}${corrected(correctedAt)}</small><br>${escaped(body).replaceAll("\n", "<br>")}</p>`,
    ),
    ...(updatesTotal > updates.length
      ? [`<p>${counted(updatesTotal - updates.length, "earlier update")} not shown.</p>`]
      : []),
  ];
  return `<entry>
<id>${xml(tag)}</id>
<title>${xml(title)}</title>
<published>${published.toISOString()}</published>
<updated>${updated.toISOString()}</updated>
<link rel="alternate" type="text/html" href="${xml(`${origin}/${kind === "incident" ? "incidents" : kind}/${id}`)}"/>
<category term="${kind}"/>
<content type="html">${xml(story.join(""))}</content>
</entry>
`;
}

/**
 * @param {string} word a value such as `in_progress`
 * @returns {string} for display: `In progress`
 */
function displayed(word) {
  return `${word.charAt(0).toUpperCase()}${word.slice(1).replaceAll("_", " ")}`;
}
