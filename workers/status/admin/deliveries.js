/** What contacts are owed, and dead letters that are sent again. */

import { json } from "../../lib/http.js";
import { carryOut } from "./actions.js";
import { unusable, usable } from "./body.js";
import { oneOf } from "./checks.js";
import { Refusal } from "./refusal.js";
import { readRetry } from "./requests.js";

/** @import { Call } from "./actions.js" */

const LISTED = 100;

const WAITING = oneOf(/** @type {const} */ (["pending", "dead"]));

/**
 * @param {D1Database} db
 * @param {URLSearchParams} query `state`
 * @returns {Promise<Response>} the latest said first
 */
export async function listDeliveries(db, query) {
  const state = WAITING(query.get("state"));
  if ("problem" in state) throw unusable([{ field: "state", problem: state.problem }]);
  const { results } = await db
    .prepare(
      `SELECT deliveries.*, updates.type, updates.subject, contacts.name FROM deliveries
       JOIN updates ON updates.id = deliveries.update_id
       LEFT JOIN contacts ON contacts.id = deliveries.contact
       WHERE state = ? ORDER BY updates.at DESC, update_id, contact LIMIT ?`,
    )
    .bind(state.value, LISTED)
    .all();
  return json({
    deliveries: results.map((row) => ({
      update: row.update_id,
      contact: row.contact,
      name: row.name,
      type: row.type,
      subject: row.subject,
      attempts: row.attempts,
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
  const delivery = usable(readRetry(given));
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
    refusal: async () => {
      const row = await call.db
        .prepare(
          `SELECT state, EXISTS (SELECT 1 FROM contacts WHERE id = ?2) AS known FROM deliveries
           WHERE update_id = ?1 AND contact = ?2`,
        )
        .bind(update, contact)
        .first();
      if (row === null) return new Refusal(404, `there is no delivery of ${update} to ${contact}`);
      return new Refusal(409, row.known ? `the delivery is ${row.state}, not dead` : `contact ${contact} was removed`);
    },
  });
  return json({ update, contact, at });
}
