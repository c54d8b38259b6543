/**
 * Webhooks, signed as the Standard Webhooks specification says: `webhook-id`, `webhook-timestamp` and
 * `webhook-signature` (`v1,` and the base64 of HMAC-SHA-256 over `id.timestamp.body`).
 */

import { base64, hmac, utf8 } from "../../lib/bytes.js";
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
  const secret = await secretOf(env.WEBHOOK_KEY, contact);
  const timestamp = String(Math.floor(now(env).getTime() / 1_000));
  const response = await fetch(address, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": `v1,${base64(await hmac(secret, `${id}.${timestamp}.${body}`))}`,
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
export function secretOf(key, contact) {
  return hmac(utf8(key), `webhook:${contact}`);
}
