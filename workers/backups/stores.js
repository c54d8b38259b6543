/** The stores of the copies behind one interface: R2 buckets in several jurisdictions, Amazon S3, and S3-compatible stores. */

import { hex, utf8 } from "../lib/bytes.js";
import { now } from "../lib/clock.js";
import { checksumOf, requestS3 } from "../lib/s3.js";
import { withTimeout } from "../lib/timeout.js";
import { elements, textOf, xml } from "../lib/xml.js";
import { SOURCE_ETAG } from "./copies.js";
import { pages, r2Pages, StalledListing } from "./listing.js";

/** @import { Place } from "../lib/s3.js" */
/** @import { Copy } from "./copies.js" */
/** @import { Rotation } from "./rotation.js" */

/**
 * @typedef {object} CopyBinding a copy, as in the setting `backups.copies`; only kind `s3` has the optional fields
 * @property {string} name
 * @property {"r2" | "s3"} kind
 * @property {string} [bucket]
 * @property {string} [region]
 * @property {string} [lockMode]
 * @property {string} [endpoint] origin of a store other than Amazon's
 */

/**
 * @typedef {object} Env the bindings of the copies: `COPY_NAME` is the R2 bucket of the copy `name`; the secrets
 *   `COPY_NAME_ACCESS_KEY_ID` and `COPY_NAME_SECRET_ACCESS_KEY` are the keys of a copy in S3
 * @property {CopyBinding[]} COPIES the primary first
 * @property {R2Bucket} COPY_PRIMARY
 * @property {Rotation} ROTATION
 * @property {string} [CLOCK] only in tests
 * @property {{ put: number, part: number }} [SIZES] only in tests: limits instead of LARGEST_PUT and PART_BYTES
 */

/** @typedef {{ number: number, etag: string, sha256: string }} Part of a multipart upload; `number` from 1 */

/**
 * @typedef {object} Content of an object
 * @property {ReadableStream} body
 * @property {number} size in bytes
 * @property {string} [etag] of the source object, if the source has no SHA-256; it becomes metadata of the copy
 * @property {Record<string, string>} [metadata]
 */

/** @typedef {{ key: string, size: number, uploaded: Date }} ListEntry an object in the listing of a store */

/**
 * @typedef {object} Store its methods throw when the store fails or does not answer in time
 * @property {string} name of the copy
 * @property {number} largestPut the largest object that `put` accepts, in bytes
 * @property {number} partBytes the size of each part of a multipart upload but the last, in bytes
 * @property {(key: string) => Promise<Copy | null>} head null when there is no such object
 * @property {(key: string) => Promise<Content | null>} get null when there is no such object
 * @property {(key: string, content: Content, sha256: string) => Promise<void>} put stores nothing if the SHA-256 does not match;
 *   the body must be a stream with a known length
 * @property {(key: string, content: Content, sha256: string) => Promise<string>} beginUpload begins a multipart upload with the
 *   metadata, and returns its id
 * @property {(key: string, upload: string, number: number, bytes: Uint8Array, sha256: string) => Promise<string>} putPart returns
 *   the part's etag
 * @property {(key: string, upload: string, parts: Part[]) => Promise<void>} completeUpload stores the object
 * @property {(key: string, upload: string) => Promise<void>} abortUpload
 * @property {(keys: string[]) => Promise<string[]>} remove deletes at most 1,000 objects; returns the keys that were not deleted
 * @property {(after: string | undefined, prefix?: string) => Promise<{ objects: ListEntry[], more: boolean }>} list returns
 *   the next objects by key: up to 1,000, and at least one while `more` is true. It throws `StalledListing` when the
 *   store repeats empty pages
 */

/** The name of the copy that machines write to. */
export const PRIMARY = "primary";

/** The largest object that one `put` copies, in bytes. R2 and S3 limit a PUT to 5 GiB; this leaves a margin. */
const LARGEST_PUT = 4.9 * 1_024 ** 3;

/** Each part is in memory once for the read and once for each copy: with two copies, 48 MiB of a Cloudflare Worker's 128 MB. */
const PART_BYTES = 16 * 1_024 ** 2;

