/** Compares both copies with the primary, a page of objects at a time, by what the stores know about them. */

import { notFound } from "../../lib/http.js";
import { isCopy } from "../copies.js";
import { lastDetail, recordRun } from "../runs.js";
import { copiesOf } from "../stores.js";

/** @import { Result } from "../runs.js" */
/** @import { Env as Stores } from "../stores.js" */

/** @typedef {Stores & { DB: D1Database }} Env */

/** Three calls an object stay well below the 1,000 that an invocation may make. */
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
    const [source, ...copies] = await Promise.all([
      env.PRIMARY.head(key),
      ...copiesOf(env).map((store) => store.head(key)),
    ]);
    if (source === null) continue; // deleted since it was listed
    counts.checked += 1;
    counts.missing += copies.filter((copy) => copy === null).length;
    counts.different += copies.filter((copy) => copy !== null && !isCopy(source, copy)).length;
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
