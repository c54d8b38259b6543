/**
 * Stores objects: their bytes in files, all else in SQLite. A change of an object and its event are one transaction, so an event
 * is neither lost nor sent for a change that did not happen. Bodies are streamed.
 */

import { createHash, randomUUID } from "node:crypto";
import { createReadStream, createWriteStream, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { crc32 } from "node:zlib";
import { holds, isLocked, queuesOf } from "./conditions.mjs";
import { errors } from "./errors.mjs";

const SMALLEST_PART = 5 * 1_024 ** 2;

/** Bytes of a file that are read at once, and that may wait to be written. */
const PIECE = 1_024 ** 2;

/** Greater than every key that begins with the text before it. */
const LAST = "\u{10ffff}";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT, key TEXT, size INTEGER, etag TEXT, version TEXT, uploaded INTEGER, checksums TEXT, http TEXT, custom TEXT, blobs TEXT,
    PRIMARY KEY (bucket, key)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS uploads (id TEXT PRIMARY KEY, bucket TEXT, key TEXT, http TEXT, custom TEXT);
  CREATE TABLE IF NOT EXISTS parts (
    upload TEXT, number INTEGER, size INTEGER, etag TEXT, blob TEXT, PRIMARY KEY (upload, number)
  );`;

/** CRC-32 with the interface of node:crypto's hashes. */
class Crc32 {
  #value = 0;

  update(chunk) {
    this.#value = crc32(chunk, this.#value);
  }

  digest() {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(this.#value);
    return bytes;
  }
}

const hashOf = (algorithm) => (algorithm === "crc32" ? new Crc32() : createHash(algorithm));

export class Objects {
  /** The settings of each bucket, by id: `locks` and `events`. */
  buckets = new Map();
  #folder;
  #database;
  #queues;
  #statements = new Map();

  /**
   * @param {string} folder of the bytes
   * @param {import("node:sqlite").DatabaseSync} database
   * @param {{ add: (queue: string, body: object) => void }} queues for the buckets' events
   */
  constructor(folder, database, queues) {
    this.#folder = folder;
    this.#database = database;
    this.#queues = queues;
    mkdirSync(folder, { recursive: true });
    database.exec(SCHEMA);
    this.#sweep();
  }

  /** Returns an object, or undefined. */
  head(bucket, key) {
    return this.#get("SELECT * FROM objects WHERE bucket = ? AND key = ?", bucket, key);
  }

  /** Returns an object whose preconditions hold; throws the reason why there is none. */
  find(bucket, key, only) {
    const object = this.head(bucket, key);
    if (object === undefined) throw errors.noKey();
    if (!holds(only, object)) throw Object.assign(errors.precondition(), { object });
    return object;
  }

  /** Returns a stream of a part of an object. */
  read(object, { offset, length }) {
    const folder = this.#folder;
    const end = offset + length;
    return Readable.from(
      (async function* () {
        let start = 0;
        for (const { name, size } of JSON.parse(object.blobs)) {
          const [first, last] = [Math.max(offset - start, 0), Math.min(end - start, size) - 1];
          if (first <= last)
            yield* createReadStream(join(folder, name), { start: first, end: last, highWaterMark: PIECE });
          start += size;
        }
      })(),
      { objectMode: false },
    );
  }

  /**
   * Stores an object.
   *
   * @param {string} bucket
   * @param {string} key
   * @param {AsyncIterable<Uint8Array>} body
   * @param {{ size: number, only?: object, http?: object, custom?: object, expected?: Record<string, Buffer>, kept?: string[] }} given
   *   `expected`: the body's hashes by algorithm; `kept`: which of them become the object's checksums
   */
  async put(bucket, key, body, { size, only, http = {}, custom = {}, expected = {}, kept = [] }) {
    this.#refuse(bucket, key, only); // before the body is read
    const { name, digests } = await this.#write(body, size, expected);
    const md5 = digests.md5.toString("hex");
    const checksums = {
      md5,
      ...Object.fromEntries(kept.map((algorithm) => [algorithm, digests[algorithm].toString("hex")])),
    };
    return this.#replace(
      "PutObject",
      { bucket, key, size, etag: md5, checksums, http, custom, blobs: [{ name, size }] },
      only,
    );
  }

  /** Deletes objects; all or, if one of them is locked, none. */
  remove(bucket, keys) {
    const found = keys.map((key) => this.head(bucket, key)).filter((object) => object !== undefined);
    for (const { key } of found) this.#refuse(bucket, key);
    this.#transaction(() => {
      for (const { key } of found) {
        this.#run("DELETE FROM objects WHERE bucket = ? AND key = ?", bucket, key);
        this.#announce("DeleteObject", { bucket, key });
      }
    });
    for (const object of found) this.#discard(JSON.parse(object.blobs));
  }

  /**
   * Lists objects in the order of their keys. Keys with the delimiter after the prefix are summed up to prefixes.
   *
   * @returns {{ objects: any[], prefixes: string[], next: string | undefined }} `next`: `after` of the next page, if there is one
   */
  list(bucket, { prefix = "", after = "", delimiter = "", limit = 1_000 }) {
    const [objects, prefixes] = [[], []];
    let next = after;
    for (;;) {
      const [object] = this.#page(bucket, prefix, next, 1);
      if (object === undefined) return { objects, prefixes, next: undefined };
      if (objects.length + prefixes.length >= limit) return { objects, prefixes, next };
      const at = delimiter === "" ? -1 : object.key.indexOf(delimiter, prefix.length);
      if (at !== -1) {
        const common = object.key.slice(0, at + delimiter.length);
        prefixes.push(common);
        next = common + LAST;
      } else if (delimiter === "") {
        const page = this.#page(bucket, prefix, next, limit + 1);
        const more = page.length > limit;
        return { objects: page.slice(0, limit), prefixes, next: more ? page[limit - 1].key : undefined };
      } else {
        objects.push(object);
        next = object.key;
      }
    }
  }

  begin(bucket, key, { http = {}, custom = {} }) {
    const id = randomUUID();
    this.#run(
      "INSERT INTO uploads VALUES (?, ?, ?, ?, ?)",
      id,
      bucket,
      key,
      JSON.stringify(http),
      JSON.stringify(custom),
    );
    return id;
  }

  /** Stores a part of a multipart upload, and returns its etag. */
  async putPart(bucket, key, upload, number, body, { size, expected = {} }) {
    this.#upload(bucket, key, upload);
    const { name, digests } = await this.#write(body, size, expected);
    const etag = digests.md5.toString("hex");
    const former = this.#get("SELECT blob, size FROM parts WHERE upload = ? AND number = ?", upload, number);
    this.#run("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?)", upload, number, size, etag, name);
    if (former !== undefined) this.#discard([{ name: former.blob }]);
    return etag;
  }

  /** @param {{ number: number, etag: string }[]} chosen */
  complete(bucket, key, upload, chosen) {
    const { http, custom } = this.#upload(bucket, key, upload);
    const stored = this.#all("SELECT * FROM parts WHERE upload = ? ORDER BY number", upload);
    const parts = chosen.map(({ number, etag }) => stored.find((part) => part.number === number && part.etag === etag));
    if (parts.length === 0 || parts.includes(undefined)) throw errors.noPart();
    parts.sort((one, other) => one.number - other.number);
    const [first, last] = [parts[0], parts.at(-1)];
    if (parts.slice(0, -1).some(({ size }) => size < SMALLEST_PART)) throw errors.smallPart();
    if (parts.slice(0, -1).some(({ size }) => size !== first.size) || last.size > first.size) throw errors.badUpload();
    const md5 = createHash("md5")
      .update(Buffer.concat(parts.map(({ etag }) => Buffer.from(etag, "hex"))))
      .digest("hex");
    const object = {
      bucket,
      key,
      size: parts.reduce((sum, { size }) => sum + size, 0),
      etag: `${md5}-${parts.length}`,
      checksums: {},
      http: JSON.parse(http),
      custom: JSON.parse(custom),
      blobs: parts.map(({ blob, size }) => ({ name: blob, size })),
    };
    const completed = this.#replace("CompleteMultipartUpload", object, undefined, () => this.#forget(upload));
    this.#discard(stored.filter((part) => !parts.includes(part)).map(({ blob }) => ({ name: blob })));
    return completed;
  }

  abort(bucket, key, upload) {
    this.#upload(bucket, key, upload);
    const stored = this.#all("SELECT blob AS name FROM parts WHERE upload = ?", upload);
    this.#transaction(() => this.#forget(upload));
    this.#discard(stored);
  }

  #page(bucket, prefix, after, limit) {
    const listed = "SELECT * FROM objects WHERE bucket = ? AND key > ? AND key >= ? AND key < ? ORDER BY key LIMIT ?";
    return this.#all(listed, bucket, after, prefix, prefix + LAST, limit);
  }

  #upload(bucket, key, upload) {
    const found = this.#get("SELECT * FROM uploads WHERE id = ? AND bucket = ? AND key = ?", upload, bucket, key);
    if (found === undefined) throw errors.noUpload();
    return found;
  }

  #forget(upload) {
    this.#run("DELETE FROM parts WHERE upload = ?", upload);
    this.#run("DELETE FROM uploads WHERE id = ?", upload);
  }

  /** Throws if an object must not be replaced or deleted. */
  #refuse(bucket, key, only) {
    const former = this.head(bucket, key);
    if (!holds(only, former)) throw Object.assign(errors.precondition(), { object: former });
    if (former !== undefined && isLocked(this.buckets.get(bucket).locks, former, Date.now())) throw errors.locked(key);
    return former;
  }

  #replace(action, { bucket, key, size, etag, checksums, http, custom, blobs }, only, also = () => {}) {
    let former;
    try {
      this.#transaction(() => {
        former = this.#refuse(bucket, key, only);
        const documents = [checksums, http, custom, blobs].map((document) => JSON.stringify(document));
        const row = [bucket, key, size, etag, randomUUID().replaceAll("-", ""), Date.now(), ...documents];
        this.#run("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", ...row);
        also();
        this.#announce(action, { bucket, key, size, etag });
      });
    } catch (error) {
      if (action === "PutObject") this.#discard(blobs);
      throw error;
    }
    if (former !== undefined) this.#discard(JSON.parse(former.blobs));
    return this.head(bucket, key);
  }

  #announce(action, { bucket, key, size, etag }) {
    const { account, name, events } = this.buckets.get(bucket);
    const object = size === undefined ? { key } : { key, size, eTag: etag };
    for (const queue of queuesOf(events, action, key)) {
      this.#queues.add(queue, { account, bucket: name, eventTime: new Date().toISOString(), action, object });
    }
  }

  /** Writes a body to a new file, and returns its name and its hashes; throws if they, or the size, are not the expected ones. */
  async #write(body, size, expected) {
    const name = randomUUID();
    const hashes = Object.entries({ md5: undefined, ...expected }).map(([algorithm]) => [algorithm, hashOf(algorithm)]);
    let received = 0;
    const observed = async function* (chunks) {
      for await (const chunk of chunks) {
        for (const [, hash] of hashes) hash.update(chunk);
        received += chunk.length;
        yield chunk;
      }
    };
    try {
      await pipeline(body, observed, createWriteStream(join(this.#folder, name), { highWaterMark: PIECE }));
      if (received !== size) throw errors.incomplete();
      const digests = Object.fromEntries(hashes.map(([algorithm, hash]) => [algorithm, hash.digest()]));
      for (const [algorithm, wanted] of Object.entries(expected)) {
        if (!digests[algorithm].equals(wanted)) throw errors.badDigest(algorithm);
      }
      return { name, digests };
    } catch (error) {
      this.#discard([{ name }]);
      throw error;
    }
  }

  /** Deletes files. A stream that reads one of them still gets all bytes of the file that it has opened. */
  #discard(blobs) {
    for (const { name } of blobs) rmSync(join(this.#folder, name), { force: true });
  }

  /** Deletes the files that an interrupted upload has left. */
  #sweep() {
    const rows = this.#all(
      "SELECT value->>'name' AS name FROM objects, json_each(blobs) UNION ALL SELECT blob FROM parts",
    );
    const known = new Set(rows.map(({ name }) => name));
    this.#discard(
      readdirSync(this.#folder)
        .filter((name) => !known.has(name))
        .map((name) => ({ name })),
    );
  }

  #transaction(work) {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      work();
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  #prepared(sql) {
    if (!this.#statements.has(sql)) this.#statements.set(sql, this.#database.prepare(sql));
    return this.#statements.get(sql);
  }

  #get(sql, ...values) {
    return this.#prepared(sql).get(...values);
  }

  #all(sql, ...values) {
    return this.#prepared(sql).all(...values);
  }

  #run(sql, ...values) {
    this.#prepared(sql).run(...values);
  }
}
