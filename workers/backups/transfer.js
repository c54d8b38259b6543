/** Copies objects between stores and verifies their checksums. Objects are streamed, never held in memory as a whole. */

import { hex } from "../lib/bytes.js";
import { withTimeout } from "../lib/timeout.js";
import { copyInParts } from "./parts.js";
import { SourceMismatch, timeoutOf, writeTimeoutOf } from "./stores/store.js";

/** @import { Store } from "./stores/store.js" */

/** @typedef {{ size: number, sha256: string }} Expected content of an object: size in bytes, SHA-256 in hexadecimal */

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
 * Copies an object to several stores from one read. Each store checks the SHA-256 and stores nothing if it does not match.
 *
 * The copies are independent: a store that fails, or that takes bytes too slowly, does not affect the others.
 *
 * @param {{ store: Store, key: string, etag?: string }} from `etag` becomes metadata of the copies
 * @param {{ store: Store, key: string }[]} to
 * @param {Expected} expected
 * @param {D1Database} db records the uploads of an object that is too large for one PUT
 * @returns {Promise<PromiseSettledResult<void>[]>} the result of each copy, in the order of `to`
 * @throws {SourceMismatch}
 * @throws what the source store throws before its first byte
 */
export async function transfer(from, to, { size, sha256 }, db) {
  const content = await from.store.get(from.key);
  if (content === null) throw new SourceMismatch();
  if (content.size !== size) {
    await content.body.cancel();
    throw new SourceMismatch();
  }
  const sent = { ...content, ...(from.etag !== undefined && { etag: from.etag }) };
  if (to.some(({ store }) => size > store.largestPut)) return copyInParts(sent, to, { size, sha256 }, db);
  if (to.length === 1) {
    const body = content.body.pipeThrough(new FixedLengthStream(size));
    return Promise.allSettled(to.map(({ store, key }) => store.put(key, { ...sent, body }, sha256)));
  }
  const outlets = to.map(({ store, key }) => new Outlet(size, (body) => store.put(key, { ...sent, body }, sha256)));
  await distribute(content.body, outlets);
  return Promise.allSettled(outlets.map(({ stored }) => stored));
}

/** Size of the buffer between a source and several destinations. */
const CHUNK_BYTES = 1_024 ** 2;

/**
 * Writes every chunk of a body to all outlets before it reads the next one, so that at most one chunk is in memory. (With
 * `tee()`, the chunks that a slow destination has not taken yet would be in memory.)
 *
 * @param {ReadableStream} body of bytes
 * @param {Outlet[]} outlets
 */
async function distribute(body, outlets) {
  const reader = body.getReader({ mode: "byob" });
  let [buffer, taken] = [new ArrayBuffer(CHUNK_BYTES), 0];
  try {
    for (;;) {
      const { done, value } = await reader.readAtLeast(CHUNK_BYTES, new Uint8Array(buffer));
      if (value !== undefined && value.length > 0) {
        taken += value.length;
        await Promise.all(outlets.map((outlet) => outlet.write(value, taken)));
        buffer = /** @type {ArrayBuffer} */ (value.buffer);
      }
      if (done || outlets.every(({ open }) => !open)) break;
    }
    await Promise.all(outlets.map((outlet) => outlet.close()));
  } catch (error) {
    for (const outlet of outlets) outlet.end(error);
  } finally {
    // The rest of the body is not needed if every outlet failed.
    await reader.cancel().catch(() => {});
  }
}

/** One destination of a body that is copied to several. */
class Outlet {
  #began = Date.now();

  /**
   * @param {number} size of the body
   * @param {(body: ReadableStream) => Promise<void>} put
   */
  constructor(size, put) {
    const { readable, writable } = new FixedLengthStream(size);
    this.writer = writable.getWriter();
    this.open = true;
    const ended = Promise.withResolvers();
    this.end = (/** @type {unknown} */ error) => {
      this.open = false;
      ended.reject(error);
      this.writer.abort(error).catch(() => {});
    };
    // If the store never takes the rest of the body, its call may never end.
    /** @type {Promise<void>} */
    this.stored = Promise.race([put(readable), ended.promise.then(() => {})]);
    this.stored.catch(this.end);
  }

  /**
   * Writes a chunk. A failure, or a destination that falls behind the slowest acceptable rate, closes the outlet.
   *
   * @param {Uint8Array} chunk
   * @param {number} taken bytes of the body up to the end of this chunk
   */
  async write(chunk, taken) {
    if (!this.open) return;
    const left = writeTimeoutOf(taken) - (Date.now() - this.#began);
    await withTimeout(Promise.race([this.writer.write(chunk), this.stored]), Math.max(0, left)).catch(this.end);
  }

  async close() {
    if (this.open) await Promise.race([this.writer.close(), this.stored]).catch(this.end);
  }
}
