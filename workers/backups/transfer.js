/** Moving bytes from store to store, and proving what they are. Nothing here holds more of an object than passes by. */

import { hex } from "../lib/bytes.js";
import { withTimeout } from "../lib/timeout.js";
import { patience } from "./stores.js";

/** @import { Store } from "./stores.js" */

/** @typedef {{ size: number, sha256: string }} Expected bytes */

/** The source does not have what was to be copied: it is gone, or other bytes. */
export class NotThere extends Error {
  name = "NotThere";
}

/**
 * @param {Store} store
 * @param {string} key
 * @param {Expected} expected
 * @returns {Promise<"good" | "missing" | "damaged">} by every byte, unless the size says it already
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
 * @param {number} size how many bytes it has: one that stalls is given up
 * @returns {Promise<string>} SHA-256, hexadecimal
 */
export async function digestOf(body, size) {
  const digest = new crypto.DigestStream("SHA-256");
  await withTimeout(body.pipeTo(digest), patience(size));
  return hex(await digest.digest);
}

/**
 * What arrives has the expected SHA-256 or is not kept: the store that receives it sees to that.
 *
 * @param {{ store: Store, key: string, etag?: string }} from `etag`: what the copy is to remember of its source
 * @param {{ store: Store, key: string }} to
 * @param {Expected} expected
 * @throws {NotThere}
 */
export async function transfer(from, to, expected) {
  const content = await from.store.get(from.key);
  if (content === null) throw new NotThere();
  if (content.size !== expected.size) {
    await content.body.cancel();
    throw new NotThere();
  }
  await to.store.put(to.key, { ...content, ...(from.etag !== undefined && { etag: from.etag }) }, expected.sha256);
}
