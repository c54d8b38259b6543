/** The copies of the backups, alike to whoever copies: R2 buckets in several jurisdictions, S3, and stores like it. */

import { hex, utf8 } from "../lib/bytes.js";
import { now } from "../lib/clock.js";
import { checksumOf, requestS3 } from "../lib/s3.js";
import { withTimeout } from "../lib/timeout.js";
import { elements, textOf, xml } from "../lib/xml.js";
import { SOURCE_ETAG } from "./copies.js";
import { pages, r2Pages, Stalled } from "./listing.js";

/** @import { Place } from "../lib/s3.js" */
/** @import { Copy } from "./copies.js" */
/** @import { Rotation } from "./rotation.js" */

/**
 * @typedef {object} CopyBinding a copy, as `backups.copies` of the settings has it; those of kind `s3` have the other fields
 * @property {string} name
 * @property {"r2" | "s3"} kind
 * @property {string} [bucket]
 * @property {string} [region]
 * @property {string} [lockMode]
 * @property {string} [endpoint] of another store than Amazon's
 */

/**
 * @typedef {object} Env the copies, as the backup Workers are bound to them: each R2 bucket is `COPY_NAME`, and S3's keys are
 *   the secrets `COPY_NAME_ACCESS_KEY_ID` and `COPY_NAME_SECRET_ACCESS_KEY`
 * @property {CopyBinding[]} COPIES the primary first
 * @property {R2Bucket} COPY_PRIMARY
 * @property {Rotation} ROTATION
 * @property {string} [CLOCK] only in tests
 */

/**
 * @typedef {object} Content what is to be written
 * @property {ReadableStream} body
 * @property {number} size of it, in bytes
 * @property {string} [etag] of the object that it comes from, where that one has no SHA-256 of its own
 * @property {Record<string, string>} [metadata]
 */

/** @typedef {{ key: string, size: number, uploaded: Date }} Listed */

/**
 * @typedef {object} Store
 * @property {string} name
 * @property {(key: string) => Promise<Copy | null>} head
 * @property {(key: string) => Promise<Content | null>} get
 * @property {(key: string, content: Content, sha256: string) => Promise<void>} put refuses bytes of another SHA-256
 * @property {(keys: string[]) => Promise<string[]>} remove at most 1,000; the keys that could not be
 * @property {(after: string | undefined, prefix?: string) => Promise<{ objects: Listed[], more: boolean }>} list the next
 *   up to 1,000, by key, and one at least where there are more; throws `Stalled` where the store does not come to it
 */

/** The name of the copy that machines write to. */
export const PRIMARY = "primary";

/** The most that one `put` takes: R2 and S3 end at 5 GiB, and leave no room beside. */
export const LARGEST_PUT = 4.9 * 1_024 ** 3;

/** A call that moves no object has this long. */
const CALL_MILLISECONDS = 30_000;

/** One that does has this long, and as much again as the slowest way that is still worth waiting for takes. */
const SLOWEST_BYTES_A_MILLISECOND = 4 * 1_024;

/** A call that names many and fails is halved until it is known which are refused, with so many calls at most. */
const HALVINGS = 400;

/**
 * @param {number} size in bytes
 * @returns {number} milliseconds
 */
export function patience(size) {
  return CALL_MILLISECONDS + size / SLOWEST_BYTES_A_MILLISECOND;
}

/**
 * @param {Env} env
 * @returns {[Store, ...Store[]]} the primary, and its copies
 */
export function storesOf(env) {
  const stores = env.COPIES.map((copy) =>
    copy.kind === "r2" ? r2Store(copy.name, bound(env, copy)) : s3Store(env, copy, placeOf(env, copy)),
  );
  return /** @type {[Store, ...Store[]]} */ (stores);
}

/**
 * @param {Env} env
 * @returns {Store[]} where every object of the primary bucket is to be, too
 */
export function copiesOf(env) {
  return storesOf(env).slice(1);
}

/**
 * @param {Env} env
 * @param {CopyBinding} copy
 * @param {string} [part] of the binding's name
 * @returns {any}
 */
