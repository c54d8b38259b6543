/**
 * SQL statements that publish updates of incidents and maintenances. Each function returns the statements of one
 * transaction. Ids and conditions make them idempotent, also if two transactions run at once. A database trigger
 * (`fan_out`) fills the outbox.
 */

import { MINUTE, minuteOf } from "./uptime.js";

/** @typedef {{ id: string, status: string, body: string }} Update an update's id, the status it sets, and its text */

const TOUCHES = (/** @type {string} */ components) =>
  `EXISTS (SELECT 1 FROM json_each(${components}) AS mine JOIN json_each(components) AS theirs ON mine.value = theirs.value)`;

/** SQL: the planned end of maintenance, with extensions. */
export const UNTIL = (/** @type {string} */ table) =>
  `COALESCE((SELECT until_minute FROM extensions WHERE maintenance = ${table}.id), ${table}.end_minute)`;

/**
 * @param {D1Database} db
 * @param {{ id: string, title: string, impact: number, components: string[], automatic: boolean, startedAt: Date }} incident
 *   An automatic one is not opened while an open incident or running maintenance affects one of its components.
 * @param {Update} update
 * @param {Date} time
 * @returns {D1PreparedStatement[]}
 */
export function openIncident(db, incident, update, time) {
  const components = JSON.stringify(incident.components);
  return [
    db
      .prepare(
        `INSERT OR IGNORE INTO incidents (id, title, impact, status, components, automatic, started_at, updated_at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE NOT ?6 OR NOT (
           EXISTS (SELECT 1 FROM incidents WHERE resolved_at IS NULL AND ${TOUCHES("?5")}) OR
           EXISTS (SELECT 1 FROM maintenances WHERE status = 'in_progress' AND ${TOUCHES("?5")}))`,
      )
      .bind(
        incident.id,
        incident.title,
        incident.impact,
        update.status,
        components,
        Number(incident.automatic),
        incident.startedAt.getTime(),
        time.getTime(),
      ),
    insertIncidentUpdate(db, "incident.opened", incident.id, update, time),
  ];
}

/**
 * Publishes an update of an open incident; `resolved` ends it. Does nothing if the incident is resolved or the update
 * exists.
 *
 * @param {D1Database} db
 * @param {string} id
 * @param {Update} update
 * @param {Date} time
 * @param {{ title?: string | undefined, impact?: number | undefined, components?: string[] | undefined,
 *   startedAt?: number | undefined, endedAt?: number | undefined }} [changes] times as minutes
 * @returns {D1PreparedStatement[]}
 */
export function updateIncident(db, id, update, time, { title, impact, components, startedAt, endedAt } = {}) {
  const resolved = update.status === "resolved";
  return [
    db
      .prepare(
        `UPDATE incidents SET status = ?2, title = COALESCE(?3, title), impact = COALESCE(?4, impact),
           components = COALESCE(?5, components), updated_at = ?6, started_at = COALESCE(?8, started_at)
         WHERE id = ?1 AND resolved_at IS NULL AND NOT EXISTS (SELECT 1 FROM updates WHERE id = ?7)`,
      )
      .bind(
        id,
        update.status,
        title ?? null,
        impact ?? null,
        components === undefined ? null : JSON.stringify(components),
        time.getTime(),
        update.id,
        startedAt === undefined ? null : startedAt * MINUTE,
      ),
    insertIncidentUpdate(db, resolved ? "incident.resolved" : "incident.updated", id, update, time),
    db
      .prepare("UPDATE incidents SET resolved_at = MAX(?2, started_at) WHERE id = ?1 AND resolved_at IS NULL AND ?3")
      .bind(id, endedAt === undefined ? time.getTime() : endedAt * MINUTE, Number(resolved)),
  ];
}

/**
 * Publishes the post-mortem of a resolved incident.
 *
 * @param {D1Database} db
 * @param {string} id
 * @param {Omit<Update, "status">} update
 * @param {Date} time
 * @returns {D1PreparedStatement[]}
 */
