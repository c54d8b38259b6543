/**
 * What an operator does: each action is one transaction, which also writes its row of the audit log if it took effect.
 * By that row a repeated call is known, and it is answered as the first one was.
 */

import { unusable } from "./body.js";
import { Refusal } from "./refusal.js";

/** @import { Problem } from "./checks.js" */

/**
 * @typedef {object} Call
 * @property {D1Database} db
 * @property {string} operator
 * @property {string} key UUID: names what is made
 * @property {Date} time
 */

/**
 * @typedef {object} Action
 * @property {string} name `incident.declare` …
 * @property {string} subject id
 * @property {Record<string, unknown>} details that may be kept for good
 * @property {D1PreparedStatement[]} statements
 * @property {string} [word] id of the update that is its effect; otherwise that is what the last statement changes
 * @property {readonly Problem[]} [problems] why it cannot be done now; a repeated call is answered all the same
 * @property {() => Promise<Refusal>} refusal why it had no effect
 */

const AUDIT = `INSERT INTO audit (at, operator, action, subject, details) SELECT ?1, ?2, ?3, ?4, ?5`;

const SAID =
  "EXISTS (SELECT 1 FROM updates WHERE id = ?6) AND NOT EXISTS (SELECT 1 FROM audit WHERE details ->> 'key' = ?7)";

/**
 * @param {Call} call
 * @param {Action} action
 * @returns {Promise<string>} ISO 8601: when it took effect
 * @throws {Refusal} when it does not
 */
export async function carryOut(call, action) {
  const before = await doneBefore(call, action);
  if (before !== null) return before;
  if (action.problems !== undefined && action.problems.length > 0) throw unusable(action.problems);
  const results = await call.db.batch([...action.statements, entry(call, action)]);
  if (results.at(-1)?.meta.changes === 1) return call.time.toISOString();
  // The same call may have come twice at once.
  const beside = await doneBefore(call, action);
  if (beside !== null) return beside;
  throw await action.refusal();
}

/**
 * @param {Call} call
 * @param {Action} action
 * @returns {D1PreparedStatement} the last one of its transaction
 */
function entry({ db, operator, key, time }, { name, subject, details, word }) {
  const values = [time.getTime(), operator, name, subject, JSON.stringify({ key, ...details })];
  return word === undefined
    ? db.prepare(`${AUDIT} WHERE changes() > 0`).bind(...values)
    : db.prepare(`${AUDIT} WHERE ${SAID}`).bind(...values, word, key);
}

/**
 * @param {Call} call
 * @param {Action} action
 * @returns {Promise<string | null>} ISO 8601
 * @throws {Refusal} 409 when the key was another action's
 */
async function doneBefore({ db, operator, key }, { name, subject, details }) {
  const row = await db
    .prepare("SELECT at, operator, action, subject, details FROM audit WHERE details ->> 'key' = ?")
    .bind(key)
    .first();
  if (row === null) return null;
  const same =
    row.operator === operator &&
    row.action === name &&
    row.subject === subject &&
    row.details === JSON.stringify({ key, ...details });
  if (!same) throw new Refusal(409, "this idempotency-key was another call's");
  return new Date(Number(row.at)).toISOString();
}
