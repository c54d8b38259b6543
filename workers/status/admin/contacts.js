/** Who is told. */

import { base64 } from "../../lib/bytes.js";
import { json } from "../../lib/http.js";
import { IMPACTS } from "../judge.js";
import { secretOf } from "../notify/webhook.js";
import { carryOut } from "./actions.js";
import { hostOf } from "./addresses.js";
import { usable } from "./body.js";
import { Refusal } from "./refusal.js";
import { readContact } from "./requests.js";

/** @import { Env } from "../env.js" */
/** @import { Call } from "./actions.js" */

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
 * @param {readonly string[]} components ids that there are
 * @param {Pick<Env, "STATUS_URL" | "WEBHOOK_KEY">} env
 * @returns {Promise<Response>} for a webhook with its signing secret, as the Standard Webhooks specification writes it
 */
export async function addContact(call, given, components, env) {
  const { address, ...contact } = usable(readContact(given, components, env.STATUS_URL));
  const { name, channel, minimum } = contact;
  const at = await carryOut(call, {
    name: "contact.add",
    subject: call.key,
    // The log is for good: it names the host, not the person's address or what an address holds besides.
    details: { ...contact, host: hostOf(channel, address) },
    statements: [
      call.db
        .prepare("INSERT OR IGNORE INTO contacts VALUES (?, ?, ?, ?, ?, ?, ?)")
        .bind(
          call.key,
          name,
          channel,
          address,
          contact.components === null ? null : JSON.stringify(contact.components),
          IMPACTS.indexOf(minimum),
          call.time.getTime(),
        ),
    ],
    refusal: async () => new Refusal(409, "this idempotency-key was another call's"),
  });
  const secret = channel === "webhook" ? { secret: await written(env.WEBHOOK_KEY, call.key) } : {};
  return json({ id: call.key, at, ...secret }, 201);
}

/**
 * @param {string} webhookKey
 * @param {string} id
 * @returns {Promise<string>}
 */
async function written(webhookKey, id) {
  return `whsec_${base64(await secretOf(webhookKey, id))}`;
}

/**
 * What the contact is still owed is not sent any more.
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
    refusal: async () => new Refusal(404, `there is no contact ${id}`),
  });
  return json({ id, at });
}
