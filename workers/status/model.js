/** What the status page knows, as types: rows are mapped to these once, and everything public is made from them. */

/** @import { ComponentHealth } from "../lib/health.js" */
/** @import { Probe } from "./probe.js" */
/** @import { Statement } from "./uptime.js" */

/** @typedef {"none" | "minor" | "major" | "critical"} Impact how much customers notice, in Statuspage's words */
/** @typedef {"investigating" | "identified" | "monitoring" | "resolved"} IncidentStatus */
/** @typedef {IncidentStatus | MaintenanceStatus | "postmortem"} UpdateStatus what was said: an incident with a post-mortem stays resolved */
/** @typedef {"scheduled" | "in_progress" | "completed" | "cancelled"} MaintenanceStatus */

/**
 * @typedef {object} Component
 * @property {string} id as samples and incidents name it
 * @property {string} name as people read it
 * @property {string} [url] asked directly; without it the API's health report speaks for the component
 */

/**
 * @typedef {object} Update what was said
 * @property {string} id
 * @property {UpdateStatus} status from here on
 * @property {string} body plain text, as written by an operator or by this Worker
 * @property {Date} at
 * @property {Date | null} correctedAt when its text was amended or withdrawn last
 */

/**
 * @typedef {object} Incident
 * @property {string} id
 * @property {string} title plain text
 * @property {Impact} impact
 * @property {IncidentStatus} status
 * @property {string[]} components ids
 * @property {boolean} automatic opened by the probes, not by an operator
 * @property {Date} announcedAt the first word's time
 * @property {Date} startedAt
 * @property {Date} updatedAt
 * @property {Date | null} resolvedAt
 * @property {Update[]} updates newest first, the latest `LISTED_UPDATES`
 * @property {number} updatesTotal how many there are
 */

/**
 * @typedef {object} Maintenance
 * @property {string} id
 * @property {string} title plain text
 * @property {MaintenanceStatus} status
 * @property {string[]} components ids
 * @property {boolean} emergency begun without the promised notice; its minutes are excused by nothing
 * @property {Date} announcedAt
 * @property {Date} startsAt
 * @property {Date} endsAt as planned, or as it was extended
 * @property {Date} updatedAt
 * @property {Update[]} updates newest first, the latest `LISTED_UPDATES`
 * @property {number} updatesTotal how many there are
 */

/**
 * @typedef {object} Day of one component: recorded minutes by state; minutes without a sample are in none of them
 * @property {number} day since 1970-01-01, UTC
 * @property {number} ok
 * @property {number} degraded
 * @property {number} down
 * @property {number} unknown
 */

/**
 * @typedef {object} History what D1 holds, for the last 90 days, today included
 * @property {Date | null} since the first minute ever recorded; null while there is none
 * @property {Date | null} lastSampleAt the latest recorded minute
 * @property {Record<string, ComponentHealth>} lastStates what was recorded in that minute, by component id (and `platform`)
 * @property {Record<string, Day[]>} days by component id (and `platform`), oldest first; days without samples are absent
 * @property {Incident[]} incidents newest first, the latest `LISTED` and whatever is open; only `LISTED` have updates
 * @property {number} incidentsTotal how many there are
 * @property {Maintenance[]} maintenances by start, latest first, in the same way with what is not over
 * @property {number} maintenancesTotal how many there are
 * @property {Statement[]} months the SLA's arithmetic, this month first, then the one before
 * @property {string[]} accounts `2026-09`: months before those whose account can still be read, the latest first
 */

/** @typedef {Probe & { at: Date }} Seen `at`: when; what is pending is what was recorded in the latest minute */

/**
 * @typedef {object} Snapshot one moment, whole: what was seen just now and what was recorded
 * @property {string} platform display name
 * @property {string} contact e-mail address for questions about availability
 * @property {string} origin of the status page, `https://…` without a final slash
 * @property {Date} time now
 * @property {Component[]} components in the order in which people read them
 * @property {Seen} probe
 * @property {History | null} history null when D1 does not answer
 */

export const HISTORY_DAYS = 90;

/** A minute is stored within seconds of its end; by then, several are missing. */
export const LATE_MILLISECONDS = 5 * 60_000;

/** Whatever was said, only so much of it is read and shown at once. */
export const LISTED = 50;
export const LISTED_UPDATES = 20;
