/** Copies each new backup object to the replica bucket, told by the primary bucket's event notifications. */

import { notFound } from "../../lib/http.js";
import { failureName, logFailure } from "../../lib/log.js";
import { isCopy, SOURCE_ETAG } from "../copies.js";

/**
 * @typedef {object} Env
 * @property {R2Bucket} PRIMARY
 * @property {R2Bucket} REPLICA
 */

/** @typedef {{ action: string, object: { key: string } }} BucketEvent the part of an R2 event notification used here */

const CREATED = ["PutObject", "CopyObject", "CompleteMultipartUpload"];

/** Grows with each attempt: a store that fails now is rarely well again within seconds. */
const RETRY_SECONDS = 30;

/**
 * Events come at least once and in any order, so what counts is the object as it is now.
 *
 * @param {Env} env
 * @param {string} key
 */
async function replicate(env, key) {
  const source = await env.PRIMARY.get(key);
  if (source === null) return;
  const copy = await env.REPLICA.head(key);
  if (copy !== null && isCopy(source, copy)) {
    await source.body.cancel();
    return;
  }
  await env.REPLICA.put(key, source.body, {
    sha256: source.checksums.sha256,
    httpMetadata: source.httpMetadata,
    customMetadata: { ...source.customMetadata, [SOURCE_ETAG]: source.etag },
  });
}

/** @satisfies {ExportedHandler<Env, BucketEvent>} */
export default {
  fetch: notFound,

  async queue(batch, env) {
    // One after another: a stream each of up to 5 GiB leaves no room for two.
    for (const message of batch.messages) {
      try {
        // Deletions do not spread: the replica ages by its own rules.
        if (CREATED.includes(message.body.action)) await replicate(env, message.body.object.key);
        message.ack();
      } catch (error) {
        // A message that can never succeed goes the same way, and ends in the dead-letter queue, where it is seen.
        logFailure("object not replicated", { message: message.id, error: failureName(error) });
        message.retry({ delaySeconds: RETRY_SECONDS * message.attempts });
      }
    }
  },
};
