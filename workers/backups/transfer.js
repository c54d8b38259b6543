/** Copies objects between stores and verifies their checksums. Objects are streamed, never held in memory as a whole. */

import { hex } from "../lib/bytes.js";
import { withTimeout } from "../lib/timeout.js";
import { timeoutOf } from "./stores.js";

/** @import { Store } from "./stores.js" */

/** @typedef {{ size: number, sha256: string }} Expected content of an object: size in bytes, SHA-256 in hexadecimal */

/** The source object is missing, or has another size than expected. */
export class SourceMismatch extends Error {
  name = "SourceMismatch";
}

/**
 * @param {Store} store
 * @param {string} key
 * @param {Expected} expected
 * @returns {Promise<"good" | "missing" | "damaged">} compares the SHA-256 of all bytes, unless the size already differs
 */
export async function inspect(store, key, expected) {
  const content = await store.get(key);
  if (content === null) return "missing";
  if (content.size !== expected.size) {
    await content.body.cancel();
    return "damaged";
  }
  return (await digestOf(content.body, content.size)) === expected.sha256 ? "good" : "damaged";
}

/**
 * @param {ReadableStream} body
 * @param {number} size in bytes: it determines the timeout
 * @returns {Promise<string>} SHA-256, hexadecimal
 */
export async function digestOf(body, size) {
  const digest = new crypto.DigestStream("SHA-256");
  await withTimeout(body.pipeTo(digest), timeoutOf(size));
  return hex(await digest.digest);
}

/**
 * Copies an object. The destination store checks the SHA-256 and stores nothing if it does not match.
 *
 * @param {{ store: Store, key: string, etag?: string }} from `etag` becomes metadata of the copy
 * @param {{ store: Store, key: string }} to
 * @param {Expected} expected
 * @throws {SourceMismatch}
 */
export async function transfer(from, to, expected) {
  const content = await from.store.get(from.key);
  if (content === null) throw new SourceMismatch();
  if (content.size !== expected.size) {
    await content.body.cancel();
    throw new SourceMismatch();
  }
  await to.store.put(to.key, { ...content, ...(from.etag !== undefined && { etag: from.etag }) }, expected.sha256);
}
