/** The places that copies are kept in, alike to whoever copies: an R2 bucket in another jurisdiction, and S3 off-site. */

import { hex } from "../lib/bytes.js";
import { now } from "../lib/clock.js";
import { checksumOf, requestS3 } from "../lib/s3.js";
import { SOURCE_ETAG } from "./copies.js";

/** @import { Place } from "../lib/s3.js" */
/** @import { Copy } from "./copies.js" */

/**
 * @typedef {object} Env the places, as the backup Workers are bound to them
 * @property {R2Bucket} PRIMARY
 * @property {R2Bucket} REPLICA
 * @property {string} OFFSITE_BUCKET S3
 * @property {string} OFFSITE_REGION
 * @property {string} OFFSITE_ACCESS_KEY_ID secret
 * @property {string} OFFSITE_SECRET_ACCESS_KEY secret
 * @property {string} [CLOCK] only in tests
 */

/**
 * @typedef {object} Store
 * @property {string} name
 * @property {(key: string) => Promise<Copy | null>} head
 * @property {(key: string, source: R2ObjectBody, sha256: string) => Promise<void>} put refuses bytes of another SHA-256
 */

/**
 * @param {Env} env
 * @returns {Store[]} where every object of the primary bucket is to be, too
 */
export function copiesOf(env) {
  const offsite = {
    bucket: env.OFFSITE_BUCKET,
    region: env.OFFSITE_REGION,
    accessKeyId: env.OFFSITE_ACCESS_KEY_ID,
    secretAccessKey: env.OFFSITE_SECRET_ACCESS_KEY,
  };
  return [r2Store("replica", env.REPLICA), s3Store("offsite", offsite, () => now(env))];
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
      const object = await bucket.head(key);
      if (object === null) return null;
      return {
        size: object.size,
        sha256: object.checksums.toJSON().sha256,
        sourceEtag: object.customMetadata?.[SOURCE_ETAG],
      };
    },
    async put(key, source, sha256) {
      await bucket.put(key, source.body, {
        sha256,
        ...(source.httpMetadata === undefined ? {} : { httpMetadata: source.httpMetadata }),
        customMetadata: { ...source.customMetadata, [SOURCE_ETAG]: source.etag },
      });
    },
  };
}

/**
 * @param {string} name
 * @param {Place} place
 * @param {() => Date} now
 * @returns {Store}
 */
function s3Store(name, place, now) {
  return {
    name,
    async head(key) {
      const response = await requestS3(place, "HEAD", key, now());
      if (response.status === 404) return null;
      if (!response.ok) throw new Refused("HEAD", response.status);
      return {
        size: Number(response.headers.get("content-length")),
        sha256: response.headers.get("x-amz-meta-sha256") ?? undefined,
        sourceEtag: response.headers.get(`x-amz-meta-${SOURCE_ETAG}`) ?? undefined,
      };
    },
    async put(key, source, sha256) {
      const { readable, writable } = new FixedLengthStream(source.size);
      const [response] = await Promise.all([
        requestS3(place, "PUT", key, now(), {
          body: readable,
          sha256,
          headers: {
            "x-amz-checksum-sha256": checksumOf(sha256),
            "x-amz-meta-sha256": sha256,
            [`x-amz-meta-${SOURCE_ETAG}`]: source.etag,
          },
        }),
        source.body.pipeTo(writable),
      ]);
      await response.body?.cancel();
      if (!response.ok) throw new Refused("PUT", response.status);
    },
  };
}

/** A store that answers, but not with what was asked for; the number is all that is told of its answer. */
class Refused extends Error {
  /**
   * @param {string} method
   * @param {number} status
   */
  constructor(method, status) {
    super();
    this.name = `${method} ${status}`;
  }
}

/**
 * The store's own checksum where it has one; else (a multipart upload carries none) from the bytes.
 *
 * @param {R2Bucket} bucket
 * @param {R2Object} source
 * @returns {Promise<string>} hexadecimal
 */
export async function sha256Of(bucket, source) {
  const known = source.checksums.toJSON().sha256;
  if (known !== undefined) return known;
  const digest = new crypto.DigestStream("SHA-256");
  await (await exactly(bucket, source)).body.pipeTo(digest);
  return hex(await digest.digest);
}

/**
 * @param {R2Bucket} bucket
 * @param {R2Object} source
 * @returns {Promise<R2ObjectBody>} its bytes
 * @throws {Error} when it is another object by now
 */
export async function exactly(bucket, source) {
  const object = await bucket.get(source.key, { onlyIf: { etagMatches: source.etag } });
  if (object === null || !("body" in object)) throw new Error("the object has changed");
  return object;
}