/** The largest object that can be read and hashed within the 15 minutes of one invocation, at 60 MiB/s. */
const LARGEST_READ = 50 * 1_024 ** 3;

/** Metadata key of a copy that has no checksum of the store: its SHA-256, as it was compared before the upload was completed. */
const SHA256 = "sha256";

/** Timeout of a call that transfers no object. */
const CALL_MILLISECONDS = 30_000;

/** Timeout for combining the parts of an upload, which takes S3 some minutes if there are thousands. */
const COMPLETE_MILLISECONDS = 300_000;

/** The slowest acceptable transfer, in bytes per millisecond (4 MiB/s); it determines the timeout of a transfer. */
const SLOWEST_BYTES_A_MILLISECOND = 4 * 1_024;

/** Limit of calls to delete one batch. A batch that fails is split into halves, to find the objects that are locked. */
const DELETE_CALLS = 400;

/**
 * @param {number} size of the transferred object, in bytes
 * @returns {number} timeout of the transfer, in milliseconds
 */
export function timeoutOf(size) {
  return CALL_MILLISECONDS + size / SLOWEST_BYTES_A_MILLISECOND;
}

/**
 * @param {number} size in bytes
 * @returns {boolean} whether an object is too large to be copied: one invocation cannot read and hash all of it
 */
export function isOversize(size) {
  return size > LARGEST_READ;
}

/**
 * Returns the time in which a destination must take the first bytes of an object that is copied to several at once. It is
 * shorter than `timeoutOf`, so that the others have time to complete after a slow one was given up.
 *
 * @param {number} bytes
 * @returns {number} milliseconds
 */
export function writeTimeoutOf(bytes) {
  return timeoutOf(bytes) - CALL_MILLISECONDS / 2;
}

/**
 * @param {Env} env
 * @returns {[Store, ...Store[]]} the stores of all copies, the primary first
 */
export function storesOf(env) {
  const stores = env.COPIES.map((copy) =>
    copy.kind === "r2" ? r2Store(env, copy.name, bindingOf(env, copy)) : s3Store(env, copy, placeOf(env, copy)),
  );
  return /** @type {[Store, ...Store[]]} */ (stores);
}

/**
 * @param {Env} env
 * @returns {Store[]} the stores of all copies except the primary
 */
export function copiesOf(env) {
  return storesOf(env).slice(1);
}

/**
 * @param {Env} env
 * @param {CopyBinding} copy
 * @param {string} [suffix] of the binding's name
 * @returns {any} value of a copy's binding
 */
function bindingOf(env, { name }, suffix = "") {
  const binding = `COPY_${name.toUpperCase()}${suffix}`;
  const value = /** @type {Record<string, any>} */ (/** @type {unknown} */ (env))[binding];
  if (value === undefined) {
    throw new TypeError(
      `the binding COPIES lists the copy ${name}, but ${binding} is not bound; run pulumi up to bind it`,
    );
  }
  return value;
}

/**
 * @param {Env} env
 * @param {CopyBinding} copy
 * @returns {Place}
 */
function placeOf(env, copy) {
  const { bucket = "", region = "", endpoint } = copy;
  const [accessKeyId, secretAccessKey] = [
    bindingOf(env, copy, "_ACCESS_KEY_ID"),
    bindingOf(env, copy, "_SECRET_ACCESS_KEY"),
  ];
  return { bucket, region, endpoint, accessKeyId, secretAccessKey };
}

/**
 * @param {Env} env
 * @returns {{ largestPut: number, partBytes: number }}
 */
function sizesOf({ SIZES }) {
  return { largestPut: SIZES?.put ?? LARGEST_PUT, partBytes: SIZES?.part ?? PART_BYTES };
}

/**
 * @param {Env} env
 * @param {string} name
 * @param {R2Bucket} bucket
 * @returns {Store}
 */
