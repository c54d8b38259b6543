/** What is asked for, read with a bound. */

import { Refusal } from "./refusal.js";

/** @import { Problem } from "./checks.js" */

/** What is beyond the limit is read and dropped: whoever is still sending hears no answer. */
const DROPPED_BYTES = 4 * 1_024 * 1_024;

/** Room for the longest text and title, each character escaped as two times \uXXXX. */
const LIMIT_BYTES = 64 * 1_024;

const JSON_TYPE = /^application\/json *(;|$)/i;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * @param {Request} request
 * @returns {Promise<unknown>} JSON
 * @throws {Refusal} 415, 413 or 400
 */
export async function readJson(request) {
  if (!JSON_TYPE.test(request.headers.get("content-type") ?? "")) {
    throw new Refusal(415, "the content-type must be application/json");
  }
  const bytes = await readBytes(request);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes));
  } catch {
    throw new Refusal(400, "the body is not JSON in UTF-8");
  }
}

/**
 * Trusts no length that was announced.
 *
 * @param {Request} request
 * @returns {Promise<Uint8Array>}
 */
async function readBytes(request) {
  const bytes = new Uint8Array(LIMIT_BYTES);
  let size = 0;
  for await (const chunk of request.body ?? []) {
    if (size + chunk.length <= LIMIT_BYTES) bytes.set(chunk, size);
    size += chunk.length;
    if (size > DROPPED_BYTES) break;
  }
  if (size > LIMIT_BYTES) throw new Refusal(413, `the body is larger than ${LIMIT_BYTES} bytes`);
  return bytes.subarray(0, size);
}

/**
 * What the call makes is named by its key, so that the same call again makes nothing more.
 *
 * @param {Request} request
 * @returns {string} UUID
 * @throws {Refusal} 422
 */
export function keyOf(request) {
  const key = request.headers.get("idempotency-key")?.toLowerCase() ?? crypto.randomUUID();
  if (!UUID.test(key)) {
    throw unusable([{ field: "idempotency-key", problem: "must be a UUID" }]);
  }
  return key;
}

/**
 * @param {readonly Problem[]} problems
 * @returns {Refusal} 422
 */
export function unusable(problems) {
  return new Refusal(422, "this cannot be used", { problems });
}

/**
 * @template T
 * @param {{ value: T, problems: readonly Problem[] }} read
 * @returns {T}
 * @throws {Refusal} 422 with every problem
 */
export function usable({ value, problems }) {
  if (problems.length > 0) throw unusable(problems);
  return value;
}
