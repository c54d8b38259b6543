/** A copy in an R2 bucket that is bound to the Worker. */

import { withTimeout } from "../../lib/timeout.js";
import { SOURCE_ETAG } from "../copies.js";
import { r2Pages, StalledListing } from "../listing.js";
import { CALL_MILLISECONDS, COMPLETE_MILLISECONDS, SHA256, timeoutOf } from "./store.js";

/** @import { Copy } from "../copies.js" */
/** @import { Content, Sizes, Store } from "./store.js" */

/** Limit of calls to delete one batch. A batch that fails is split into halves, to find the objects that are locked. */
const DELETE_CALLS = 400;

/**
 * @param {string} name
 * @param {R2Bucket} bucket
 * @param {Sizes} sizes
 * @returns {Store}
 */
export function r2Store(name, bucket, sizes) {
  const metadataOf = (/** @type {Content} */ { etag, metadata }) => ({
    ...metadata,
    ...(etag === undefined ? {} : { [SOURCE_ETAG]: etag }),
  });
  return {
    name,
    ...sizes,
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
