/** Operators' actions on incidents. */

import { json } from "../../lib/http.js";
import { addPostmortem, openIncident, updateIncident } from "../announcements.js";
import { IMPACTS } from "../judge.js";
import { MINUTE } from "../uptime.js";
import { carryOut, KEY_CONFLICT } from "./actions.js";
import { validationError } from "./body.js";
import { HttpError } from "./http-error.js";
import { pastProblems, readIncident, readIncidentUpdate } from "./requests.js";

/** @import { Call } from "./actions.js" */
/** @import { Problem } from "./checks.js" */

const LISTED = 100;

/**
 * @param {D1Database} db
 * @returns {Promise<Response>} open ones first, then the latest
 */
export async function listIncidents(db) {
  const { results } = await db
    .prepare("SELECT * FROM incidents ORDER BY resolved_at IS NOT NULL, started_at DESC, id LIMIT ?")
    .bind(LISTED)
    .all();
  return json({
    incidents: results.map((row) => ({
      id: row.id,
      title: row.title,
      status: row.status,
      impact: IMPACTS[Number(row.impact)],
      components: JSON.parse(String(row.components)),
      automatic: row.automatic === 1,
      startedAt: new Date(Number(row.started_at)),
      updatedAt: new Date(Number(row.updated_at)),
      resolvedAt: row.resolved_at === null ? null : new Date(Number(row.resolved_at)),
    })),
  });
}

/**
 * @param {Call} call
 * @param {unknown} given
 * @param {readonly string[]} components ids of all components
 * @returns {Promise<Response>}
 */
export async function declareIncident(call, given, components) {
  const read = readIncident(given, components);
  const problems = pastProblems(read.value, call.time);
  if (read.problems.length > 0) throw validationError([...read.problems, ...problems]);
  const { startedAt, ...incident } = read.value;
  const started = startedAt === undefined ? call.time : new Date(startedAt * MINUTE);
  const { title, impact, status, body } = incident;
  const updateId = `${call.key}-opened`;
  const at = await carryOut(call, {
    name: "incident.declare",
    subject: call.key,
    details: { ...incident, ...(startedAt === undefined ? {} : { startedAt: started }) },
    statements: openIncident(
      call.db,
      {
        id: call.key,
        title,
        impact: IMPACTS.indexOf(impact),
        components: incident.components,
        automatic: false,
        startedAt: started,
      },
      { id: updateId, status, body },
      call.time,
    ),
    updateId,
    problems,
    rejection: async () => new HttpError(409, KEY_CONFLICT),
  });
  return json({ id: call.key, update: updateId, at }, 201);
}

/**
 * @param {Call} call
 * @param {string} id
 * @param {unknown} given
 * @param {readonly string[]} components ids of all components
 * @returns {Promise<Response>}
 */
export async function postIncidentUpdate(call, id, given, components) {
  const read = readIncidentUpdate(given, components);
  const problems = pastProblems(read.value, call.time);
  if (read.problems.length > 0) throw validationError([...read.problems, ...problems]);
  const update = read.value;
  const { status, body, title, impact, startedAt, endedAt } = update;
  problems.push(...(await endProblems(call.db, id, update)));
  const at = await carryOut(call, {
    name: "incident.update",
    subject: id,
    details: update,
    statements:
      status === "postmortem"
        ? addPostmortem(call.db, id, { id: call.key, body }, call.time)
        : updateIncident(call.db, id, { id: call.key, status, body }, call.time, {
            title,
            impact: impact && IMPACTS.indexOf(impact),
            components: update.components,
            startedAt,
            endedAt,
          }),
    updateId: call.key,
    problems,
    rejection: async () => {
      const row = await call.db.prepare("SELECT resolved_at FROM incidents WHERE id = ?").bind(id).first();
      if (row === null) return new HttpError(404, `there is no incident ${id}`);
      return row.resolved_at === null
        ? new HttpError(409, `incident ${id} is open; resolve it before the post-mortem`)
        : new HttpError(409, `incident ${id} was resolved at ${new Date(Number(row.resolved_at)).toISOString()}`);
    },
  });
  return json({ id, update: call.key, at }, 201);
}

/**
 * @param {D1Database} db
 * @param {string} id
 * @param {{ startedAt?: number | undefined, endedAt?: number | undefined }} given minutes
 * @returns {Promise<Problem[]>} if the incident would end before its recorded start
 */
async function endProblems(db, id, { startedAt, endedAt }) {
  if (endedAt === undefined || startedAt !== undefined) return [];
  const row = await db.prepare("SELECT started_at FROM incidents WHERE id = ?").bind(id).first();
  if (row === null || endedAt * MINUTE >= Math.floor(Number(row.started_at) / MINUTE) * MINUTE) return [];
  const start = new Date(Number(row.started_at)).toISOString();
  return [{ field: "endedAt", problem: `is before the incident's start, ${start}; correct startedAt as well` }];
}
