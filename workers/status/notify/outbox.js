/**
 * Delivers what the database says is owed: at least once, recorded exactly once. A delivery is taken by moving its due
 * time on, sent, and settled; whoever falls in between is followed by another a minute later. The same delivery always
 * carries the same id (`webhook-id`, `Message-ID`), by which a receiver knows a second copy.
 */

import { now } from "../../lib/clock.js";
import { failureName, logFailure } from "../../lib/log.js";
import { IMPACTS } from "../judge.js";
import { MINUTE } from "../uptime.js";
import { sendEmail } from "./email.js";
import { Refused, sendWebhook } from "./webhook.js";

/** @import { Env } from "../env.js" */
/** @import { Impact } from "../model.js" */

const TAKEN_AT_ONCE = 20;

/** Workers open six connections at once; one is the database's. */
const SIMULTANEOUS = 5;

/** Four rounds of ten seconds' patience (webhook.js), and then some: nobody takes what is still being sent. */
const LEASE = 2 * MINUTE;

/** 40 × (20 settled + 1 taken) statements stay below the 1,000 that one invocation may run. */
const ROUNDS = 40;

/** How long after which failure: as the Standard Webhooks specification suggests, three days in all. */
const DELAYS = [1, 5, 30, 120, 300, 600, 840, 1_200, 1_440].map((minutes) => minutes * MINUTE);

/** First attempts go first: one that hangs must not hold up those that were never tried. */
const TAKE = `
  UPDATE deliveries SET taken_by = ?1, attempts = attempts + 1, due_at = ?2 + ${LEASE}
  WHERE (update_id, contact) IN (
    SELECT update_id, contact FROM deliveries WHERE state = 'pending' AND due_at <= ?2
    ORDER BY attempts, due_at, update_id, contact LIMIT ${TAKEN_AT_ONCE})`;

const TAKEN = `
  SELECT deliveries.update_id, deliveries.contact, deliveries.attempts, contacts.channel, contacts.address,
    updates.type, updates.subject, updates.status, updates.impact, updates.components, updates.body, updates.at,
    COALESCE(incidents.title, maintenances.title) AS title, incidents.started_at, maintenances.emergency,
    maintenances.start_minute, maintenances.end_minute
  FROM deliveries
  JOIN updates ON updates.id = deliveries.update_id
  JOIN contacts ON contacts.id = deliveries.contact
  LEFT JOIN incidents ON incidents.id = updates.subject
  LEFT JOIN maintenances ON maintenances.id = updates.subject
  WHERE deliveries.taken_by = ? AND deliveries.state = 'pending' ORDER BY updates.at`;

/**
 * @typedef {object} Notice what a contact is told
 * @property {string} type `incident.opened` …
 * @property {string} subject the incident's or maintenance's id
 * @property {string} title
 * @property {string} status
 * @property {Impact | null} impact null for maintenance
 * @property {string[]} components ids
 * @property {string} body
 * @property {Date} at when it was said
 * @property {Date} startsAt
 * @property {Date | null} endsAt of maintenance, as planned
 * @property {boolean} emergency
 */

/**
 * @typedef {object} Delivery
 * @property {string} id the same at every attempt
 * @property {string} contact id
 * @property {string} address
 * @property {Notice} notice
 */

/**
 * @param {Env} env
 * @param {D1Database} db
 */
export async function deliverDue(env, db) {
  for (let round = 0; round < ROUNDS; round += 1) {
    const taken = await take(db, now(env));
    if (taken.length === 0) return;
    const waiting = [...taken];
    await Promise.all(
      Array.from({ length: SIMULTANEOUS }, async () => {
        for (let row = waiting.shift(); row !== undefined; row = waiting.shift()) await deliver(env, db, row);
      }),
    );
  }
}

/**
 * @param {D1Database} db
 * @param {Date} time
 * @returns {Promise<Record<string, any>[]>}
 */
async function take(db, time) {
  const taker = crypto.randomUUID();
  const [, taken] = await db.batch([
    db.prepare(TAKE).bind(taker, time.getTime()),
    /** @type {D1PreparedStatement} */ (db.prepare(TAKEN).bind(taker)),
  ]);
  return /** @type {Record<string, any>[]} */ (taken?.results ?? []);
}

/**
 * @param {Env} env
 * @param {D1Database} db
 * @param {Record<string, any>} row
 */
async function deliver(env, db, row) {
  /** @type {Delivery} */
  const delivery = {
    id: `${row.update_id}_${row.contact}`, // without a full stop, which separates the parts that are signed
    contact: row.contact,
    address: row.address,
    notice: noticeOf(row),
  };
  try {
    await (row.channel === "email" ? sendEmail(env, delivery) : sendWebhook(env, delivery));
  } catch (error) {
    await settleFailure(db, row, error, now(env));
    return;
  }
  await db
    .prepare(
      `UPDATE deliveries SET state = 'delivered', settled_at = ?3, failure = NULL
       WHERE update_id = ?1 AND contact = ?2 AND state = 'pending'`,
    )
    .bind(row.update_id, row.contact, now(env).getTime())
    .run();
}

/**
 * @param {D1Database} db
 * @param {Record<string, any>} row
 * @param {unknown} error
 * @param {Date} time
 */
async function settleFailure(db, row, error, time) {
  const delay = error instanceof Refused ? undefined : DELAYS[row.attempts - 1];
  const failure = failureName(error);
  logFailure("notification not delivered", { contact: row.contact, attempts: row.attempts, error: failure });
  await db
    .prepare(
      `UPDATE deliveries SET state = ?3, due_at = ?4, failure = ?5, settled_at = IIF(?3 = 'dead', ?6, NULL)
       WHERE update_id = ?1 AND contact = ?2 AND state = 'pending'`,
    )
    .bind(
      row.update_id,
      row.contact,
      delay === undefined ? "dead" : "pending",
      time.getTime() + (delay ?? 0),
      failure,
      time.getTime(),
    )
    .run();
}

/**
 * @param {Record<string, any>} row
 * @returns {Notice}
 */
function noticeOf(row) {
  const maintenance = row.start_minute !== null;
  return {
    type: row.type,
    subject: row.subject,
    title: row.title,
    status: row.status,
    impact: row.impact === null ? null : /** @type {Impact} */ (IMPACTS[row.impact]),
    components: JSON.parse(row.components),
    body: row.body,
    at: new Date(row.at),
    startsAt: new Date(maintenance ? row.start_minute * MINUTE : row.started_at),
    endsAt: maintenance ? new Date(row.end_minute * MINUTE) : null,
    emergency: row.emergency === 1,
  };
}
