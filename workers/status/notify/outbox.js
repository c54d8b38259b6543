/**
 * Delivers pending notifications at least once. A run leases a delivery by moving its due time on, sends it, and records
 * the result. If a run ends in between, a later run sends the delivery again after the lease. Every attempt of a delivery
 * has the same id (`webhook-id`, `Message-ID`), so that a receiver can discard duplicates.
 */

import { now } from "../../lib/clock.js";
import { forEachConcurrently } from "../../lib/concurrency.js";
import { failureName, logFailure } from "../../lib/log.js";
import { HttpError, PermanentError } from "../../lib/post.js";
import { UNTIL } from "../announcements.js";
import { IMPACTS } from "../judge.js";
import { MINUTE } from "../uptime.js";
import { sendEmail } from "./email.js";
import { numbersOf, SECRET_NUMBERS } from "./secrets.js";
import { sendWebhook } from "./webhook.js";

/** @import { Env } from "../env.js" */
/** @import { Impact } from "../model.js" */

const BATCH_SIZE = 20;

/** Connections of each channel, so that one that hangs does not delay the other. A Worker may open six connections. */
const PARALLEL_SENDS = { webhook: 3, email: 2 };

/** Longer than ten sequential sends with a timeout of five seconds each, so that no other run takes these deliveries. */
const LEASE = 2 * MINUTE;

/** Batches of each channel in one run. 2 channels × 20 batches × (20 results + 1 lease) stay below D1's 1,000 queries an invocation. */
const ROUNDS = 20;

const DAY = 24 * 60 * MINUTE;

/** Back-off after each failure, as the Standard Webhooks specification recommends: three days in all. */
const RETRY_DELAYS = [1, 5, 30, 120, 300, 600, 840, 1_200, 1_440].map((minutes) => minutes * MINUTE);

/** `Retry-After` can only lengthen a delay, and only up to this. */
const MAX_DELAY = DAY;

const FAILED_RECENTLY = (/** @type {string} */ contact) => `EXISTS (
  SELECT 1 FROM deliveries AS other WHERE other.contact = ${contact} AND other.failure IS NOT NULL
  AND (other.state = 'pending' OR (other.state = 'dead' AND other.settled_at > ?2 - ${DAY})))`;

/**
 * Leases a batch. A contact gets the updates of a subject in order. First attempts, and contacts without recent failures,
 * come first, so that a contact that hangs does not delay the others.
 */
const TAKE = `
  UPDATE deliveries SET taken_by = ?1, attempts = attempts + 1, due_at = ?2 + ${LEASE}
  WHERE (update_id, contact) IN (
    SELECT update_id, contact FROM deliveries AS due
    JOIN contacts ON contacts.id = due.contact AND contacts.channel = ?3
    JOIN updates ON updates.id = due.update_id
    WHERE due.state = 'pending' AND due.due_at <= ?2 AND NOT EXISTS (
      SELECT 1 FROM deliveries AS earlier JOIN updates AS before ON before.id = earlier.update_id
      WHERE earlier.contact = due.contact AND earlier.state = 'pending'
        AND before.subject = updates.subject AND (before.at, before.id) < (updates.at, updates.id))
    ORDER BY due.attempts, ${FAILED_RECENTLY("due.contact")}, due.due_at, due.update_id, due.contact
    LIMIT ${BATCH_SIZE})`;

/** The first and the last message about the same subject that the contact received. */
const THREAD = `(
  SELECT json_array(MIN(at_id), MAX(at_id)) FROM (
    SELECT printf('%015d', said.at) || said.id AS at_id
    FROM deliveries AS got JOIN updates AS said ON said.id = got.update_id
    WHERE got.contact = deliveries.contact AND got.state = 'delivered' AND said.subject = updates.subject
    AND said.id <> updates.id))`;

