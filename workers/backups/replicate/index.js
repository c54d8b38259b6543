/** Brings each new backup object to every copy: told by the primary bucket's events, and without them. */

import { now } from "../../lib/clock.js";
import { notFound } from "../../lib/http.js";
import { failureName, logFailure } from "../../lib/log.js";
import { opened } from "../database.js";
import { open } from "../findings.js";
import { alone } from "../lease.js";
import { recordRun } from "../runs.js";
import { replicate } from "./objects.js";
import { reconcile } from "./reconcile.js";

/** @import { Env } from "../catalogue.js" */

/** @typedef {{ action: string, object: { key: string } }} BucketEvent the part of an R2 event notification used here */

const CREATED = ["PutObject", "CopyObject", "CompleteMultipartUpload"];

/** Grows with each attempt: a store that fails now is rarely well again within seconds. */
const RETRY_SECONDS = 30;

/** How the queue is called that holds what could not be handled: the vault's names end so. */
const DEAD_LETTERS = "-dead-letters";

/**
 * @param {Env} env
 * @param {BucketEvent} event
 */
async function handle(env, { action, object: { key } }) {
  // Deletions do not spread: age-out deletes in every store by itself.
  if (CREATED.includes(action)) await replicate(env, await opened(env.DB), key, now(env));
}

/**
 * What was tried in vain for hours is said, and left to reconciliation.
 *
 * @param {Env} env
 * @param {BucketEvent} event
 */
async function bury(env, event) {
  const db = await opened(env.DB);
  const key = String(event?.object?.key);
  const detail = "its event could not be handled for hours; reconciliation goes on trying. See the logs of replicate";
  await open(db, { kind: "undelivered", store: "primary", key, detail }, now(env)).run();
}

/** @satisfies {ExportedHandler<Env, BucketEvent>} */
export default {
  fetch: notFound,

  async queue(batch, env) {
    const isDead = batch.queue.endsWith(DEAD_LETTERS);
    // One after another: an object is two streams by itself.
    for (const message of batch.messages) {
      try {
        await (isDead ? bury : handle)(env, message.body);
        message.ack();
      } catch (error) {
        // A message that can never succeed goes the same way, and ends in the dead-letter queue, where it is seen.
        logFailure("object not replicated", { message: message.id, error: failureName(error) });
        message.retry({ delaySeconds: RETRY_SECONDS * message.attempts });
      }
    }
  },

  async scheduled(controller, env) {
    const db = await opened(env.DB);
    const time = now(env);
    await alone(db, "replicate", time, () =>
      recordRun(db, "replicate", new Date(controller.scheduledTime), () => reconcile(env, db, time)),
    );
  },
};
