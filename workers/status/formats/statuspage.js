/**
 * JSON files compatible with the public API v2 of Atlassian Statuspage (`https://PAGE/api`), field for field, so that
 * its clients can read this page. The overall status follows
 * https://support.atlassian.com/statuspage/docs/top-level-status-and-incident-impact-calculations/. Pure.
 *
 * One difference: `updated_at` of the page and of its components is the time of the check, not of the last change. The
 * header `x-history-available` (index.js) states whether D1 answered; it is not a field, because strict decoders refuse
 * unknown fields. Without D1 there is only the live check, and the lists of incidents and maintenances are empty.
 */

import { headline } from "../page/headline.js";
import { begunAt, componentState, endedAt, openIncidents, running } from "../page/state.js";

/** @import { Component, Impact, Incident, Maintenance, Snapshot, UpdateStatus } from "../model.js" */
/** @import { ComponentState } from "../page/state.js" */

/** @typedef {"operational" | "degraded_performance" | "partial_outage" | "major_outage" | "under_maintenance"} ComponentStatus */

/** Statuspage has no value for `unknown`. `degraded_performance` is the mildest value that claims no success. */
/** @type {Record<ComponentState["state"], ComponentStatus>} */
const STATUSES = {
  ok: "operational",
  unknown: "degraded_performance",
  degraded: "degraded_performance",
  partial: "partial_outage",
  down: "major_outage",
  maintenance: "under_maintenance",
};

/** The status that an incident's impact gives to its components. */
/** @type {Record<Impact, ComponentStatus>} */
const DECLARED = {
  none: "operational",
  minor: "degraded_performance",
  major: "partial_outage",
  critical: "major_outage",
};

/**
 * The files below `/api/v2/`; `live`: whether they contain the present state, which needs a live check.
 *
 * @type {Record<string, { live: boolean }>}
 */
export const FILES = {
  "summary.json": { live: true },
  "status.json": { live: true },
  "components.json": { live: true },
  "incidents.json": { live: false },
  "incidents/unresolved.json": { live: false },
  "scheduled-maintenances.json": { live: false },
  "scheduled-maintenances/upcoming.json": { live: false },
  "scheduled-maintenances/active.json": { live: false },
};

/**
 * @param {Snapshot} snapshot
 * @returns {Record<keyof typeof FILES, () => object>} name of each file below `/api/v2/` to its body
 */
export function statuspage(snapshot) {
  const { history } = snapshot;
  const incidents = history?.incidents ?? [];
  const maintenances = (history?.maintenances ?? []).filter(({ status }) => status !== "cancelled");
  const unresolved = openIncidents(snapshot);
  const active = running(maintenances, snapshot.time);
  // The earliest first.
  const upcoming = maintenances.filter(({ status }) => status === "scheduled").reverse();

  const page = pageOf(snapshot);
  const status = statusOf(snapshot);
  const components = snapshot.components.map((component) => componentOf(component, snapshot));
  const listed = (/** @type {Incident[]} */ some) => some.map((incident) => incidentOf(incident, snapshot));
  const planned = (/** @type {Maintenance[]} */ some) => some.map((plan) => maintenanceOf(plan, snapshot));
  const file = (/** @type {() => object} */ content) => () => ({ page, ...content() });
  return {
    "summary.json": file(() => ({
      components,
      incidents: listed(unresolved),
      scheduled_maintenances: planned([...active, ...upcoming]),
      status,
    })),
    "status.json": file(() => ({ status })),
    "components.json": file(() => ({ components })),
    "incidents.json": file(() => ({ incidents: listed(incidents) })),
    "incidents/unresolved.json": file(() => ({ incidents: listed(unresolved) })),
    "scheduled-maintenances.json": file(() => ({ scheduled_maintenances: planned(maintenances) })),
    "scheduled-maintenances/upcoming.json": file(() => ({ scheduled_maintenances: planned(upcoming) })),
    "scheduled-maintenances/active.json": file(() => ({ scheduled_maintenances: planned(active) })),
  };
}

/**
 * @param {Snapshot} snapshot
 * @returns {object}
 */
function pageOf({ origin, platform, probe }) {
  return { id: pageId(origin), name: platform, url: origin, time_zone: "Etc/UTC", updated_at: probe.at.toISOString() };
}

/**
 * @param {string} origin
 * @returns {string} the page's hostname serves as its id
 */
function pageId(origin) {
  return new URL(origin).hostname;
}

/**
 * The page's headline in Statuspage's terms. It is never `none` while a component is not confirmed to work, an incident
 * of any impact is open, or the incidents cannot be read.
 *
 * @param {Snapshot} snapshot
 * @returns {{ indicator: Impact | "maintenance", description: string }}
 */