const TAKEN = `
  SELECT deliveries.update_id, deliveries.contact, deliveries.attempts, contacts.channel, contacts.address,
    updates.type, updates.subject, updates.status, updates.impact, updates.components, updates.body, updates.at,
    ${THREAD} AS thread, ${SECRET_NUMBERS("deliveries.contact")},
    COALESCE(incidents.title, maintenances.title) AS title, incidents.started_at, maintenances.emergency,
    maintenances.start_minute, ${UNTIL("maintenances")} AS end_minute
  FROM deliveries
  JOIN updates ON updates.id = deliveries.update_id
  JOIN contacts ON contacts.id = deliveries.contact
  LEFT JOIN incidents ON incidents.id = updates.subject
  LEFT JOIN maintenances ON maintenances.id = updates.subject
  WHERE deliveries.taken_by = ?1 AND deliveries.state = 'pending'
  ORDER BY deliveries.attempts, ${FAILED_RECENTLY("deliveries.contact")}, updates.at`;

/**
 * @typedef {object} Notice the content of a notification
 * @property {string} type `incident.opened` …
 * @property {string | null} subject the incident's or maintenance's id; null for a test
 * @property {string} title
 * @property {string} status
 * @property {Impact | null} impact null for maintenance
 * @property {string[]} components ids
 * @property {string} body
 * @property {Date} at when the update was published
 * @property {Date} startsAt
 * @property {Date | null} endsAt planned end of maintenance
 * @property {boolean} emergency
 */

/**
 * @typedef {object} Delivery
 * @property {string} id the same at every attempt
 * @property {string} contact id
 * @property {string} address
 * @property {Notice} notice
 * @property {string[]} thread ids of the first and the last earlier delivery to the contact about the same subject
 * @property {number[]} secrets numbers of the secrets that sign a webhook
 */

/**
 * @param {Env} env
 * @param {D1Database} db
 */
export async function deliverDue(env, db) {
  await Promise.all([deliverBy(env, db, "webhook"), deliverBy(env, db, "email")]);
}

/**
 * @param {Env} env
 * @param {D1Database} db
 * @param {keyof typeof PARALLEL_SENDS} channel
 */
async function deliverBy(env, db, channel) {
  for (let round = 0; round < ROUNDS; round += 1) {
    const taken = await take(db, channel, now(env));
    if (taken.length === 0) return;
    await forEachConcurrently(taken, PARALLEL_SENDS[channel], (row) => deliver(env, db, row));
  }
}

/**
 * @param {D1Database} db
 * @param {keyof typeof PARALLEL_SENDS} channel
 * @param {Date} time
 * @returns {Promise<Record<string, any>[]>}
 */
async function take(db, channel, time) {
  const taker = crypto.randomUUID();
  const [, taken] = await db.batch([
    db.prepare(TAKE).bind(taker, time.getTime(), channel),
    /** @type {D1PreparedStatement} */ (db.prepare(TAKEN).bind(taker, time.getTime())),
  ]);
  return /** @type {Record<string, any>[]} */ (taken?.results ?? []);
}

/**
 * @param {Env} env
 * @param {string} channel
 * @param {Delivery} delivery
 * @throws {Error} if the receiver does not accept it before the timeout
 */
export function send(env, channel, delivery) {
  return channel === "email" ? sendEmail(env, delivery) : sendWebhook(env, delivery);
}

/**
 * @param {Env} env
 * @param {D1Database} db
 * @param {Record<string, any>} row
 */
async function deliver(env, db, row) {
  /** @type {Delivery} */
  const delivery = {
    id: idOf(row.update_id, row.contact),
    contact: row.contact,
    address: row.address,
    notice: noticeOf(row),
    thread: threadOf(row),
    secrets: numbersOf(row),
  };
  try {
    await send(env, row.channel, delivery);
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
  const planned = error instanceof PermanentError ? undefined : RETRY_DELAYS[row.attempts - 1];
  const requested = error instanceof HttpError ? (error.retryAfter ?? 0) : 0;
  const delay = planned && Math.max(planned, Math.min(requested, MAX_DELAY));
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
 * @returns {string[]}
 */
function threadOf({ thread, contact }) {
  const ids = /** @type {(string | null)[]} */ (JSON.parse(thread)).flatMap((one) =>
    one === null ? [] : [one.slice(15)],
  );
  return [...new Set(ids)].map((update) => idOf(update, contact));
}

/**
 * @param {string} update id
 * @param {string} contact id
 * @returns {string} delivery id; it contains no full stop, which separates the signed parts of a webhook
 */
function idOf(update, contact) {
  return `${update}_${contact}`;
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
