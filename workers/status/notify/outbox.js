/**
 * Delivers what the database says is owed: at least once, recorded exactly once. A delivery is taken by moving its due
 * time on, sent, and settled; whoever falls in between is followed by another a minute later. The same delivery always
 * carries the same id (`webhook-id`, `Message-ID`), by which a receiver knows a second copy.
 */

import { now } from "../../lib/clock.js";
import { inLanes } from "../../lib/lanes.js";
import { failureName, logFailure } from "../../lib/log.js";
import { Answered, Refused } from "../../lib/post.js";
import { UNTIL } from "../announcements.js";
import { IMPACTS } from "../judge.js";
import { MINUTE } from "../uptime.js";
import { sendEmail } from "./email.js";
import { numbersOf, SECRET_NUMBERS } from "./secrets.js";
import { sendWebhook } from "./webhook.js";

/** @import { Env } from "../env.js" */
/** @import { Impact } from "../model.js" */

const TAKEN_AT_ONCE = 20;

/** By channel, apart from each other: one that hangs must not hold up the other. Workers open six connections at once. */
const SIMULTANEOUS = { webhook: 3, email: 2 };

/** Ten sendings one after the other of five seconds' patience each, and then some: nobody takes what is being sent. */
const LEASE = 2 * MINUTE;

/** 2 × 20 × (20 settled + 1 taken) statements stay below the 1,000 that one invocation may run. */
const ROUNDS = 20;

const DAY = 24 * 60 * MINUTE;

/** How long after which failure: as the Standard Webhooks specification suggests, three days in all. */
const DELAYS = [1, 5, 30, 120, 300, 600, 840, 1_200, 1_440].map((minutes) => minutes * MINUTE);

/** A receiver that asks for more time (`Retry-After`) gets no less than was planned, and no more than this. */
const LONGEST_DELAY = DAY;

const FAILED_LATELY = (/** @type {string} */ contact) => `EXISTS (
  SELECT 1 FROM deliveries AS other WHERE other.contact = ${contact} AND other.failure IS NOT NULL
  AND (other.state = 'pending' OR (other.state = 'dead' AND other.settled_at > ?2 - ${DAY})))`;

/**
 * A contact is told of a subject in the order in which it was said. First attempts go first, and those to whom nothing
 * failed lately: one that hangs must not hold up the others.
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
    ORDER BY due.attempts, ${FAILED_LATELY("due.contact")}, due.due_at, due.update_id, due.contact
    LIMIT ${TAKEN_AT_ONCE})`;

/** The first and the last message of the same subject that the contact got before. */
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
  ORDER BY deliveries.attempts, ${FAILED_LATELY("deliveries.contact")}, updates.at`;

/**
 * @typedef {object} Notice what a contact is told
 * @property {string} type `incident.opened` …
 * @property {string | null} subject the incident's or maintenance's id; null for a test
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
 * @property {string[]} thread ids of earlier deliveries to the contact of the same subject: the first, and the last
 * @property {number[]} secrets numbers of those to sign a webhook with
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
 * @param {keyof typeof SIMULTANEOUS} channel
 */
async function deliverBy(env, db, channel) {
  for (let round = 0; round < ROUNDS; round += 1) {
    const taken = await take(db, channel, now(env));
    if (taken.length === 0) return;
    await inLanes(taken, SIMULTANEOUS[channel], (row) => deliver(env, db, row));
  }
}

/**
 * @param {D1Database} db
 * @param {keyof typeof SIMULTANEOUS} channel
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
 * @throws {Error} when it is not taken in time
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
  const planned = error instanceof Refused ? undefined : DELAYS[row.attempts - 1];
  const asked = error instanceof Answered ? (error.retryAfter ?? 0) : 0;
  const delay = planned && Math.max(planned, Math.min(asked, LONGEST_DELAY));
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
 * @returns {string} without a full stop, which separates the parts that are signed
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
