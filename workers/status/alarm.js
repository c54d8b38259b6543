/** Tells the operators that minutes fail. It needs no database: that may be what fails. */

import { failureName } from "../lib/log.js";
import { channelsOf, tellAll } from "../lib/tell.js";
import { stamp } from "../lib/times.js";
import { TickError } from "./tick.js";
import { minuteOf } from "./uptime.js";

/** @import { About } from "../lib/tell.js" */
/** @import { Env } from "./env.js" */

/** Nothing remembers who was told: by the clock, an alarm that lasts is heard within this time, and four times an hour. */
const EVERY_MINUTES = 15;

/**
 * @param {Env} env
 * @param {Date} time
 * @param {unknown} error that the minute ended with
 * @returns {Promise<void>} never rejects
 */
export async function alarm(env, time, error) {
  if (minuteOf(time) % EVERY_MINUTES !== 0) return;
  const what = error instanceof TickError ? error.message : failureName(error);
  const text = [
    `The status page could not do all that was due at ${stamp(time)} (${what}).`,
    "Minutes without a sample are unknown, and incidents may go unannounced.",
    `The Worker's log names each part that failed. This is repeated every ${EVERY_MINUTES} minutes while it lasts.`,
  ].join(" ");
  const word = { id: "minutes", text, since: time.toISOString(), endedAt: null, again: false };
  const { channels } = await channelsOf(env, aboutOf(env, "status page alarm"));
  await tellAll(
    channels,
    () => [word],
    time,
    async () => {},
  );
}

/**
 * @param {Env} env
 * @param {string} noun of one alarm
 * @returns {About}
 */
export function aboutOf({ PLATFORM: platform, STATUS_URL: report }, noun) {
  return { platform, part: "status", noun, report, holds: "The status page" };
}
