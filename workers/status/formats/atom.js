/** What feed readers follow: Atom 1.0 (RFC 4287), ids as RFC 4151's `tag:` addresses. Pure. */

import { escaped, stamp } from "../page/html.js";
import { xml } from "./xml.js";

/** @import { Incident, Maintenance, Snapshot, Update } from "../model.js" */

/**
 * @typedef {object} Entry
 * @property {string} id
 * @property {"incident" | "maintenance"} kind
 * @property {string} title
 * @property {Date} published
 * @property {Date} updated
 * @property {string[]} facts HTML
 * @property {Update[]} updates newest first
 */

/**
 * @param {Snapshot} snapshot
 * @returns {string} a whole feed: an entry for each incident and maintenance of the last 90 days, the one that was spoken
 *   of last first, each with everything that was said. Without a history it has no entries and says why: readers keep
 *   those that they have.
 */
export function atom(snapshot) {
  const { platform, contact, origin, time, history } = snapshot;
  const entries = [
    ...(history?.incidents ?? []).map((incident) => incidentEntry(incident, snapshot)),
    ...(history?.maintenances ?? []).map((maintenance) => maintenanceEntry(maintenance, snapshot)),
  ].sort((a, b) => b.updated.getTime() - a.updated.getTime());
  const updated = entries[0]?.updated ?? history?.since ?? time;
  const remark = history === null ? "The history is unavailable at the moment." : "Incidents and maintenance";
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
 * @param {Incident} incident
 * @param {Snapshot} snapshot
 * @returns {Entry}
 */
function incidentEntry({ id, title, impact, components, startedAt, resolvedAt, updatedAt, updates }, snapshot) {
  return {
    id,
    kind: "incident",
    title,
    published: updates.at(-1)?.at ?? startedAt,
    updated: updatedAt,
    facts: [
      impact === "none" ? "No impact" : `${spoken(impact)} impact`,
      ...affected(components, snapshot),
      resolvedAt === null ? `since ${stamp(startedAt)}` : `${stamp(startedAt)} – ${stamp(resolvedAt)}`,
    ],
    updates,
  };
}

/**
 * @param {Maintenance} maintenance
 * @param {Snapshot} snapshot
 * @returns {Entry}
 */
function maintenanceEntry(maintenance, snapshot) {
  const { id, title, status, components, emergency, announcedAt, startsAt, endsAt, updatedAt, updates } = maintenance;
  return {
    id,
    kind: "maintenance",
    title,
    published: announcedAt,
    updated: updatedAt,
    facts: [
      emergency ? "Emergency maintenance" : "Maintenance",
      spoken(status).toLowerCase(),
      ...affected(components, snapshot),
      `${stamp(startsAt)} – ${stamp(endsAt)}`,
    ],
    updates,
  };
}

/**
 * @param {Entry} entry
 * @param {string} origin
 * @returns {string}
 */
function entryElement({ id, kind, title, published, updated, facts, updates }, origin) {
  // The day is that of the first word, which no later word changes.
  const tag = `tag:${new URL(origin).hostname},${published.toISOString().slice(0, 10)}:${kind}/${id}`;
  const story = [
    `<p><small>${facts.join(" · ")}</small></p>`,
    ...updates.map(
      ({ status, body, at }) =>
        `<p dir="auto"><b>${spoken(status)}</b> <small>${stamp(at)}</small><br>${escaped(body).replaceAll("\n", "<br>")}</p>`,
    ),
  ];
  return `<entry>
<id>${xml(tag)}</id>
<title>${xml(title)}</title>
<published>${published.toISOString()}</published>
<updated>${updated.toISOString()}</updated>
<link rel="alternate" type="text/html" href="${xml(`${origin}/history#${id}`)}"/>
<category term="${kind}"/>
<content type="html">${xml(story.join(""))}</content>
</entry>
`;
}

/**
 * @param {readonly string[]} ids
 * @param {Snapshot} snapshot
 * @returns {string[]} HTML: one fact, or none
 */
function affected(ids, { components }) {
  const names = ids.map((id) => escaped(components.find((component) => component.id === id)?.name ?? id));
  return names.length === 0 ? [] : [`affects ${names.join(", ")}`];
}

/**
 * @param {string} word of the model
 * @returns {string} as people write it: `In progress`
 */
function spoken(word) {
  return `${word.charAt(0).toUpperCase()}${word.slice(1).replaceAll("_", " ")}`;
}