export function addPostmortem(db, id, update, time) {
  return [
    db
      .prepare(
        `INSERT OR IGNORE INTO updates (id, type, subject, status, impact, components, body, at)
         SELECT ?2, 'incident.postmortem', id, 'postmortem', impact, components, ?3, ?4
         FROM incidents WHERE id = ?1 AND resolved_at IS NOT NULL`,
      )
      .bind(id, update.id, update.body, time.getTime()),
    db
      .prepare("UPDATE incidents SET updated_at = ?2 WHERE id = ?1 AND EXISTS (SELECT 1 FROM updates WHERE id = ?3)")
      .bind(id, time.getTime(), update.id),
  ];
}

/**
 * Announces maintenance. Does nothing if it would overlap other maintenance of the same components. Maintenance in
 * progress may have begun before its planned time.
 *
 * @param {D1Database} db
 * @param {{ id: string, title: string, components: string[], emergency: boolean, startMinute: number, endMinute: number }} plan
 * @param {Update} update `in_progress` begins it at once
 * @param {Date} time
 * @returns {D1PreparedStatement[]}
 */
export function planMaintenance(db, plan, update, time) {
  const components = JSON.stringify(plan.components);
  return [
    db
      .prepare(
        `INSERT OR IGNORE INTO maintenances
           (id, title, status, components, emergency, announced_at, start_minute, end_minute, updated_at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?8, ?6, ?7, ?8 WHERE NOT EXISTS (
           SELECT 1 FROM maintenances WHERE status IN ('scheduled', 'in_progress')
           AND (status = 'in_progress' OR start_minute < ?7) AND ${UNTIL("maintenances")} > ?6 AND ${TOUCHES("?4")})`,
      )
      .bind(
        plan.id,
        plan.title,
        update.status,
        components,
        Number(plan.emergency),
        plan.startMinute,
        plan.endMinute,
        time.getTime(),
      ),
    insertMaintenanceUpdate(
      db,
      update.status === "scheduled" ? "maintenance.scheduled" : "maintenance.started",
      plan.id,
      "in_progress,scheduled",
      update,
      time,
    ),
  ];
}

/** The status changes of maintenance: the type of the update, and the status that must precede it. */
const MOVES = /** @type {const} */ ({
  in_progress: { type: "maintenance.started", from: "scheduled" },
  completed: { type: "maintenance.completed", from: "in_progress" },
  cancelled: { type: "maintenance.cancelled", from: "scheduled" },
});

/**
 * Begins, completes or cancels maintenance. Does nothing if its status does not allow that, or if it would begin before
 * its time and overlap other maintenance of the same components.
 *
 * @param {D1Database} db
 * @param {string} id
 * @param {Update & { status: keyof typeof MOVES }} update
 * @param {Date} time
 * @returns {D1PreparedStatement[]}
 */
export function moveMaintenance(db, id, update, time) {
  const { type, from } = MOVES[update.status];
  const minute = Math.ceil(time.getTime() / MINUTE);
  return [
    insertMaintenanceUpdate(db, type, id, from, update, time),
    db
      .prepare(
        `UPDATE maintenances SET status = ?2, updated_at = ?3,
           end_minute = IIF(?2 = 'completed', MAX(start_minute, MIN(end_minute, ?4)), end_minute)
         WHERE id = ?1 AND status = ?5 AND EXISTS (SELECT 1 FROM updates WHERE id = ?6)`,
      )
      .bind(id, update.status, time.getTime(), minute, from, update.id),
    db
      .prepare(
        `UPDATE extensions SET until_minute = MIN(until_minute, ?2) WHERE maintenance = ?1 AND ?3 = 'completed'
         AND EXISTS (SELECT 1 FROM updates WHERE id = ?4)`,
      )
      .bind(id, minute, update.status, update.id),
  ];
}

/**
 * Extends maintenance. Does nothing if it is over, if `until` is not later than its end, or if it would overlap other
 * maintenance of the same components.
 *
 * @param {D1Database} db
 * @param {string} id
 * @param {Omit<Update, "status">} update
 * @param {number} until minute
 * @param {Date} time
 * @returns {D1PreparedStatement[]}
 */
