/** Alerts operators when the every-minute run fails. It works without the database, whose failure may be the cause. */

import { failureName } from "../lib/log.js";
import { channelsOf, notifyAll } from "../lib/notify.js";
import { stamp } from "../lib/times.js";
import { TickError } from "./tick.js";
import { minuteOf } from "./uptime.js";

/** @import { About } from "../lib/notify.js" */
/** @import { Env } from "./env.js" */

/** Without a database sent alarms cannot be recorded, so an alarm is sent at each full quarter of an hour. */
const EVERY_MINUTES = 15;

/**
 * @param {Env} env
 * @param {Date} time
 * @param {unknown} error with which the run failed
 * @returns {Promise<void>} never rejects
 */
export async function alarm(env, time, error) {
  if (minuteOf(time) % EVERY_MINUTES !== 0) return;
  const reason = error instanceof TickError ? error.message : failureName(error);
  const text = [
    `The status page's run at ${stamp(time)} did not complete (${reason}).`,
    "Minutes without a sample count as unknown, and incidents may not be announced.",
    `The log of the status Worker names each part that failed. This alarm is repeated every ${EVERY_MINUTES} minutes until the runs succeed.`,
  ].join(" ");
  const notification = { id: "minutes", text, since: time.toISOString(), endedAt: null, again: false };
  const { channels } = await channelsOf(env, aboutOf(env, "status page alarm"));
  await notifyAll(
    channels,
    () => [notification],
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
