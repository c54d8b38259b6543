/** Operators' actions on contacts, who receive notifications. */

import { json } from "../../lib/http.js";
import { failureName } from "../../lib/log.js";
import { IMPACTS } from "../judge.js";
import { send } from "../notify/outbox.js";
import { numbersOf, SECRET_NUMBERS, writtenSecret } from "../notify/secrets.js";
import { carryOut, KEY_CONFLICT } from "./actions.js";
import { hostOf } from "./addresses.js";
import { validated } from "./body.js";
import { HttpError } from "./http-error.js";
import { readContact, readRotation } from "./requests.js";

/** @import { Env } from "../env.js" */
/** @import { Call } from "./actions.js" */
/** @import { Problem } from "./checks.js" */

const HOUR = 3_600_000;

/**
 * @param {D1Database} db
 * @returns {Promise<Response>} by name
 */
export async function listContacts(db) {
  const { results } = await db.prepare("SELECT * FROM contacts ORDER BY name, id").all();
  return json({
    contacts: results.map((row) => ({
      id: row.id,
      name: row.name,
      channel: row.channel,
      address: row.address,
      components: row.components === null ? null : JSON.parse(String(row.components)),
      minimum: IMPACTS[Number(row.minimum)],
      createdAt: new Date(Number(row.created_at)),
    })),
  });
}

/**
 * @param {Call} call
 * @param {unknown} given
 * @param {readonly string[]} components ids of all components
 * @param {Pick<Env, "STATUS_URL" | "WEBHOOK_KEY">} env
 * @returns {Promise<Response>} for a webhook with its signing secret, in the format of the Standard Webhooks specification
 */
export async function addContact(call, given, components, env) {
  const { address, ...contact } = validated(readContact(given, components, env.STATUS_URL));
  const { name, channel, minimum } = contact;
  const scope = contact.components === null ? null : JSON.stringify(contact.components);
  const at = await carryOut(call, {
    name: "contact.add",
    subject: call.key,
    // The audit log is permanent, so it contains only the host, not the address, which may be personal or secret.
    details: { ...contact, host: hostOf(channel, address) },
    statements: [
      call.db
        .prepare("INSERT OR IGNORE INTO contacts VALUES (?, ?, ?, ?, ?, ?, ?)")
        .bind(call.key, name, channel, address, scope, IMPACTS.indexOf(minimum), call.time.getTime()),
    ],
    problems: await duplicateProblems(call.db, channel, address, scope),
    rejection: async () => new HttpError(409, KEY_CONFLICT),
  });
  const secret = channel === "webhook" ? { secret: await writtenSecret(env.WEBHOOK_KEY, call.key, 0) } : {};
  return json({ id: call.key, at, ...secret }, 201);
}

/**
 * @param {D1Database} db
 * @param {string} channel
 * @param {string} address
 * @param {string | null} scope JSON list of components; null for all
 * @returns {Promise<Problem[]>} if a contact would receive each message twice
 */
async function duplicateProblems(db, channel, address, scope) {
  const row = await db
    .prepare("SELECT id FROM contacts WHERE channel = ? AND lower(address) = lower(?) AND components IS ?")
    .bind(channel, address, scope)
    .first();
  return row === null
    ? []
    : [{ field: "address", problem: `is already the address of contact ${row.id}, with the same components` }];
}

/**
 * Gives a webhook contact a new secret. Until the overlap ends, its webhooks are signed with both secrets.
 *
 * @param {Call} call
 * @param {string} id
 * @param {unknown} given
 * @param {Pick<Env, "WEBHOOK_KEY">} env
 * @returns {Promise<Response>} with the new secret, which is shown only here
 */
