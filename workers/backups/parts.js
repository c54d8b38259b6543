/**
 * Copies an object that is too large for one PUT, by multipart uploads from one read. A store cannot check the SHA-256 of such an
 * object, so an upload is completed only after this invocation has hashed all bytes of the object.
 *
 * Uploads and their parts are recorded in D1. After an interruption, the next attempt reads and hashes the object again from its first byte,
 * but writes only the parts that are missing.
 */

import { hex } from "../lib/bytes.js";
import { failureName, logFailure } from "../lib/log.js";
import { SourceMismatch } from "./stores/store.js";

/** @import { Content, Part, Store } from "./stores/store.js" */
/** @import { Expected } from "./transfer.js" */

/** Limit of calls for one object in one invocation: Cloudflare limits all of its calls to 1,000. */
const CALLS = 900;

/** The object is not copied completely yet. The next attempt continues. */
export class Unfinished extends Error {
  name = "Unfinished";
}

/**
 * @param {Content} content of the source
 * @param {{ store: Store, key: string }[]} to
 * @param {Expected} expected
 * @param {D1Database} db
 * @returns {Promise<PromiseSettledResult<void>[]>} the result of each copy, in the order of `to`
 */
export async function copyInParts(content, to, expected, db) {
  const uploads = to.map(({ store, key }) => new Upload(db, store, key));
  const reader = content.body.getReader({ mode: "byob" });
  try {
    await Promise.all(uploads.map((upload) => upload.attempt(() => upload.open(content, expected.sha256))));
    const sha256 = await sendParts(reader, content.size, uploads, db);
    await Promise.all(uploads.map((upload) => upload.attempt(() => upload.complete(sha256 === expected.sha256))));
  } catch (error) {
    for (const upload of uploads) upload.error ??= error;
  } finally {
    await reader.cancel().catch(() => {});
  }
  return uploads.map(({ error }) =>
    error === null ? { status: "fulfilled", value: undefined } : { status: "rejected", reason: error },
  );
}

/**
 * Reads and hashes the whole object, and sends each part to the uploads that lack it.
 *
 * @param {ReadableStreamBYOBReader} reader
 * @param {number} size of the object
 * @param {Upload[]} uploads
 * @param {D1Database} db
 * @returns {Promise<string>} SHA-256 of all bytes, hexadecimal
 * @throws {Unfinished} when the limit of calls is reached
 */
async function sendParts(reader, size, uploads, db) {
  const digest = new crypto.DigestStream("SHA-256");
  const whole = digest.getWriter();
  const partBytes = /** @type {Upload} */ (uploads[0]).store.partBytes;
  let buffer = new ArrayBuffer(partBytes);
  let calls = 0;
  for (let number = 1, left = size; left > 0; number++) {
    const open = uploads.filter(({ error }) => error === null);
    if (open.length === 0) throw new Unfinished();
    if (calls + open.length + 1 > CALLS) throw new Unfinished();
    const length = Math.min(partBytes, left);
    const { value } = await reader.readAtLeast(length, new Uint8Array(buffer, 0, length));
    if (value?.length !== length) throw new Error("the source ended early");
    const [sha256] = await Promise.all([crypto.subtle.digest("SHA-256", value).then(hex), whole.write(value)]);
    const lacking = open.filter((upload) => upload.lacks(number, sha256));
    await Promise.all(lacking.map((upload) => upload.attempt(() => upload.send(number, value, sha256))));
    if (lacking.length > 0) await db.batch(lacking.flatMap((upload) => upload.recordStatements(number)));
    calls += lacking.length === 0 ? 0 : lacking.length + 1;
    buffer = /** @type {ArrayBuffer} */ (value.buffer);
    left -= length;
  }
  await whole.close();
  return hex(await digest.digest);
}

/** A multipart upload to one store. */
class Upload {
  /** @type {unknown} */
  error = null;

  /** Whether an earlier invocation began the upload, and this one has not sent a part yet: the store may have deleted it. */
  #isOld = false;

