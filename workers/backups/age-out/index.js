/** Takes stock of what each bucket holds. It deletes nothing: objects expire by the buckets' lifecycle rules alone. */

import { notFound } from "../../lib/http.js";
import { recordRun } from "../runs.js";

/**
 * @typedef {object} Env
 * @property {R2Bucket} PRIMARY
 * @property {R2Bucket} REPLICA
 * @property {D1Database} DB
 */

/** Pages of up to 1,000 objects; both buckets together stay below the calls that an invocation may make. */
const MAX_PAGES = 400;

/**
 * @param {R2Bucket} bucket
 * @returns {Promise<{ objects: number, bytes: number, oldest: string | null, complete: boolean }>} `complete` is false
 *   when the bucket holds more than was counted
 */
async function takeStock(bucket) {
  let objects = 0;
  let bytes = 0;
  let oldest = Number.POSITIVE_INFINITY;
  /** @type {string | undefined} */
  let cursor;
  for (let pages = 0; pages < MAX_PAGES; pages++) {
    const page = await bucket.list({ cursor });
    for (const object of page.objects) {
      objects += 1;
      bytes += object.size;
      oldest = Math.min(oldest, object.uploaded.getTime());
    }
    cursor = page.truncated ? page.cursor : undefined;
    if (cursor === undefined) break;
  }
  return {
    objects,
    bytes,
    oldest: objects > 0 ? new Date(oldest).toISOString() : null,
    complete: cursor === undefined,
  };
}

/** @satisfies {ExportedHandler<Env>} */
export default {
  fetch: notFound,

  async scheduled(controller, env) {
    await recordRun(env.DB, "age-out", new Date(controller.scheduledTime), async () => ({
      outcome: "ok",
      detail: { primary: await takeStock(env.PRIMARY), replica: await takeStock(env.REPLICA), deleted: 0 },
    }));
  },
};