function r2Store(env, name, bucket) {
  const metadataOf = (/** @type {Content} */ { etag, metadata }) => ({
    ...metadata,
    ...(etag === undefined ? {} : { [SOURCE_ETAG]: etag }),
  });
  return {
    name,
    ...sizesOf(env),
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
    async put(key, content, sha256) {
      const options = { sha256, customMetadata: metadataOf(content) };
      await withTimeout(bucket.put(key, content.body, options), timeoutOf(content.size));
    },
    async beginUpload(key, content, sha256) {
      const customMetadata = { ...metadataOf(content), [SHA256]: sha256 };
      return (await withTimeout(bucket.createMultipartUpload(key, { customMetadata }), CALL_MILLISECONDS)).uploadId;
    },
    async putPart(key, upload, number, bytes) {
      const sent = bucket.resumeMultipartUpload(key, upload).uploadPart(number, bytes);
      return (await withTimeout(sent, timeoutOf(bytes.length))).etag;
    },
    async completeUpload(key, upload, parts) {
      const named = parts.map(({ number, etag }) => ({ partNumber: number, etag }));
      await withTimeout(bucket.resumeMultipartUpload(key, upload).complete(named), COMPLETE_MILLISECONDS);
    },
    async abortUpload(key, upload) {
      await withTimeout(bucket.resumeMultipartUpload(key, upload).abort(), CALL_MILLISECONDS);
    },
    async remove(keys) {
      return deleteByHalves(keys, (some) => withTimeout(bucket.delete(some), CALL_MILLISECONDS));
    },
    async list(after, prefix) {
      const options = { ...(after !== undefined && { startAfter: after }), ...(prefix !== undefined && { prefix }) };
      for await (const { objects, truncated } of r2Pages(bucket, options)) {
        if (objects.length > 0 || !truncated) return { objects, more: truncated };
      }
      throw new StalledListing();
    },
  };
}

/**
 * Deletes objects with as few calls as possible. R2 rejects a whole call when one of its objects is locked, so a call that
 * fails is repeated with each half of its keys.
 *
 * @param {string[]} keys
 * @param {(keys: string[]) => Promise<void>} remove
 * @returns {Promise<string[]>} the keys that were not deleted: rejected, or not tried within the limit of calls
 */
