/** Compares the replica with the primary, a page of objects at a time, by what the stores know about them. */

import { notFound } from "../../lib/http.js";
import { isCopy } from "../copies.js";
import { lastDetail, recordRun } from "../runs.js";

/** @import { Result } from "../runs.js" */

/**
 * @typedef {object} Env
 * @property {R2Bucket} PRIMARY
 * @property {R2Bucket} REPLICA
 * @property {D1Database} DB
 */

/** Two calls an object stay well below the 1,000 that an invocation may make. */
const PAGE = 200;

/**
 * @param {Env} env
 * @returns {Promise<Result>} counts of this page, and the key to continue after (null once the end was reached)
 */
async function verifyPage(env) {
  const previous = await lastDetail(env.DB, "verify");
  const page = await env.PRIMARY.list({ limit: PAGE, startAfter: previous?.continueAfter ?? undefined });
  const counts = { checked: 0, missing: 0, different: 0 };
  for (const { key } of page.objects) {
    const [source, copy] = await Promise.all([env.PRIMARY.head(key), env.REPLICA.head(key)]);
    if (source === null) continue; // deleted since it was listed
    counts.checked += 1;
    if (copy === null) counts.missing += 1;
    else if (!isCopy(source, copy)) counts.different += 1;
  }
  const continueAfter = page.truncated ? page.objects.at(-1)?.key : null;
  return {
    outcome: counts.missing + counts.different > 0 ? "alarm" : "ok",
    detail: { ...counts, continueAfter },
  };
}

/** @satisfies {ExportedHandler<Env>} */
export default {
  fetch: notFound,

  async scheduled(controller, env) {
    await recordRun(env.DB, "verify", new Date(controller.scheduledTime), () => verifyPage(env));
  },
};
