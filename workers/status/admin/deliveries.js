/** Lists deliveries of notifications, and retries dead letters. */

import { json } from "../../lib/http.js";
import { carryOut } from "./actions.js";
import { validated, validationError } from "./body.js";
import { oneOf } from "./checks.js";
import { HttpError } from "./http-error.js";
import { readRetry } from "./requests.js";

/** @import { Call } from "./actions.js" */

const LISTED = 1_000;

const STATE = oneOf(/** @type {const} */ (["pending", "dead", "delivered", "cancelled"]));

const ID = /^[\w-]{1,200}$/;

/**
 * @param {D1Database} db
 * @param {URLSearchParams} query `state`, and `of`: an incident, a maintenance or a contact
 * @returns {Promise<Response>} the most recently published first
 */
export async function listDeliveries(db, query) {
  const state = STATE(query.get("state"));
  const of = query.get("of");
  if ("problem" in state) throw validationError([{ field: "state", problem: state.problem }]);
  if (of !== null && !ID.test(of)) throw validationError([{ field: "of", problem: "must be an id" }]);
  const { results } = await db
    .prepare(
      `SELECT deliveries.*, updates.type, updates.subject, updates.at AS said_at, contacts.name FROM deliveries
       JOIN updates ON updates.id = deliveries.update_id
       LEFT JOIN contacts ON contacts.id = deliveries.contact
       WHERE state = ?1 AND (?3 IS NULL OR updates.subject = ?3 OR deliveries.contact = ?3)
       ORDER BY updates.at DESC, update_id, contact LIMIT ?2`,
    )
    .bind(state.value, LISTED, of)
    .all();
  return json({
    deliveries: results.map((row) => ({
      update: row.update_id,
      contact: row.contact,
      name: row.name,
      type: row.type,
      subject: row.subject,
      attempts: row.attempts,
      saidAt: new Date(Number(row.said_at)),
      settledAt: row.settled_at === null ? null : new Date(Number(row.settled_at)),
      dueAt: state.value === "pending" ? new Date(Number(row.due_at)) : null,
      failure: row.failure,
    })),
  });
}

/**
 * @param {Call} call
 * @param {unknown} given
 * @returns {Promise<Response>}
 */
export async function retryDelivery(call, given) {
  const delivery = validated(readRetry(given));
  const { update, contact } = delivery;
  const at = await carryOut(call, {
    name: "delivery.retry",
    subject: update,
    details: delivery,
    statements: [
      call.db
        .prepare(
          `UPDATE deliveries SET state = 'pending', attempts = 0, due_at = ?3, settled_at = NULL
           WHERE update_id = ?1 AND contact = ?2 AND state = 'dead' AND EXISTS (SELECT 1 FROM contacts WHERE id = ?2)`,
        )
        .bind(update, contact, call.time.getTime()),
    ],
    rejection: async () => {
      const row = await call.db
        .prepare(
          `SELECT state, EXISTS (SELECT 1 FROM contacts WHERE id = ?2) AS known FROM deliveries
           WHERE update_id = ?1 AND contact = ?2`,
        )
        .bind(update, contact)
        .first();
      if (row === null) return new HttpError(404, `there is no delivery of ${update} to ${contact}`);
      return new HttpError(
        409,
        row.known ? `the delivery is ${row.state}, not dead` : `contact ${contact} was removed`,
      );
    },
  });
  return json({ update, contact, at });
}
