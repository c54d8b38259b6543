/** The types of the status page. Database rows are converted to them once; all public formats are made from them. */

/** @import { ComponentHealth } from "../lib/health.js" */
/** @import { Probe } from "./probe.js" */
/** @import { Statement } from "./uptime.js" */

/** @typedef {"none" | "minor" | "major" | "critical"} Impact how much customers notice; values of Atlassian Statuspage */
/** @typedef {"investigating" | "identified" | "monitoring" | "resolved"} IncidentStatus */
/** @typedef {IncidentStatus | MaintenanceStatus | "postmortem"} UpdateStatus status of one update; an incident with a post-mortem stays resolved */
/** @typedef {"scheduled" | "in_progress" | "completed" | "cancelled"} MaintenanceStatus */

/**
 * @typedef {object} Component
 * @property {string} id in samples and incidents
 * @property {string} name display name
 * @property {string} [url] probed directly; without it the state comes from the API's health report
 */

/**
 * @typedef {object} Update a published text about an incident or maintenance
 * @property {string} id
 * @property {UpdateStatus} status that the update sets
 * @property {string} body plain text, as written by an operator or by this Worker
 * @property {Date} at
 * @property {Date | null} correctedAt time of the last amendment or redaction of its text
 */

/**
 * @typedef {object} Incident
 * @property {string} id
 * @property {string} title plain text
 * @property {Impact} impact
 * @property {IncidentStatus} status
 * @property {string[]} components ids
 * @property {boolean} automatic opened by the probes, not by an operator
 * @property {Date} announcedAt time of the first update
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
 * @property {boolean} emergency announced without the promised notice; its minutes are not excused
 * @property {Date} announcedAt
 * @property {Date} startsAt
 * @property {Date} endsAt planned end, with extensions
 * @property {Date} updatedAt
 * @property {Update[]} updates newest first, the latest `LISTED_UPDATES`
 * @property {number} updatesTotal how many there are
 */

/**
 * @typedef {object} Day one component's recorded minutes of a day by state; minutes without a sample are not counted
 * @property {number} day since 1970-01-01, UTC
 * @property {number} ok
 * @property {number} degraded
 * @property {number} down
 * @property {number} unknown
 */

/**
 * @typedef {object} History the recorded data of the last 90 days, including today
 * @property {Date | null} since the first minute ever recorded; null while there is none
 * @property {Date | null} lastSampleAt the latest recorded minute
 * @property {Record<string, ComponentHealth>} lastStates states recorded in that minute, by component id (and `platform`)
 * @property {Record<string, Day[]>} days by component id (and `platform`), oldest first; days without samples are absent
 * @property {Incident[]} incidents newest first, the latest `LISTED` and all open ones; only `LISTED` have updates
 * @property {number} incidentsTotal how many there are
 * @property {Maintenance[]} maintenances latest start first, the latest `LISTED` and all that are not over
 * @property {number} maintenancesTotal how many there are
 * @property {Statement[]} months uptime of this month, then of the previous one
 * @property {string[]} accounts earlier months whose account is still available (`2026-09`), the latest first
 */

/**
 * @typedef {object} Restore the newest restore that a kept drill has verified; model/drill_reports.py makes it
 * @property {string} at time of the drill's end, ISO 8601
 * @property {string} from name of the copy
 * @property {boolean} beside whether a second database was restored, while the first one ran
 * @property {number | null} recoverySeconds from the fault until clients were served again; null if not measured
 * @property {string} point time of the restore point up to which the data were restored, ISO 8601
 * @property {number | null} lossSeconds age of the oldest lost commit when the data were lost; 0 if none was lost; null if `beside`
 * @property {string} title of the drill
 * @property {string} stack on which it ran
 * @property {boolean} sandbox whether that was the stack's live sandbox on one computer
 * @property {string} report name of the filed report
 * @property {string} sha256 of the report's file, in hexadecimal
 */

/** @typedef {Probe & { at: Date }} Seen a probe's result; pending components have their last recorded state, of time `at` */

/**
 * @typedef {object} Snapshot the result of the live check and the recorded history at one moment
 * @property {string} platform display name
 * @property {string} contact e-mail address for questions about availability
 * @property {string} origin of the status page, `https://…` without a final slash
 * @property {Date} time now
 * @property {Component[]} components in display order
 * @property {Restore | null} restore the last one that a drill has verified
 * @property {Seen} probe
 * @property {History | null} history null if D1 does not answer
 */

export const HISTORY_DAYS = 90;

/** A minute is stored within seconds of its end. If the last sample is older than this, recording is late. */
export const LATE_MILLISECONDS = 5 * 60_000;

/** Limits of incidents, of maintenances and of updates that are read and shown at once. */
export const LISTED = 50;
export const LISTED_UPDATES = 20;
