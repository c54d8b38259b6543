/**
 * Carries out operators' actions. Each action is one transaction, which also writes an audit entry if it has an effect.
 * A repeated call finds its entry and gets the response of the first call (idempotency).
 */

import { validationError } from "./body.js";
import { HttpError } from "./http-error.js";

/** @import { Problem } from "./checks.js" */

/**
 * @typedef {object} Call
 * @property {D1Database} db
 * @property {string} operator
 * @property {string} key idempotency key (UUID), and id of the created object
 * @property {Date} time
 */

/**
 * @typedef {object} Action
 * @property {string} name `incident.declare` …
 * @property {string} subject id
 * @property {Record<string, unknown>} details for the audit log, which is kept permanently: nothing confidential
 * @property {D1PreparedStatement[]} statements
 * @property {string} [updateId] id of the update that the action inserts; without it, the effect is that the last
 *   statement changes a row
 * @property {readonly Problem[]} [problems] with the input; a repeated call is answered nevertheless
 * @property {() => Promise<HttpError>} rejection why the action had no effect
 */

/** Keys are unique in the audit log: the transaction of an action with a used key fails. */
const AUDIT = "INSERT INTO audit (at, operator, action, subject, details) SELECT ?1, ?2, ?3, ?4, ?5";

export const KEY_CONFLICT = "this idempotency-key was used for a different call; use a new UUID";

/**
 * @param {Call} call
 * @param {Action} action
 * @returns {Promise<string>} ISO 8601: time at which it took effect
 * @throws {HttpError} if it has no effect
 */
export async function carryOut(call, action) {
  const { problems = [] } = action;
  if (problems.length === 0 && (await takesEffect(call, action))) return call.time.toISOString();
  const first = await firstCall(call, action);
  if (first !== null) return first;
  if (problems.length > 0) throw validationError(problems);
  throw await action.rejection();
}

/**
 * @param {Call} call
 * @param {Action} action
 * @returns {Promise<boolean>}
 */
async function takesEffect(call, action) {
  const { db, operator, key, time } = call;
  const { name, subject, updateId } = action;
  const values = [time.getTime(), operator, name, subject, detailsOf(call, action)];
  const entry =
    updateId === undefined
      ? db.prepare(`${AUDIT} WHERE changes() > 0`).bind(...values)
      : db.prepare(`${AUDIT} WHERE EXISTS (SELECT 1 FROM updates WHERE id = ?6)`).bind(...values, updateId);
  try {
    const results = await db.batch([...action.statements, entry]);
    return results.at(-1)?.meta.changes === 1;
  } catch (error) {
    if ((await entryOf(db, key)) === null) throw error;
    return false;
  }
}

/**
 * @param {Call} call
 * @param {Action} action
 * @returns {Promise<string | null>} ISO 8601: time at which the same call took effect; null if there was none
 * @throws {HttpError} 409 if the key was used by a different call
 */
async function firstCall(call, action) {
  const entry = await entryOf(call.db, call.key);
  if (entry === null) return null;
  const same =
    entry.operator === call.operator &&
    entry.action === action.name &&
    entry.subject === action.subject &&
    entry.details === detailsOf(call, action);
  if (!same) throw new HttpError(409, KEY_CONFLICT);
  return new Date(Number(entry.at)).toISOString();
}

/**
 * @param {D1Database} db
 * @param {string} key
 * @returns {Promise<Record<string, unknown> | null>} the audit entry with this key
 */
function entryOf(db, key) {
  return db
    .prepare("SELECT at, operator, action, subject, details FROM audit WHERE details ->> 'key' = ?")
    .bind(key)
    .first();
}

/**
 * @param {Call} call
 * @param {Action} action
 * @returns {string} JSON
 */
function detailsOf({ key }, { details }) {
  return JSON.stringify({ key, ...details });
}
