/** Reads request bodies up to a maximum size, and idempotency keys. */

import { HttpError } from "./http-error.js";

/** @import { Problem } from "./checks.js" */

/** A body over the limit is read and discarded up to this size, because a client that is still sending reads no response. */
const DROPPED_BYTES = 4 * 1_024 * 1_024;

/** Enough for the longest text and title with each character escaped as two \uXXXX. */
const LIMIT_BYTES = 64 * 1_024;

const JSON_TYPE = /^application\/json *(;|$)/i;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * @param {Request} request
 * @returns {Promise<unknown>} JSON
 * @throws {HttpError} 415, 413 or 400
 */
export async function readJson(request) {
  if (!JSON_TYPE.test(request.headers.get("content-type") ?? "")) {
    throw new HttpError(415, "the content-type must be application/json");
  }
  const bytes = await readBytes(request);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes));
  } catch {
    throw new HttpError(400, "the body is not JSON in UTF-8");
  }
}

/**
 * Reads the body, independently of the content-length header.
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
  if (size > LIMIT_BYTES) throw new HttpError(413, `the body is larger than ${LIMIT_BYTES} bytes`);
  return bytes.subarray(0, size);
}

/**
 * Returns the idempotency key of a call, or a new one. It is the id of the object that the call creates.
 *
 * @param {Request} request
 * @returns {string} UUID
 * @throws {HttpError} 422
 */
export function keyOf(request) {
  const key = request.headers.get("idempotency-key")?.toLowerCase() ?? crypto.randomUUID();
  if (!UUID.test(key)) {
    throw validationError([{ field: "idempotency-key", problem: "must be a UUID" }]);
  }
  return key;
}

/**
 * @param {readonly Problem[]} problems
 * @returns {HttpError} 422
 */
export function validationError(problems) {
  return new HttpError(422, "the input is invalid", { problems });
}

/**
 * @template T
 * @param {{ value: T, problems: readonly Problem[] }} read
 * @returns {T}
 * @throws {HttpError} 422 with every problem
 */
export function validated({ value, problems }) {
  if (problems.length > 0) throw validationError(problems);
  return value;
}