  /** @type {Map<number, Part>} */
  #parts = new Map();

  #id = "";

  /**
   * @param {D1Database} db
   * @param {Store} store
   * @param {string} key
   */
  constructor(db, store, key) {
    this.db = db;
    this.store = store;
    this.key = key;
  }

  /**
   * Performs a step unless an earlier one failed.
   *
   * @param {() => Promise<void>} step
   */
  async attempt(step) {
    if (this.error !== null) return;
    try {
      await step();
    } catch (error) {
      this.error = error;
      if (this.#isOld) await this.#forget().catch(() => {});
    }
  }

  /**
   * Continues the recorded upload of the same content, or begins one.
   *
   * @param {Content} content
   * @param {string} sha256
   */
  async open(content, sha256) {
    const label = `${sha256} ${content.etag ?? ""}`;
    const which = [this.store.name, this.key];
    const [recorded, parts] = await this.db.batch([
      this.db.prepare("SELECT upload, content FROM uploads WHERE copy = ? AND key = ?").bind(...which),
      this.db.prepare("SELECT number, etag, sha256 FROM upload_parts WHERE copy = ? AND key = ?").bind(...which),
    ]);
    const [row] = /** @type {{ upload: string, content: string }[]} */ (recorded?.results ?? []);
    if (row?.content === label) {
      this.#id = row.upload;
      this.#isOld = true;
      for (const part of /** @type {Part[]} */ (parts?.results ?? [])) this.#parts.set(part.number, part);
      return;
    }
    if (row !== undefined) {
      this.#id = row.upload;
      await this.#discard();
    }
    this.#id = await this.store.beginUpload(this.key, content, sha256);
    await this.db
      .prepare("INSERT INTO uploads VALUES (?, ?, ?, ?)")
      .bind(...which, this.#id, label)
      .run();
  }

  /**
   * @param {number} number
   * @param {string} sha256
   * @returns {boolean} whether the store does not have this part yet
   */
  lacks(number, sha256) {
    return this.#parts.get(number)?.sha256 !== sha256;
  }

  /**
   * @param {number} number
   * @param {Uint8Array} bytes
   * @param {string} sha256
   */
  async send(number, bytes, sha256) {
    const etag = await this.store.putPart(this.key, this.#id, number, bytes, sha256);
    this.#parts.set(number, { number, etag, sha256 });
    this.#isOld = false;
  }

  /**
   * @param {number} number
   * @returns {D1PreparedStatement[]} record a part; none if it was not sent
   */
  recordStatements(number) {
    const part = this.#parts.get(number);
    if (part === undefined || this.error !== null) return [];
    const values = [this.store.name, this.key, number, part.etag, part.sha256];
    return [this.db.prepare("INSERT OR REPLACE INTO upload_parts VALUES (?, ?, ?, ?, ?)").bind(...values)];
  }

  /**
   * Completes the upload if the SHA-256 of all bytes is the expected one. Otherwise nothing is stored.
   *
   * @param {boolean} isRight
   */
  async complete(isRight) {
    if (!isRight) {
      await this.#discard();
      throw new SourceMismatch();
    }
    const parts = [...this.#parts.values()].sort((one, other) => one.number - other.number);
    await this.store.completeUpload(this.key, this.#id, parts);
    await this.#forget();
  }

  /** Deletes the upload in the store. If that fails, the bucket's rule deletes it after 7 days. */
  async #discard() {
    await this.store.abortUpload(this.key, this.#id).catch((error) => {
      logFailure("upload not aborted", { store: this.store.name, key: this.key, error: failureName(error) });
    });
    await this.#forget();
    this.#parts.clear();
  }

  async #forget() {
    const which = [this.store.name, this.key];
    await this.db.batch([
      this.db.prepare("DELETE FROM uploads WHERE copy = ? AND key = ?").bind(...which),
      this.db.prepare("DELETE FROM upload_parts WHERE copy = ? AND key = ?").bind(...which),
    ]);
  }
}
