/**
 * Webhooks, signed as the Standard Webhooks specification says: `webhook-id`, `webhook-timestamp` and
 * `webhook-signature` (`v1,` and the base64 of HMAC-SHA-256 over `id.timestamp.body`).
 */

import { base64 } from "../../lib/base64.js";
import { now } from "../../lib/clock.js";

/** @import { Env } from "../env.js" */
/** @import { Delivery } from "./outbox.js" */

/** A receiver acknowledges first and works later. */
const PATIENCE_MILLISECONDS = 5_000;

const GONE = 410;

/** A failure that no later attempt can mend. */
export class Refused extends Error {
  name = "Refused";
}

/** What the receiver answered; the number is all that is kept of it. */
class Answered extends Error {
  /** @param {number} status */
  constructor(status) {
    super();
    this.name = `HTTP ${status}`;
  }
}

/**
 * @param {Env} env
 * @param {Delivery} delivery
 * @throws {Error} when the receiver does not answer 2xx in time
 */
export async function sendWebhook(env, { id, contact, address, notice }) {
  const body = JSON.stringify({
    type: notice.type,
    timestamp: notice.at.toISOString(),
    data: { ...notice, url: `${env.STATUS_URL}/history#${notice.subject}` },
  });
  const timestamp = String(Math.floor(now(env).getTime() / 1_000));
  const response = await fetch(address, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": `v1,${await sign(await secretOf(env.WEBHOOK_KEY, contact), `${id}.${timestamp}.${body}`)}`,
    },
    body,
    // Where it leads to was not what the contact entered.
    redirect: "manual",
    signal: AbortSignal.timeout(PATIENCE_MILLISECONDS),
  });
  await response.body?.cancel();
  if (response.status === GONE) throw new Refused();
  if (!response.ok) throw new Answered(response.status);
}

/**
 * A contact's own secret follows from the Worker's key, so that the database holds none.
 *
 * @param {string} key
 * @param {string} contact id
 * @returns {Promise<Uint8Array>} 32 bytes
 */
export async function secretOf(key, contact) {
  return new Uint8Array(await hmac(encoded(key), encoded(`webhook:${contact}`)));
}

/**
 * @param {Uint8Array} secret
 * @param {string} content
 * @returns {Promise<string>} base64
 */
async function sign(secret, content) {
  return base64(new Uint8Array(await hmac(secret, encoded(content))));
}

/**
 * @param {Uint8Array} secret
 * @param {Uint8Array} content
 * @returns {Promise<ArrayBuffer>}
 */
async function hmac(secret, content) {
  const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return crypto.subtle.sign("HMAC", key, content);
}

/**
 * @param {string} text
 * @returns {Uint8Array}
 */
function encoded(text) {
  return new TextEncoder().encode(text);
}