function bound(env, { name }, part = "") {
  const binding = `COPY_${name.toUpperCase()}${part}`;
  const value = /** @type {Record<string, any>} */ (/** @type {unknown} */ (env))[binding];
  if (value === undefined) throw new TypeError(`COPIES lists ${name}, and ${binding} is not bound`);
  return value;
}

/**
 * @param {Env} env
 * @param {CopyBinding} copy
 * @returns {Place}
 */
function placeOf(env, copy) {
  const { bucket = "", region = "", endpoint } = copy;
  const [accessKeyId, secretAccessKey] = [bound(env, copy, "_ACCESS_KEY_ID"), bound(env, copy, "_SECRET_ACCESS_KEY")];
  return { bucket, region, endpoint, accessKeyId, secretAccessKey };
}

/**
 * @param {string} name
 * @param {R2Bucket} bucket
 * @returns {Store}
 */
function r2Store(name, bucket) {
  return {
    name,
    async head(key) {
      const object = await withTimeout(bucket.head(key), CALL_MILLISECONDS);
      return object === null ? null : copyOf(object);
    },
    async get(key) {
      const object = await withTimeout(bucket.get(key), CALL_MILLISECONDS);
      if (object === null) return null;
      return {
        body: object.body,
        size: object.size,
        ...(object.customMetadata && { metadata: object.customMetadata }),
      };
    },
    async put(key, { body, size, etag, metadata }, sha256) {
      const customMetadata = { ...metadata, ...(etag === undefined ? {} : { [SOURCE_ETAG]: etag }) };
      await withTimeout(bucket.put(key, body, { sha256, customMetadata }), patience(size));
    },
    async remove(keys) {
      return refusedOf(keys, (some) => withTimeout(bucket.delete(some), CALL_MILLISECONDS));
    },
    async list(after, prefix) {
      const options = { ...(after !== undefined && { startAfter: after }), ...(prefix !== undefined && { prefix }) };
      for await (const { objects, truncated } of r2Pages(bucket, options)) {
        if (objects.length > 0 || !truncated) return { objects, more: truncated };
      }
      throw new Stalled();
    },
  };
}

/**
 * A lock refuses a whole call for one key in it.
 *
 * @param {string[]} keys
 * @param {(keys: string[]) => Promise<void>} remove
 * @returns {Promise<string[]>} those that are still there, or that nobody tried
 */
async function refusedOf(keys, remove) {
  /** @type {string[]} */
  const refused = [];
  const parts = [keys];
  let calls = 0;
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    calls += 1;
    const failed =
      calls > HALVINGS ||
      (await remove(part).then(
        () => false,
        () => true,
      ));
    if (!failed) continue;
    const middle = Math.ceil(part.length / 2);
    if (part.length === 1 || calls > HALVINGS) refused.push(...part);
    else parts.push(part.slice(0, middle), part.slice(middle));
  }
  return refused;
}

/**
 * @param {R2Object} object
 * @returns {Copy}
 */
function copyOf(object) {
  return {
    size: object.size,
    sha256: object.checksums.toJSON().sha256,
    sourceEtag: object.customMetadata?.[SOURCE_ETAG],
  };
}

/**
 * @param {Env} env
 * @param {CopyBinding} copy
 * @param {Place} place
 * @returns {Store}
 */
