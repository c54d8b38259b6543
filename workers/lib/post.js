/**
 * Sends webhooks with the headers of the Standard Webhooks specification: `webhook-id`, `webhook-timestamp` and
 * `webhook-signature` (for each valid secret, `v1,` and the base64 of HMAC-SHA-256 over `id.timestamp.body`).
 */

import { base64, hmac } from "./bytes.js";

/** Short, because a receiver is expected to acknowledge a webhook before it processes it. */
const TIMEOUT_MILLISECONDS = 5_000;

const GONE = 410;

/** The receiver answered 410: retries cannot succeed. */
export class PermanentError extends Error {
  name = `HTTP ${GONE}`;
}

/** The receiver answered with an error. Only its status and the delay of its Retry-After header are kept. */
export class HttpError extends Error {
  /**
   * @param {number} status
   * @param {number | undefined} retryAfter milliseconds; undefined without the header
   */
  constructor(status, retryAfter) {
    super();
    this.name = `HTTP ${status}`;
    this.retryAfter = retryAfter;
  }
}

/**
 * @typedef {object} Message
 * @property {string} id the same at every attempt; without a full stop, which separates the signed parts
 * @property {object} event the body, sent as JSON
 * @property {readonly Uint8Array[]} secrets signing secrets, the newest first: a receiver accepts a signature by any of them
 * @property {string} sender User-Agent header: a name, a space, and the address of a page with details
 */

/**
 * Sends one webhook.
 *
 * @param {string} address
 * @param {Message} message
 * @param {Date} time
 * @throws {Error} unless the receiver answers 2xx within the timeout
 */
export async function post(address, { id, event, secrets, sender }, time) {
  const body = JSON.stringify(event);
  const timestamp = String(Math.floor(time.getTime() / 1_000));
  const signatures = await Promise.all(secrets.map((secret) => hmac(secret, `${id}.${timestamp}.${body}`)));
  const response = await fetch(address, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": signatures.map((signature) => `v1,${base64(signature)}`).join(" "),
      "user-agent": sender,
    },
    body,
    // An operator approved this address only, not the target of a redirect.
    redirect: "manual",
    signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS),
  });
  await response.body?.cancel();
  if (response.status === GONE) throw new PermanentError();
  if (!response.ok) throw new HttpError(response.status, retryAfter(response.headers.get("retry-after"), time));
}

/**
 * @param {string | null} header Retry-After: seconds, or an HTTP date (RFC 9110, 10.2.3)
 * @param {Date} time
 * @returns {number | undefined} delay in milliseconds, counted from `time`
 */
export function retryAfter(header, time) {
  if (header === null) return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1_000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : date - time.getTime();
}