export function extendMaintenance(db, id, update, until, time) {
  return [
    db
      .prepare(
        `INSERT OR IGNORE INTO updates (id, type, subject, status, impact, components, body, at)
         SELECT ?2, 'maintenance.updated', id, status, NULL, components, ?3, ?4 FROM maintenances
         WHERE id = ?1 AND status IN ('scheduled', 'in_progress') AND ${UNTIL("maintenances")} < ?5 AND NOT EXISTS (
           SELECT 1 FROM maintenances AS others WHERE others.id <> ?1 AND others.status IN ('scheduled', 'in_progress')
           AND (others.status = 'in_progress' OR others.start_minute < ?5)
           AND ${UNTIL("others")} > maintenances.start_minute AND ${TOUCHES("maintenances.components")})`,
      )
      .bind(id, update.id, update.body, time.getTime(), until),
    db
      .prepare(
        `INSERT INTO extensions SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM updates WHERE id = ?3)
         ON CONFLICT (maintenance) DO UPDATE SET until_minute = MAX(until_minute, excluded.until_minute)`,
      )
      .bind(id, until, update.id),
    db
      .prepare("UPDATE maintenances SET updated_at = ?2 WHERE id = ?1 AND EXISTS (SELECT 1 FROM updates WHERE id = ?3)")
      .bind(id, time.getTime(), update.id),
  ];
}

/**
 * Publishes an update of maintenance that is not over, without a change of its status.
 *
 * @param {D1Database} db
 * @param {string} id
 * @param {Omit<Update, "status">} update
 * @param {Date} time
 * @returns {D1PreparedStatement[]}
 */
export function updateMaintenance(db, id, update, time) {
  return [
    db
      .prepare(
        `INSERT OR IGNORE INTO updates (id, type, subject, status, impact, components, body, at)
         SELECT ?2, 'maintenance.updated', id, status, NULL, components, ?3, ?4
         FROM maintenances WHERE id = ?1 AND status IN ('scheduled', 'in_progress')`,
      )
      .bind(id, update.id, update.body, time.getTime()),
    db
      .prepare("UPDATE maintenances SET updated_at = ?2 WHERE id = ?1 AND status IN ('scheduled', 'in_progress')")
      .bind(id, time.getTime()),
  ];
}

/**
 * Inserts an update of an open incident, with the incident's present impact and components.
 *
 * @param {D1Database} db
 * @param {string} type
 * @param {string} subject
 * @param {Update} update
 * @param {Date} time
 * @returns {D1PreparedStatement}
 */
function insertIncidentUpdate(db, type, subject, update, time) {
  return db
    .prepare(
      `INSERT OR IGNORE INTO updates (id, type, subject, status, impact, components, body, at)
       SELECT ?1, ?2, id, ?3, impact, components, ?4, ?5 FROM incidents WHERE id = ?6 AND resolved_at IS NULL`,
    )
    .bind(update.id, type, update.status, update.body, time.getTime(), subject);
}

/**
 * @param {D1Database} db
 * @param {string} type
 * @param {string} subject
 * @param {string} from statuses in which the update may be published, separated by commas
 * @param {Update} update
 * @param {Date} time
 * @returns {D1PreparedStatement}
 */
function insertMaintenanceUpdate(db, type, subject, from, update, time) {
  return db
    .prepare(
      `INSERT OR IGNORE INTO updates (id, type, subject, status, impact, components, body, at)
       SELECT ?1, ?2, id, ?3, NULL, components, ?4, ?5 FROM maintenances
       WHERE id = ?6 AND instr(?7, status) > 0 AND NOT (
         ?3 = 'in_progress' AND ?8 < start_minute AND EXISTS (
           SELECT 1 FROM maintenances AS others WHERE others.id <> ?6 AND others.status IN ('scheduled', 'in_progress')
           AND others.start_minute < ${UNTIL("maintenances")} AND ${UNTIL("others")} > ?8
           AND ${TOUCHES("maintenances.components")}))`,
    )
    .bind(update.id, type, update.status, update.body, time.getTime(), subject, from, minuteOf(time));
}
