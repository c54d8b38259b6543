/** Operators' actions on maintenance. */

import { json } from "../../lib/http.js";
import { extendMaintenance, moveMaintenance, planMaintenance, UNTIL, updateMaintenance } from "../announcements.js";
import { MINUTE, minuteOf } from "../uptime.js";
import { carryOut } from "./actions.js";
import { validated, validationError } from "./body.js";
import { HttpError } from "./http-error.js";
import { extensionProblems, readMaintenance, readMaintenanceUpdate, timeProblems } from "./requests.js";

/** @import { Call } from "./actions.js" */

const LISTED = 100;

/**
 * @param {D1Database} db
 * @returns {Promise<Response>} latest start first
 */
export async function listMaintenances(db) {
  const { results } = await db
    .prepare(
      `SELECT *, ${UNTIL("maintenances")} AS until_minute FROM maintenances ORDER BY start_minute DESC, id LIMIT ?`,
    )
    .bind(LISTED)
    .all();
  return json({
    maintenances: results.map((row) => ({
      id: row.id,
      title: row.title,
      status: row.status,
      components: JSON.parse(String(row.components)),
      emergency: row.emergency === 1,
      announcedAt: new Date(Number(row.announced_at)),
      startsAt: new Date(Number(row.start_minute) * MINUTE),
      endsAt: new Date(Number(row.until_minute) * MINUTE),
      updatedAt: new Date(Number(row.updated_at)),
    })),
  });
}

/**
 * @param {Call} call
 * @param {unknown} given
 * @param {readonly string[]} components ids of all components
 * @param {number} noticeHours
 * @returns {Promise<Response>}
 */
export async function announceMaintenance(call, given, components, noticeHours) {
  const read = readMaintenance(given, components);
  const problems = timeProblems(read.value, noticeHours, call.time);
  if (read.problems.length > 0) throw validationError([...read.problems, ...problems]);
  const plan = read.value;
  const { startsAt, endsAt, emergency, title, body } = plan;
  const begun = startsAt <= minuteOf(call.time);
  const updateId = `${call.key}-announced`;
  const at = await carryOut(call, {
    name: "maintenance.plan",
    subject: call.key,
    details: { ...plan, startsAt: new Date(startsAt * MINUTE), endsAt: new Date(endsAt * MINUTE) },
    statements: planMaintenance(
      call.db,
      { id: call.key, title, components: plan.components, emergency, startMinute: startsAt, endMinute: endsAt },
      { id: updateId, status: begun ? "in_progress" : "scheduled", body },
      call.time,
    ),
    updateId,
    problems,
    rejection: () => overlap(call.db, { id: call.key, ...plan }),
  });
  return json({ id: call.key, update: updateId, at }, 201);
}

/**
 * @param {D1Database} db
 * @param {{ id: string, startsAt: number, endsAt: number, components: string[] }} plan
 * @returns {Promise<HttpError>} with the conflicting maintenances; those in progress may have begun before their time
 */
async function overlap(db, { id, startsAt, endsAt, components }) {
  const { results } = await db
    .prepare(
      `SELECT id, title, components FROM maintenances
       WHERE id <> ?3 AND status IN ('scheduled', 'in_progress') AND (status = 'in_progress' OR start_minute < ?2)
       AND ${UNTIL("maintenances")} > ?1 ORDER BY start_minute, id`,
    )
    .bind(startsAt, endsAt, id)
    .all();
  const conflicts = results
    .filter((row) => JSON.parse(String(row.components)).some((/** @type {string} */ one) => components.includes(one)))
    .map((row) => ({ id: row.id, title: row.title }));
  return new HttpError(409, "it overlaps other maintenance of the same components", { conflicts });
}

/**
 * @param {Call} call
 * @param {string} id
 * @param {unknown} given
 * @returns {Promise<Response>}
 */
export async function postMaintenanceUpdate(call, id, given) {
  const update = validated(readMaintenanceUpdate(given));
  const { status, endsAt } = update;
  const row = await call.db
    .prepare(
      `SELECT status, components, start_minute, ${UNTIL("maintenances")} AS until_minute FROM maintenances WHERE id = ?`,
    )
    .bind(id)
    .first();
  if (row === null) throw new HttpError(404, `there is no maintenance ${id}`);
  const [start, until] = [Number(row.start_minute), Number(row.until_minute)];
  const at = await carryOut(call, {
    name: "maintenance.update",
    subject: id,
    details: { ...update, ...(endsAt === undefined ? {} : { endsAt: new Date(endsAt * MINUTE) }) },
    statements: statementsFor(call, id, update),
    updateId: call.key,
    problems: endsAt === undefined ? [] : extensionProblems({ status, endsAt }, { start, until }, call.time),
    rejection: async () => {
      const components = JSON.parse(String(row.components));
      if (row.status === "scheduled" && status === "in_progress") {
        return overlap(call.db, { id, startsAt: minuteOf(call.time), endsAt: until, components });
      }
      if (endsAt !== undefined && (row.status === "scheduled" || row.status === "in_progress")) {
        return overlap(call.db, { id, startsAt: start, endsAt, components });
      }
      const reason = status === undefined ? "it takes no more updates" : `it cannot become ${status}`;
      return new HttpError(409, `maintenance ${id} is ${row.status}; ${reason}`);
    },
  });
  return json({ id, update: call.key, at }, 201);
}

/**
 * @param {Call} call
 * @param {string} id
 * @param {ReturnType<typeof readMaintenanceUpdate>["value"]} update
 * @returns {D1PreparedStatement[]}
 */
function statementsFor({ db, key, time }, id, { status, body, endsAt }) {
  if (endsAt !== undefined) return extendMaintenance(db, id, { id: key, body }, endsAt, time);
  if (status !== undefined) return moveMaintenance(db, id, { id: key, status, body }, time);
  return updateMaintenance(db, id, { id: key, body }, time);
}