function s3Store(env, { name, lockMode = "" }, place) {
  const ask = (
    /** @type {Parameters<typeof requestS3>[1]} */ method,
    /** @type {string} */ key,
    /** @type {Parameters<typeof requestS3>[4]} */ request,
    size = 0,
  ) => requestS3(place, method, key, now(env), { signal: AbortSignal.timeout(patience(size)), ...request });
  return {
    name,
    async head(key) {
      const response = await ask("HEAD", key, {});
      if (response.status === 404) return null;
      if (!response.ok) throw new Refused("HEAD", response.status);
      return {
        size: Number(response.headers.get("content-length")),
        sha256: response.headers.get("x-amz-meta-sha256") ?? undefined,
        sourceEtag: response.headers.get(`x-amz-meta-${SOURCE_ETAG}`) ?? undefined,
      };
    },
    async get(key) {
      // How large it is says only the answer, so this one has the time of the largest.
      const response = await ask("GET", key, {}, LARGEST_PUT);
      if (response.ok && response.body !== null) {
        return { body: response.body, size: Number(response.headers.get("content-length")) };
      }
      await response.body?.cancel();
      if (response.status === 404) return null;
      throw new Refused("GET", response.status);
    },
    async put(key, { body, size, etag }, sha256) {
      const { readable, writable } = new FixedLengthStream(size);
      const [response] = await Promise.all([
        ask(
          "PUT",
          key,
          {
            body: readable,
            sha256,
            headers: {
              ...checksums(sha256),
              "x-amz-meta-sha256": sha256,
              ...(etag === undefined ? {} : { [`x-amz-meta-${SOURCE_ETAG}`]: etag }),
              ...lockOf(env, lockMode, key),
            },
          },
          size,
        ),
        body.pipeTo(writable),
      ]);
      await response.body?.cancel();
      if (!response.ok) throw new Refused("PUT", response.status);
    },
    async remove(keys) {
      const named = keys.map((key) => `<Object><Key>${xml(key)}</Key></Object>`).join("");
      const body = utf8(`<Delete><Quiet>true</Quiet>${named}</Delete>`);
      const sha256 = hex(await crypto.subtle.digest("SHA-256", body));
      const headers = { "content-type": "application/xml", ...checksums(sha256) };
      const response = await ask("POST", "", { query: { delete: "" }, body, sha256, headers });
      const answer = await response.text();
      if (!response.ok) throw new Refused("POST", response.status);
      return elements(answer, "Error").map((error) => textOf(error, "Key"));
    },
    async list(after, prefix) {
      const start = { "list-type": "2", ...(prefix !== undefined && { prefix }) };
      /** @param {string | undefined} token */
      const page = async (token) => {
        const query = {
          ...start,
          ...(token === undefined && after !== undefined && { "start-after": after }),
          ...(token !== undefined && { "continuation-token": token }),
        };
        const response = await ask("GET", "", { query });
        const answer = await response.text();
        if (!response.ok) throw new Refused("GET", response.status);
        const objects = elements(answer, "Contents").map((entry) => ({
          key: textOf(entry, "Key"),
          size: Number(textOf(entry, "Size")),
          uploaded: new Date(textOf(entry, "LastModified")),
        }));
        const more = textOf(answer, "IsTruncated") === "true";
        return { objects, more, next: more ? textOf(answer, "NextContinuationToken") : undefined };
      };
      const sizeOf = (/** @type {{ objects: Listed[] }} */ { objects }) => objects.length;
      for await (const { objects, more } of pages(page, ({ next }) => next, sizeOf)) {
        if (objects.length > 0 || !more) return { objects, more };
      }
      throw new Stalled();
    },
  };
}

/**
 * A bucket with object lock takes nothing without them.
 *
 * @param {string} sha256 hexadecimal
 * @returns {Record<string, string>} headers
 */
function checksums(sha256) {
  return { "x-amz-checksum-sha256": checksumOf(sha256), "x-amz-sdk-checksum-algorithm": "SHA256" };
}

/**
 * Each object says how long it is locked: a bucket has one period for all classes, and another store's may have none.
 *
 * @param {Env} env
 * @param {string} lockMode
 * @param {string} key
 * @returns {Record<string, string>} headers
 */
function lockOf(env, lockMode, key) {
  const [folder = ""] = key.split("/");
  const { keepDays } = env.ROTATION;
  const days = (Object.hasOwn(keepDays, folder) ? keepDays[folder] : keepDays.hourly) ?? 0;
  const until = new Date(now(env).getTime() + days * 86_400_000);
  return {
    "x-amz-object-lock-mode": lockMode,
    "x-amz-object-lock-retain-until-date": until.toISOString().replace(/\.\d+/, ""),
  };
}

/** A store that answers, but not with what was asked for; the number is all that is told of its answer. */
export class Refused extends Error {
  /**
   * @param {string} method
   * @param {number} status
   */
  constructor(method, status) {
    super();
    this.name = `${method} ${status}`;
  }
}
