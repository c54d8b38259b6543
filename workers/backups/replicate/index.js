/** Copies each new backup object to the replica and off-site, told by the primary bucket's event notifications. */

import { notFound } from "../../lib/http.js";
import { failureName, logFailure } from "../../lib/log.js";
import { isCopy } from "../copies.js";
import { copiesOf, exactly, sha256Of } from "../stores.js";

/** @import { Env } from "../stores.js" */

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
  const source = await env.PRIMARY.head(key);
  if (source === null) return;
  /** @type {Promise<string> | undefined} */
  let sha256;
  // Each with a stream of its own: one that fails takes nothing from the other, and the next attempt finds it done.
  const written = await Promise.allSettled(
    copiesOf(env).map(async (store) => {
      if (isCopy(source, await store.head(key))) return;
      sha256 ??= sha256Of(env.PRIMARY, source);
      await store.put(key, await exactly(env.PRIMARY, source), await sha256);
    }),
  );
  const failed = written.find((outcome) => outcome.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/** @satisfies {ExportedHandler<Env, BucketEvent>} */
export default {
  fetch: notFound,

  async queue(batch, env) {
    // One after another: an object is two streams by itself.
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