function statusOf(snapshot) {
  const { state } = headline(snapshot);
  if (state === "ok") return { indicator: "none", description: "All Systems Operational" };
  if (state === "maintenance") return { indicator: "maintenance", description: "Service Under Maintenance" };
  if (state === "degraded") {
    const outage = snapshot.components.some(({ id }) =>
      ["partial", "down"].includes(componentState(id, snapshot).state),
    );
    return { indicator: "minor", description: outage ? "Minor Service Outage" : "Partially Degraded Service" };
  }
  const critical = openIncidents(snapshot).some(({ impact }) => impact === "critical");
  return snapshot.probe.status === "down" || critical
    ? { indicator: "critical", description: "Major Service Outage" }
    : { indicator: "major", description: "Partial System Outage" };
}

/**
 * @param {Component} component
 * @param {Snapshot} snapshot
 * @returns {object} the component; `created_at` is the first recorded minute if that is known
 */
function componentOf({ id, name }, snapshot) {
  const { components, origin, time, probe, history } = snapshot;
  const since = history?.since ?? null;
  return {
    id,
    name,
    status: STATUSES[componentState(id, snapshot).state],
    created_at: (since ?? time).toISOString(),
    updated_at: probe.at.toISOString(),
    position: components.findIndex((component) => component.id === id) + 1,
    description: null,
    showcase: true,
    start_date: since?.toISOString().slice(0, 10) ?? null,
    group_id: null,
    page_id: pageId(origin),
    group: false,
    only_show_if_degraded: false,
  };
}

/**
 * @param {Incident} incident
 * @param {Snapshot} snapshot
 * @returns {object}
 */
function incidentOf(incident, snapshot) {
  const { status, impact, announcedAt, startedAt, resolvedAt, updates } = incident;
  const monitored = updates.findLast(({ status }) => status === "monitoring");
  return announcement(incident, snapshot, {
    status,
    impact,
    created_at: announcedAt.toISOString(),
    monitoring_at: monitored?.at.toISOString() ?? null,
    resolved_at: resolvedAt?.toISOString() ?? null,
    started_at: startedAt.toISOString(),
  });
}

/**
 * @param {Maintenance} maintenance
 * @param {Snapshot} snapshot
 * @returns {object}
 */
function maintenanceOf(maintenance, snapshot) {
  const { status, announcedAt, startsAt, endsAt } = maintenance;
  const begun = status === "in_progress" || status === "completed";
  return {
    ...announcement(maintenance, snapshot, {
      status,
      impact: "maintenance",
      created_at: announcedAt.toISOString(),
      monitoring_at: null,
      resolved_at: status === "completed" ? endedAt(maintenance).toISOString() : null,
      started_at: (begun ? begunAt(maintenance) : startsAt).toISOString(),
    }),
    scheduled_for: startsAt.toISOString(),
    scheduled_until: endsAt.toISOString(),
  };
}

/**
 * @param {Incident | Maintenance} subject
 * @param {Snapshot} snapshot
 * @param {{ status: string, impact: Impact | "maintenance" } & Record<string, unknown>} facts
 * @returns {object} the common fields of incidents and maintenances, without components that were removed
 */
function announcement({ id, title, updatedAt, components, updates }, snapshot, facts) {
  const affected = snapshot.components.filter((component) => components.includes(component.id));
  return {
    id,
    name: title,
    ...facts,
    updated_at: updatedAt.toISOString(),
    shortlink: `${snapshot.origin}/${facts.impact === "maintenance" ? "maintenance" : "incidents"}/${id}`,
    page_id: pageId(snapshot.origin),
    incident_updates: updates.map(({ id: update, status, body, at, correctedAt }, index) => {
      const before = updates[index + 1]?.status;
      return {
        id: update,
        status,
        body,
        incident_id: id,
        created_at: at.toISOString(),
        updated_at: (correctedAt ?? at).toISOString(),
        display_at: at.toISOString(),
        affected_components: affected.map(({ id, name }) => ({
          code: id,
          name,
          old_status: before === undefined ? "operational" : declared(before, facts.impact),
          new_status: declared(status, facts.impact),
        })),
        deliver_notifications: true,
        custom_tweet: null,
        tweet_id: null,
      };
    }),
    components: affected.map((component) => componentOf(component, snapshot)),
  };
}

/**
 * @param {UpdateStatus} status that an update sets
 * @param {Impact | "maintenance"} impact present impact of the subject; updates do not store it
 * @returns {ComponentStatus} the resulting status of the affected components
 */
function declared(status, impact) {
  if (status === "in_progress") return "under_maintenance";
  if (status === "resolved" || status === "postmortem" || impact === "maintenance") return "operational";
  return DECLARED[impact];
}
