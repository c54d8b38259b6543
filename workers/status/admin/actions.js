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

/** The key stands there once: an action whose key another one has is undone as a whole. */
const AUDIT = "INSERT INTO audit (at, operator, action, subject, details) SELECT ?1, ?2, ?3, ?4, ?5";

/**
 * @param {Call} call
 * @param {Action} action
 * @returns {Promise<string>} ISO 8601: when it took effect
 * @throws {Refusal} when it does not
 */
export async function carryOut(call, action) {
  const { problems = [] } = action;
  if (problems.length === 0 && (await takesEffect(call, action))) return call.time.toISOString();
  const before = await doneBefore(call, action);
  if (before !== null) return before;
  if (problems.length > 0) throw unusable(problems);
  throw await action.refusal();
}

/**
 * @param {Call} call
 * @param {Action} action
 * @returns {Promise<boolean>}
 */
async function takesEffect(call, action) {
  const { db, operator, key, time } = call;
  const { name, subject, word } = action;
  const values = [time.getTime(), operator, name, subject, detailsOf(call, action)];
  const entry =
    word === undefined
      ? db.prepare(`${AUDIT} WHERE changes() > 0`).bind(...values)
      : db.prepare(`${AUDIT} WHERE EXISTS (SELECT 1 FROM updates WHERE id = ?6)`).bind(...values, word);
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
 * @returns {Promise<string | null>} ISO 8601: when this very call took effect
 * @throws {Refusal} 409 when the key was another call's
 */
async function doneBefore(call, action) {
  const entry = await entryOf(call.db, call.key);
  if (entry === null) return null;
  const same =
    entry.operator === call.operator &&
    entry.action === action.name &&
    entry.subject === action.subject &&
    entry.details === detailsOf(call, action);
  if (!same) throw new Refusal(409, "this idempotency-key was another call's");
  return new Date(Number(entry.at)).toISOString();
}

/**
 * @param {D1Database} db
 * @param {string} key
 * @returns {Promise<Record<string, unknown> | null>} its row of the audit log
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
