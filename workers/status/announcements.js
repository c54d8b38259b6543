/**
 * What is said: each function makes the statements that say one thing, for one transaction. Ids and conditions make
 * them safe to run twice, or beside each other: it is said once. The outbox is filled by the database (`fan_out`).
 */

import { MINUTE, minuteOf } from "./uptime.js";

/** @typedef {{ id: string, status: string, body: string }} Word an update's id, what it makes of its subject, its text */

const TOUCHES = (/** @type {string} */ components) =>
  `EXISTS (SELECT 1 FROM json_each(${components}) AS mine JOIN json_each(components) AS theirs ON mine.value = theirs.value)`;

/** When maintenance ends: as announced, or as it was extended. */
export const UNTIL = (/** @type {string} */ table) =>
  `COALESCE((SELECT until_minute FROM extensions WHERE maintenance = ${table}.id), ${table}.end_minute)`;

/**
 * @param {D1Database} db
 * @param {{ id: string, title: string, impact: number, components: string[], automatic: boolean, startedAt: Date }} incident
 *   An automatic one is left out while an open incident or running maintenance speaks of a component of it.
 * @param {Word} word
 * @param {Date} time
 * @returns {D1PreparedStatement[]}
 */
export function openIncident(db, incident, word, time) {
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
        word.status,
        components,
        Number(incident.automatic),
        incident.startedAt.getTime(),
        time.getTime(),
      ),
    sayOfIncident(db, "incident.opened", incident.id, word, time),
  ];
}

/**
 * Moves an open incident on; `resolved` ends it. Nothing happens when it is over, or the word was said before.
 *
 * @param {D1Database} db
 * @param {string} id
 * @param {Word} word
 * @param {Date} time
 * @param {{ title?: string | undefined, impact?: number | undefined, components?: string[] | undefined,
 *   startedAt?: number | undefined, endedAt?: number | undefined }} [changes] times as minutes
 * @returns {D1PreparedStatement[]}
 */
export function updateIncident(db, id, word, time, { title, impact, components, startedAt, endedAt } = {}) {
  const resolved = word.status === "resolved";
  return [
    db
      .prepare(
        `UPDATE incidents SET status = ?2, title = COALESCE(?3, title), impact = COALESCE(?4, impact),
           components = COALESCE(?5, components), updated_at = ?6, started_at = COALESCE(?8, started_at)
         WHERE id = ?1 AND resolved_at IS NULL AND NOT EXISTS (SELECT 1 FROM updates WHERE id = ?7)`,
      )
      .bind(
        id,
        word.status,
        title ?? null,
        impact ?? null,
        components === undefined ? null : JSON.stringify(components),
        time.getTime(),
        word.id,
        startedAt === undefined ? null : startedAt * MINUTE,
      ),
    sayOfIncident(db, resolved ? "incident.resolved" : "incident.updated", id, word, time),
    db
      .prepare("UPDATE incidents SET resolved_at = MAX(?2, started_at) WHERE id = ?1 AND resolved_at IS NULL AND ?3")
      .bind(id, endedAt === undefined ? time.getTime() : endedAt * MINUTE, Number(resolved)),
  ];
}

/**
 * Says what was learnt from an incident that is over.
 *
 * @param {D1Database} db
 * @param {string} id
 * @param {Omit<Word, "status">} word
 * @param {Date} time
 * @returns {D1PreparedStatement[]}
 */
export function addPostmortem(db, id, word, time) {
  return [
    db
      .prepare(
        `INSERT OR IGNORE INTO updates (id, type, subject, status, impact, components, body, at)
         SELECT ?2, 'incident.postmortem', id, 'postmortem', impact, components, ?3, ?4
         FROM incidents WHERE id = ?1 AND resolved_at IS NOT NULL`,
      )
      .bind(id, word.id, word.body, time.getTime()),
    db
      .prepare("UPDATE incidents SET updated_at = ?2 WHERE id = ?1 AND EXISTS (SELECT 1 FROM updates WHERE id = ?3)")
      .bind(id, time.getTime(), word.id),
  ];
}

/**
 * Nothing happens when it would overlap other maintenance of a component of it. What runs may have begun before its time.
 *
 * @param {D1Database} db
 * @param {{ id: string, title: string, components: string[], emergency: boolean, startMinute: number, endMinute: number }} plan
 * @param {Word} word `in_progress` begins it at once
 * @param {Date} time
 * @returns {D1PreparedStatement[]}
 */
export function planMaintenance(db, plan, word, time) {
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
        word.status,
        components,
        Number(plan.emergency),
        plan.startMinute,
        plan.endMinute,
        time.getTime(),
      ),
    sayOfMaintenance(
      db,
      word.status === "scheduled" ? "maintenance.scheduled" : "maintenance.started",
      plan.id,
      "in_progress,scheduled",
      word,
      time,
    ),
  ];
}