export async function rotateSecret(call, id, given, env) {
  const { overlapHours } = validated(readRotation(given));
  const until = call.time.getTime() + overlapHours * HOUR;
  const at = await carryOut(call, {
    name: "contact.rotate",
    subject: id,
    details: { overlapHours },
    statements: [
      call.db
        .prepare(
          `INSERT INTO webhook_secrets SELECT id, 1, ?2 FROM contacts WHERE id = ?1 AND channel = 'webhook'
           AND (?2 <= ?3 OR NOT EXISTS (SELECT 1 FROM webhook_secrets WHERE contact = ?1 AND overlap_until > ?3))
           ON CONFLICT (contact) DO UPDATE SET number = number + 1, overlap_until = excluded.overlap_until`,
        )
        .bind(id, until, call.time.getTime()),
    ],
    rejection: async () => {
      const row = await call.db
        .prepare(`SELECT channel, overlap_until FROM contacts LEFT JOIN webhook_secrets ON contact = id WHERE id = ?`)
        .bind(id)
        .first();
      if (row === null) return new HttpError(404, `there is no contact ${id}`);
      if (row.channel !== "webhook")
        return new HttpError(409, `contact ${id} receives e-mail, which has no signing secret`);
      const end = new Date(Number(row.overlap_until)).toISOString();
      return new HttpError(
        409,
        `the secret of ${id} is already being rotated: the previous one is valid until ${end}; wait until then, or rotate with an overlap of 0 hours to end it now`,
      );
    },
  });
  const row = await call.db
    .prepare("SELECT number, overlap_until FROM webhook_secrets WHERE contact = ?")
    .bind(id)
    .first();
  const secret = await writtenSecret(env.WEBHOOK_KEY, id, Number(row?.number));
  return json({ id, at, secret, overlapUntil: new Date(Number(row?.overlap_until)) });
}

/**
 * Removes a contact and cancels its pending deliveries.
 *
 * @param {Call} call
 * @param {string} id
 * @returns {Promise<Response>}
 */
export async function removeContact(call, id) {
  const at = await carryOut(call, {
    name: "contact.remove",
    subject: id,
    details: {},
    statements: [
      call.db
        .prepare("UPDATE deliveries SET state = 'cancelled', settled_at = ?2 WHERE contact = ?1 AND state = 'pending'")
        .bind(id, call.time.getTime()),
      call.db.prepare("DELETE FROM contacts WHERE id = ?").bind(id),
    ],
    rejection: async () => new HttpError(404, `there is no contact ${id}`),
  });
  return json({ id, at });
}

/**
 * Sends a test message now, so that the operator sees whether it arrives.
 *
 * @param {Call} call
 * @param {string} id
 * @param {Env} env
 * @returns {Promise<Response>} 409 if the receiver did not accept it
 */
export async function testContact(call, id, env) {
  const at = await carryOut(call, {
    name: "contact.test",
    subject: id,
    details: {},
    // Changes nothing, but has an effect only if the contact exists.
    statements: [call.db.prepare("UPDATE contacts SET id = id WHERE id = ?").bind(id)],
    rejection: async () => new HttpError(404, `there is no contact ${id}`),
  });
  const row = await call.db
    .prepare(`SELECT channel, address, ${SECRET_NUMBERS("contacts.id")} FROM contacts WHERE id = ?1`)
    .bind(id, call.time.getTime())
    .first();
  if (row === null) throw new HttpError(404, `there is no contact ${id}`);
  const notice = {
    type: "contact.test",
    subject: null,
    title: "Test message",
    status: "test",
    impact: null,
    components: [],
    body: `This is a test: an operator of ${env.PLATFORM} checks that notifications reach you. Nothing has happened.`,
    at: call.time,
    startsAt: call.time,
    endsAt: null,
    emergency: false,
  };
  try {
    const recipient = { contact: id, address: String(row.address), thread: [], secrets: numbersOf(row) };
    await send(env, String(row.channel), { id: `${call.key}_${id}`, notice, ...recipient });
  } catch (error) {
    throw new HttpError(409, `the receiver did not accept the test message: ${failureName(error)}`);
  }
  return json({ id, at });
}
