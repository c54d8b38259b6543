/**
 * Sends webhooks, signed according to the Standard Webhooks specification: `webhook-id`, `webhook-timestamp` and
 * `webhook-signature` (`v1,` and the base64 of HMAC-SHA-256 over `id.timestamp.body`, for each valid secret).
 */

import { now } from "../../lib/clock.js";
import { addressOf } from "./notice.js";
import { signaturesOf } from "./secrets.js";

/** @import { Env } from "../env.js" */
/** @import { Delivery } from "./outbox.js" */

/** A receiver should acknowledge at once and process later. */
const TIMEOUT_MILLISECONDS = 5_000;

const GONE = 410;

/** The receiver does not want any further webhook (410 Gone), so there is no retry. */
export class PermanentError extends Error {
  name = `HTTP ${GONE}`;
}

/** The receiver answered with another status than 2xx. Only the status and `Retry-After` are kept. */
export class HttpError extends Error {
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
 * @throws {Error} if the receiver does not answer 2xx before the timeout
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
    // Redirects are not followed: their target is not the address that the contact entered.
    redirect: "manual",
    signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS),
  });
  await response.body?.cancel();
  if (response.status === GONE) throw new PermanentError();
  if (!response.ok) throw new HttpError(response.status, retryAfter(response.headers.get("retry-after"), now(env)));
}

/**
 * @param {string | null} header seconds, or an HTTP date (RFC 9110, 10.2.3)
 * @param {Date} time
 * @returns {number | undefined} milliseconds after `time`
 */
export function retryAfter(header, time) {
  if (header === null) return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1_000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : date - time.getTime();
}
