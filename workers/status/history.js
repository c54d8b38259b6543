/** Reads the history from D1 in one round trip. */

import { failureName, logFailure } from "../lib/log.js";
import { withTimeout } from "../lib/timeout.js";
import { UNTIL } from "./announcements.js";
import { PLATFORM } from "./components.js";
import { openDatabase } from "./database.js";
import { IMPACTS } from "./judge.js";
import { HISTORY_DAYS, LISTED, LISTED_UPDATES } from "./model.js";
import { countQueries, ENDS, recordedOf, statementOf } from "./months.js";
import { DAY_MINUTES, MINUTE, minuteOf, monthOf } from "./uptime.js";

/** @import { Day, History, Impact, Incident, Maintenance, Update } from "./model.js" */
/** @import { Agreement } from "./uptime.js" */

/** After this timeout the page is shown without history. */
const READ_MILLISECONDS = 5_000;

/** Notices of corrections are only for contacts, not for the page. */
const PUBLIC = "NOT EXISTS (SELECT 1 FROM corrections WHERE notice = updates.id)";

/** A row of D1 holds 2 MB: 100 updates of 5,000 characters, each of which may take four bytes. */
const SUBJECT_UPDATES = 100;

const UPDATE_COLUMNS = (/** @type {string} */ subjects, /** @type {number} */ limit, condition = "TRUE") => `
  (SELECT COUNT(*) FROM updates WHERE subject = ${subjects}.id AND ${PUBLIC}) AS updates_total,
  (SELECT MIN(at) FROM updates WHERE subject = ${subjects}.id) AS first_at,
  (SELECT json_group_array(
      json_object('id', id, 'status', status, 'body', body, 'at', at, 'correctedAt', corrected_at) ORDER BY at DESC, id)
    FROM (
      SELECT *, (SELECT MAX(at) FROM corrections WHERE target = updates.id) AS corrected_at
      FROM updates WHERE subject = ${subjects}.id AND ${condition} AND ${PUBLIC} ORDER BY at DESC, id LIMIT ${limit})) AS updates`;

/**
 * Query of incidents or maintenances with their updates. Updates are limited, because a row of D1 is limited.
 *
 * @param {"incidents" | "maintenances"} table
 * @param {string} open condition of rows that are always read
 * @param {string} recent condition of other rows, of which the latest `LISTED` are read
 * @param {string} latest column to sort by, in descending order
 * @param {string} [more] columns
 * @returns {string}
 */
const announcements = (table, open, recent, latest, more = "") => `
  WITH subjects AS (
    SELECT *, ${more} ${open} AS open, COUNT(*) OVER () AS total,
      ROW_NUMBER() OVER (ORDER BY ${open} DESC, ${latest} DESC, id) AS place
    FROM ${table} WHERE ${open} OR ${recent})
  SELECT *, ${UPDATE_COLUMNS("subjects", LISTED_UPDATES, `place <= ${LISTED}`)}
  FROM subjects WHERE open OR place <= ${LISTED} ORDER BY ${latest} DESC, id`;

const LATEST = "SELECT component, status FROM samples WHERE minute = (SELECT MAX(minute) FROM samples)";

const INCIDENTS = announcements("incidents", "resolved_at IS NULL", "resolved_at > ?", "started_at");

const MAINTENANCES = announcements(
  "maintenances",
  "status IN ('scheduled', 'in_progress')",
  "end_minute > ?",
  "start_minute",
  `${UNTIL("maintenances")} AS until_minute,`,
);

/** One row for each component, because D1's cost is by row. */
const DAYS = `
  SELECT component, json_group_array(json_array(day, ok, degraded, down, unknown) ORDER BY day) AS days
  FROM days WHERE day > ? AND day <= ? GROUP BY component`;

/**
 * @param {D1Database} db
 * @param {Date} time
 * @param {Agreement} agreement
 * @returns {Promise<History | null>} null if the history cannot be read
 */
export async function readHistory(db, time, agreement) {
  try {
    return await withTimeout(readOrOpen(db, time, agreement), READ_MILLISECONDS);
  } catch (error) {
    logFailure("history unavailable", { error: failureName(error) });
    return null;
  }
}

/**
 * Reads from any replica: near the reader, and also while the primary is down. Only a database without tables needs the
 * primary.
 *
 * @param {D1Database} db
 * @param {Date} time
 * @param {Agreement} agreement
 * @returns {Promise<History>}
 */
async function readOrOpen(db, time, agreement) {
  try {
    return await read(db.withSession("first-unconstrained"), time, agreement);
  } catch {
    return read((await openDatabase(db)).withSession("first-primary"), time, agreement);
  }
}

/**
 * @param {D1DatabaseSession} db
 * @param {Date} time
 * @param {Agreement} agreement
 * @returns {Promise<History>}
 */