/** What maintenance can become, and from what. */
const MOVES = /** @type {const} */ ({
  in_progress: { type: "maintenance.started", from: "scheduled" },
  completed: { type: "maintenance.completed", from: "in_progress" },
  cancelled: { type: "maintenance.cancelled", from: "scheduled" },
});

/**
 * Begins, ends or cancels maintenance; nothing happens when it is not where that begins, or when it would begin before
 * its time and overlap other maintenance of a component of it.
 *
 * @param {D1Database} db
 * @param {string} id
 * @param {Word & { status: keyof typeof MOVES }} word
 * @param {Date} time
 * @returns {D1PreparedStatement[]}
 */
export function moveMaintenance(db, id, word, time) {
  const { type, from } = MOVES[word.status];
  const minute = Math.ceil(time.getTime() / MINUTE);
  return [
    sayOfMaintenance(db, type, id, from, word, time),
    db
      .prepare(
        `UPDATE maintenances SET status = ?2, updated_at = ?3,
           end_minute = IIF(?2 = 'completed', MAX(start_minute, MIN(end_minute, ?4)), end_minute)
         WHERE id = ?1 AND status = ?5 AND EXISTS (SELECT 1 FROM updates WHERE id = ?6)`,
      )
      .bind(id, word.status, time.getTime(), minute, from, word.id),
    db
      .prepare(
        `UPDATE extensions SET until_minute = MIN(until_minute, ?2) WHERE maintenance = ?1 AND ?3 = 'completed'
         AND EXISTS (SELECT 1 FROM updates WHERE id = ?4)`,
      )
      .bind(id, minute, word.status, word.id),
  ];
}

/**
 * Says that maintenance ends later. Nothing happens when it is over, would not end later, or would overlap other
 * maintenance of a component of it.
 *
 * @param {D1Database} db
 * @param {string} id
 * @param {Omit<Word, "status">} word
 * @param {number} until minute
 * @param {Date} time
 * @returns {D1PreparedStatement[]}
 */
export function extendMaintenance(db, id, word, until, time) {
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
      .bind(id, word.id, word.body, time.getTime(), until),
    db
      .prepare(
        `INSERT INTO extensions SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM updates WHERE id = ?3)
         ON CONFLICT (maintenance) DO UPDATE SET until_minute = MAX(until_minute, excluded.until_minute)`,
      )
      .bind(id, until, word.id),
    db
      .prepare("UPDATE maintenances SET updated_at = ?2 WHERE id = ?1 AND EXISTS (SELECT 1 FROM updates WHERE id = ?3)")
      .bind(id, time.getTime(), word.id),
  ];
}

/**
 * Says something about maintenance that is not over.
 *
 * @param {D1Database} db
 * @param {string} id
 * @param {Omit<Word, "status">} word
 * @param {Date} time
 * @returns {D1PreparedStatement[]}
 */
export function updateMaintenance(db, id, word, time) {
  return [
    db
      .prepare(
        `INSERT OR IGNORE INTO updates (id, type, subject, status, impact, components, body, at)
         SELECT ?2, 'maintenance.updated', id, status, NULL, components, ?3, ?4
         FROM maintenances WHERE id = ?1 AND status IN ('scheduled', 'in_progress')`,
      )
      .bind(id, word.id, word.body, time.getTime()),
    db
      .prepare("UPDATE maintenances SET updated_at = ?2 WHERE id = ?1 AND status IN ('scheduled', 'in_progress')")
      .bind(id, time.getTime()),
  ];
}

/**
 * The word keeps what the incident is at that moment.
 *
 * @param {D1Database} db
 * @param {string} type
 * @param {string} subject
 * @param {Word} word
 * @param {Date} time
 * @returns {D1PreparedStatement}
 */
function sayOfIncident(db, type, subject, word, time) {
  return db
    .prepare(
      `INSERT OR IGNORE INTO updates (id, type, subject, status, impact, components, body, at)
       SELECT ?1, ?2, id, ?3, impact, components, ?4, ?5 FROM incidents WHERE id = ?6 AND resolved_at IS NULL`,
    )
    .bind(word.id, type, word.status, word.body, time.getTime(), subject);
}

/**
 * @param {D1Database} db
 * @param {string} type
 * @param {string} subject
 * @param {string} from statuses in which it may be said, separated by commas
 * @param {Word} word
 * @param {Date} time
 * @returns {D1PreparedStatement}
 */
function sayOfMaintenance(db, type, subject, from, word, time) {
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
    .bind(word.id, type, word.status, word.body, time.getTime(), subject, from, minuteOf(time));
}