async function deleteByHalves(keys, remove) {
  /** @type {string[]} */
  const refused = [];
  const parts = [keys];
  let calls = 0;
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    calls += 1;
    const failed =
      calls > DELETE_CALLS ||
      (await remove(part).then(
        () => false,
        () => true,
      ));
    if (!failed) continue;
    const middle = Math.ceil(part.length / 2);
    if (part.length === 1 || calls > DELETE_CALLS) refused.push(...part);
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
    sha256: object.checksums.toJSON().sha256 ?? object.customMetadata?.[SHA256],
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
  ) => requestS3(place, method, key, now(env), { signal: AbortSignal.timeout(timeoutOf(size)), ...request });
  const metadataOf = (/** @type {Content} */ { etag }, /** @type {string} */ sha256) => ({
    [`x-amz-meta-${SHA256}`]: sha256,
    ...(etag === undefined ? {} : { [`x-amz-meta-${SOURCE_ETAG}`]: etag }),
  });
  return {
    name,
    ...sizesOf(env),
    async head(key) {
      const response = await ask("HEAD", key, {});
      if (response.status === 404) return null;
      if (!response.ok) throw new StoreError("HEAD", response.status);
      return {
        size: Number(response.headers.get("content-length")),
        sha256: response.headers.get(`x-amz-meta-${SHA256}`) ?? undefined,
        sourceEtag: response.headers.get(`x-amz-meta-${SOURCE_ETAG}`) ?? undefined,
      };
    },
    async get(key) {
      // The size is not known before the response, so the timeout is that of the largest object.
      const response = await ask("GET", key, {}, LARGEST_READ);
      if (response.ok && response.body !== null) {
        return { body: response.body, size: Number(response.headers.get("content-length")) };
      }
      await response.body?.cancel();
      if (response.status === 404) return null;
      throw new StoreError("GET", response.status);
    },
    async put(key, content, sha256) {
      const headers = {
        ...checksums(sha256),
        ...metadataOf(content, sha256),
        ...lockOf(env, lockMode, key),
      };
      const response = await ask("PUT", key, { body: content.body, sha256, headers }, content.size);
      await response.body?.cancel();
      if (!response.ok) throw new StoreError("PUT", response.status);
    },
    async beginUpload(key, content, sha256) {
      const headers = {
        "x-amz-checksum-algorithm": "SHA256",
        ...metadataOf(content, sha256),
        ...lockOf(env, lockMode, key),
      };
      const response = await ask("POST", key, { query: { uploads: "" }, headers });
      const answer = await response.text();
      if (!response.ok) throw new StoreError("POST", response.status);
      return textOf(answer, "UploadId");
    },
    async putPart(key, upload, number, bytes, sha256) {
      const query = { partNumber: String(number), uploadId: upload };
      const response = await ask("PUT", key, { query, body: bytes, sha256, headers: checksums(sha256) }, bytes.length);
      await response.body?.cancel();
      const etag = response.headers.get("etag");
      if (!response.ok || etag === null) throw new StoreError("PUT", response.status);
      return etag;
    },
    async completeUpload(key, upload, parts) {
      const named = parts.map(
        ({ number, etag, sha256 }) =>
          `<Part><PartNumber>${number}</PartNumber><ETag>${xml(etag)}</ETag><ChecksumSHA256>${checksumOf(sha256)}</ChecksumSHA256></Part>`,
      );
      const body = utf8(`<CompleteMultipartUpload>${named.join("")}</CompleteMultipartUpload>`);
      const sha256 = hex(await crypto.subtle.digest("SHA-256", body));
      const headers = { "content-type": "application/xml" };
      const request = { query: { uploadId: upload }, body, sha256, headers };
      const response = await ask("POST", key, { ...request, signal: AbortSignal.timeout(COMPLETE_MILLISECONDS) });
      const answer = await response.text();
      // S3 sends the status before it has combined the parts, so an error may follow a 200.
      if (!response.ok || elements(answer, "Error").length > 0) throw new StoreError("POST", response.status);
    },
    async abortUpload(key, upload) {
      const response = await ask("DELETE", key, { query: { uploadId: upload } });
      await response.body?.cancel();
      if (!response.ok && response.status !== 404) throw new StoreError("DELETE", response.status);
    },
    async remove(keys) {
      const named = keys.map((key) => `<Object><Key>${xml(key)}</Key></Object>`).join("");
      const body = utf8(`<Delete><Quiet>true</Quiet>${named}</Delete>`);
      const sha256 = hex(await crypto.subtle.digest("SHA-256", body));
      const headers = { "content-type": "application/xml", ...checksums(sha256) };
      const response = await ask("POST", "", { query: { delete: "" }, body, sha256, headers });
      const answer = await response.text();
      if (!response.ok) throw new StoreError("POST", response.status);
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
        if (!response.ok) throw new StoreError("GET", response.status);
        const objects = elements(answer, "Contents").map((entry) => ({
          key: textOf(entry, "Key"),
          size: Number(textOf(entry, "Size")),
          uploaded: new Date(textOf(entry, "LastModified")),
        }));
        const more = textOf(answer, "IsTruncated") === "true";
        return { objects, more, next: more ? textOf(answer, "NextContinuationToken") : undefined };
      };
      const sizeOf = (/** @type {{ objects: ListEntry[] }} */ { objects }) => objects.length;
      for await (const { objects, more } of pages(page, ({ next }) => next, sizeOf)) {
        if (objects.length > 0 || !more) return { objects, more };
      }
      throw new StalledListing();
    },
  };
}

/**
 * Returns the checksum headers. S3 requires them for writes to a bucket with object lock.
 *
 * @param {string} sha256 hexadecimal
 * @returns {Record<string, string>} headers
 */
function checksums(sha256) {
  return { "x-amz-checksum-sha256": checksumOf(sha256), "x-amz-sdk-checksum-algorithm": "SHA256" };
}

/**
 * Returns the headers that lock an object for its class's retention. The default retention of a bucket is not enough: it is
 * the same for all classes, and a bucket outside Amazon may have none.
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

/** An error response of a store. Its name has the method and the status, such as `GET 503`; it has no message. */
export class StoreError extends Error {
  /**
   * @param {string} method
   * @param {number} status
   */
  constructor(method, status) {
    super();
    this.name = `${method} ${status}`;
  }
}

/** The source object is missing, or has another size or other bytes than expected. */
export class SourceMismatch extends Error {
  name = "SourceMismatch";
}
