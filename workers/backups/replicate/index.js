/** The replicate Worker copies each new backup object to every copy: by events of the primary bucket, and by reconciliation. */

import { now } from "../../lib/clock.js";
import { notFound } from "../../lib/http.js";
import { failureName, logFailure } from "../../lib/log.js";
import { openDatabase } from "../database.js";
import { open } from "../findings.js";
import { withLease } from "../lease.js";
import { recordRun } from "../runs.js";
import { replicate } from "./objects.js";
import { reconcile } from "./reconcile.js";

/** @import { Env } from "../catalogue.js" */

/** @typedef {{ action: string, object: { key: string } }} BucketEvent the part of an R2 event notification used here */

const CREATED = ["PutObject", "CopyObject", "CompleteMultipartUpload"];

/** Delay before the second attempt; it grows linearly, because a failed store rarely recovers within seconds. */
const RETRY_SECONDS = 30;

/** Suffix of the dead-letter queue's name (components/vault.py). */
const DEAD_LETTERS = "-dead-letters";

/**
 * @param {Env} env
 * @param {BucketEvent} event
 */
async function handle(env, { action, object: { key } }) {
  // Deletions are not replicated: age-out itself deletes in every store.
  if (CREATED.includes(action)) await replicate(env, await openDatabase(env.DB), key, now(env));
}

/**
 * Opens a finding for an event in the dead-letter queue. Reconciliation then tries to copy the object.
 *
 * @param {Env} env
 * @param {BucketEvent} event
 */
async function recordDeadLetter(env, event) {
  const db = await openDatabase(env.DB);
  const key = String(event?.object?.key);
  const detail =
    "the event of this object failed for hours; reconciliation keeps trying. See the replicate Worker's log";
  await open(db, { kind: "undelivered", store: "primary", key, detail }, now(env)).run();
}

/** @satisfies {ExportedHandler<Env, BucketEvent>} */
export default {
  fetch: notFound,

  async queue(batch, env) {
    const isDead = batch.queue.endsWith(DEAD_LETTERS);
    // Sequentially, because one object already takes several of the Worker's six connections.
    for (const message of batch.messages) {
      try {
        await (isDead ? recordDeadLetter : handle)(env, message.body);
        message.ack();
      } catch (error) {
        // A message that can never succeed, such as a malformed one, also goes to the dead-letter queue after its retries.
        logFailure("object not replicated", { message: message.id, error: failureName(error) });
        message.retry({ delaySeconds: RETRY_SECONDS * message.attempts });
      }
    }
  },

  async scheduled(controller, env) {
    const db = await openDatabase(env.DB);
    const time = now(env);
    await withLease(db, "replicate", time, () =>
      recordRun(db, "replicate", new Date(controller.scheduledTime), () => reconcile(env, db, time)),
    );
  },
};
