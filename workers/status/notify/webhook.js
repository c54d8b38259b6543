/**
 * Webhooks, signed as the Standard Webhooks specification says: `webhook-id`, `webhook-timestamp` and
 * `webhook-signature` (`v1,` and the base64 of HMAC-SHA-256 over `id.timestamp.body`, for each secret that is good now).
 */

import { now } from "../../lib/clock.js";
import { addressOf } from "./notice.js";
import { signaturesOf } from "./secrets.js";

/** @import { Env } from "../env.js" */
/** @import { Delivery } from "./outbox.js" */

/** A receiver acknowledges first and works later. */
const PATIENCE_MILLISECONDS = 5_000;

const GONE = 410;

/** A failure that no later attempt can mend. */
export class Refused extends Error {
  name = "Refused";
}

/** What the receiver answered; the number is all that is kept of it, and when it wants to be asked again. */
export class Answered extends Error {
  /**
   * @param {number} status
   * @param {number | undefined} retryAfter milliseconds
   */
  constructor(status, retryAfter) {
    super();
    this.name = `HTTP ${status}`;
    this.retryAfter = retryAfter;
  }
}

/**
 * @param {Env} env
 * @param {Delivery} delivery
 * @throws {Error} when the receiver does not answer 2xx in time
 */
export async function sendWebhook(env, { id, contact, address, notice, secrets }) {
  const body = JSON.stringify({
    type: notice.type,
    timestamp: notice.at.toISOString(),
    data: { ...notice, url: addressOf(env, notice) },
  });
  const timestamp = String(Math.floor(now(env).getTime() / 1_000));
  const response = await fetch(address, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": await signaturesOf(env, contact, secrets, `${id}.${timestamp}.${body}`),
      "user-agent": `backbuild-status/1.0 (+${env.STATUS_URL})`,
    },
    body,
    // Where it leads to was not what the contact entered.
    redirect: "manual",
    signal: AbortSignal.timeout(PATIENCE_MILLISECONDS),
  });
  await response.body?.cancel();
  if (response.status === GONE) throw new Refused();
  if (!response.ok) throw new Answered(response.status, retryAfter(response.headers.get("retry-after"), now(env)));
}

/**
 * @param {string | null} header seconds, or an HTTP date (RFC 9110, 10.2.3)
 * @param {Date} time
 * @returns {number | undefined} milliseconds from then on
 */
export function retryAfter(header, time) {
  if (header === null) return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1_000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : date - time.getTime();
}