async function read(db, time, agreement) {
  const minute = minuteOf(time);
  const today = Math.floor(minute / DAY_MINUTES);
  const months = lastTwoMonths(time);
  const first = (today - HISTORY_DAYS + 1) * DAY_MINUTES;
  /** @type {D1Result<Record<string, any>>[]} */
  const [ends, latest, days, incidents, maintenances, ...counts] = await db.batch([
    db.prepare(ENDS),
    db.prepare(LATEST),
    db.prepare(DAYS).bind(today - HISTORY_DAYS, today),
    db.prepare(INCIDENTS).bind(first * MINUTE),
    db.prepare(MAINTENANCES).bind(first),
    ...months.flatMap((month) => countQueries(db, month)),
  ]);
  const recorded = recordedOf(ends, time);
  const byComponent = Object.fromEntries(days?.results.map(({ component, days }) => [component, daysOf(days)]) ?? []);
  const statements = months.map(
    (month, index) =>
      recorded &&
      statementOf(month, recorded, byComponent[PLATFORM] ?? [], counts.slice(index * 2, index * 2 + 2), agreement),
  );
  return {
    since: recorded && new Date(recorded.since * MINUTE),
    lastSampleAt: recorded && new Date(recorded.last * MINUTE),
    lastStates: Object.fromEntries(latest?.results.map(({ component, status }) => [component, status]) ?? []),
    days: byComponent,
    incidents: incidents?.results.map(incidentOf) ?? [],
    incidentsTotal: incidents?.results[0]?.total ?? 0,
    maintenances: maintenances?.results.map(maintenanceOf) ?? [],
    maintenancesTotal: maintenances?.results[0]?.total ?? 0,
    months: statements.filter((statement) => statement !== null),
    accounts: recorded === null ? [] : monthsBetween(monthOf(new Date(recorded.kept * MINUTE)), months.at(-1) ?? ""),
  };
}

/**
 * @param {string} first `2026-07`
 * @param {string} end `2026-10`
 * @returns {string[]} the months from `first` up to but without `end`, the latest first
 */
function monthsBetween(first, end) {
  const months = [];
  for (let time = new Date(`${first}-01T00:00:00Z`); monthOf(time) < end; time.setUTCMonth(time.getUTCMonth() + 1)) {
    months.unshift(monthOf(time));
  }
  return months;
}

/**
 * @param {D1Database} db
 * @param {"incidents" | "maintenances"} table
 * @param {string} id
 * @returns {Promise<{ incident?: Incident, maintenance?: Maintenance } | null>} of any age; null if there is none
 */
export async function readSubject(db, table, id) {
  const more = table === "maintenances" ? `, ${UNTIL("maintenances")} AS until_minute` : "";
  const row = await withTimeout(
    db
      .prepare(`SELECT *${more}, ${UPDATE_COLUMNS(table, SUBJECT_UPDATES)} FROM ${table} WHERE id = ?`)
      .bind(id)
      .first(),
    READ_MILLISECONDS,
  );
  if (row === null) return null;
  return table === "incidents" ? { incident: incidentOf(row) } : { maintenance: maintenanceOf(row) };
}

/**
 * @param {Date} time
 * @returns {string[]} this month and the previous one
 */
function lastTwoMonths(time) {
  const before = new Date(Date.UTC(time.getUTCFullYear(), time.getUTCMonth() - 1));
  return [monthOf(time), monthOf(before)];
}

/**
 * @param {string} text JSON rows of numbers
 * @returns {Day[]}
 */
function daysOf(text) {
  /** @type {[number, number, number, number, number][]} */
  const rows = JSON.parse(text);
  return rows.map(([day, ok, degraded, down, unknown]) => ({ day, ok, degraded, down, unknown }));
}

/**
 * @param {Record<string, any>} row
 * @returns {Incident}
 */
function incidentOf(row) {
  return {
    id: row.id,
    title: row.title,
    impact: /** @type {Impact} */ (IMPACTS[row.impact]),
    status: row.status,
    components: JSON.parse(row.components),
    automatic: row.automatic === 1,
    announcedAt: new Date(row.first_at ?? row.started_at),
    startedAt: new Date(row.started_at),
    updatedAt: new Date(row.updated_at),
    resolvedAt: row.resolved_at === null ? null : new Date(row.resolved_at),
    updates: updatesOf(row.updates),
    updatesTotal: row.updates_total,
  };
}

/**
 * @param {Record<string, any>} row
 * @returns {Maintenance}
 */
function maintenanceOf(row) {
  return {
    id: row.id,
    title: row.title,
    status: row.status,
    components: JSON.parse(row.components),
    emergency: row.emergency === 1,
    announcedAt: new Date(row.announced_at),
    startsAt: new Date(row.start_minute * MINUTE),
    endsAt: new Date(row.until_minute * MINUTE),
    updatedAt: new Date(row.updated_at),
    updates: updatesOf(row.updates),
    updatesTotal: row.updates_total,
  };
}

/**
 * @param {string} text JSON
 * @returns {Update[]}
 */
function updatesOf(text) {
  /** @type {{ id: string, status: Update["status"], body: string, at: number, correctedAt: number | null }[]} */
  const rows = JSON.parse(text);
  return rows.map(({ at, correctedAt, ...update }) => ({
    ...update,
    at: new Date(at),
    correctedAt: correctedAt === null ? null : new Date(correctedAt),
  }));
}
