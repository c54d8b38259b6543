/**
 * Webhooks, signed as the Standard Webhooks specification says: `webhook-id`, `webhook-timestamp` and
 * `webhook-signature` (`v1,` and the base64 of HMAC-SHA-256 over `id.timestamp.body`, for each secret that is good now).
 */

import { base64, hmac } from "./bytes.js";

/** A receiver acknowledges first and works later. */
const PATIENCE_MILLISECONDS = 5_000;

const GONE = 410;

/** A failure that no later attempt can mend. */
export class PermanentError extends Error {
  name = `HTTP ${GONE}`;
}

/** What the receiver answered; the number is all that is kept of it, and when it wants to be asked again. */
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
 * @typedef {object} Message
 * @property {string} id the same at every attempt, without a full stop, which separates the parts that are signed
 * @property {object} event what is sent, as JSON
 * @property {readonly Uint8Array[]} secrets those to sign with, the newest first: a receiver takes any that it knows
 * @property {string} sender who calls: name, and after a space an address at which more is said
 */

/**
 * @param {string} address
 * @param {Message} message
 * @param {Date} time
 * @throws {Error} when the receiver does not answer 2xx in time
 */
export async function post(address, { id, event, secrets, sender }, time) {
  const body = JSON.stringify(event);
  const timestamp = String(Math.floor(time.getTime() / 1_000));
  const codes = await Promise.all(secrets.map((secret) => hmac(secret, `${id}.${timestamp}.${body}`)));
  const response = await fetch(address, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": codes.map((code) => `v1,${base64(code)}`).join(" "),
      "user-agent": sender,
    },
    body,
    // Where it leads to was not what anybody entered.
    redirect: "manual",
    signal: AbortSignal.timeout(PATIENCE_MILLISECONDS),
  });
  await response.body?.cancel();
  if (response.status === GONE) throw new PermanentError();
  if (!response.ok) throw new HttpError(response.status, retryAfter(response.headers.get("retry-after"), time));
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
