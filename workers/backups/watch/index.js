/** Misses what does not come, finds what is overdue, and tells people: when it begins, while it lasts, when it is over. */

import { markNotified, recordConditions } from "../../lib/alarms.js";
import { now } from "../../lib/clock.js";
import { notFound } from "../../lib/http.js";
import { failureName } from "../../lib/log.js";
import { channelsOf, notifyAll } from "../../lib/notify.js";
import { withTimeout } from "../../lib/timeout.js";
import { opened } from "../database.js";
import { recordRun } from "../runs.js";
import { unanswered } from "./conditions.js";
import { look } from "./look.js";
import { Source } from "./source.js";

/** @import { Result } from "../runs.js" */
/** @import { Env as Stores } from "../stores.js" */
/** @import { Condition } from "../../lib/alarms.js" */
/** @import { Look } from "./look.js" */
/** @import { Channel, Env as Channels } from "../../lib/notify.js" */

/**
 * @typedef {Stores & Channels & { DB: D1Database, GROUPS: string[], PLATFORM: string, REPORT_URL: string }} Env
 *   `PLATFORM`: the stack's prefix
 */

/** Every age would be wrong by as much, and alarms begin or end that are none. */
const CLOCK_MILLISECONDS = 10 * 60_000;

const RECORD_MILLISECONDS = 5_000;

/** The first look of an hour: nobody remembers whom it told while the database is down. */
const REMINDED_BEFORE_MINUTE = 5;

class ClockOff extends Error {
  name = "ClockOff";
}

/**
 * @param {Env} env
 * @param {Date} scheduled
 * @returns {Promise<Result>}
 */
async function watch(env, scheduled) {
  const at = now(env);
  if (Math.abs(at.getTime() - scheduled.getTime()) > CLOCK_MILLISECONDS) throw new ClockOff();
  const memory = new Source("memory");
  const database = () => opened(env.DB);
  const [seen, { channels, unusable }] = await Promise.all([
    look(env, memory, database, at),
    channelsOf(env, aboutOf(env)),
  ]);
  seen.wrong.push(...unusable.map(unusableChannel));
  const { raised, due } = await memory
    .ask(async () =>
      recordConditions(
        await database(),
        seen,
        channels.map(({ id }) => id),
        scheduled,
        (before) => [forgetRuns(env.DB, before)],
      ),
    )
    .catch(async (error) => {
      if (scheduled.getUTCMinutes() < REMINDED_BEFORE_MINUTE) await tellWithoutMemory(channels, seen, error, scheduled);
      throw error;
    });
  const told = await notifyAll(
    channels,
    ({ id }) => due.filter(({ channel }) => channel === id),
    scheduled,
    async ({ id }, sent) =>
      markNotified(
        await database(),
        sent.map((one) => ({ ...one, channel: id })),
        scheduled,
      ),
  );
  const { ages, unknown } = seen;
  return { outcome: raised.length > 0 ? "alarm" : "ok", detail: { ages, alarms: raised, unknown, ...told } };
}

/**
 * @param {Env} env
 * @returns {import("../../lib/notify.js").About}
 */
function aboutOf({ PLATFORM: platform, REPORT_URL: report }) {
  return { platform, part: "backups", noun: "backup alarm", report, holds: "What is backed up, where and until when" };
}

/**
 * @param {D1Database} db
 * @param {string} before
 * @returns {D1PreparedStatement}
 */
function forgetRuns(db, before) {
  return db
    .prepare("DELETE FROM runs WHERE worker IN ('replicate', 'verify', 'age-out', 'watch') AND at < ?")
    .bind(before);
}

/**
 * @param {string} binding
 * @returns {Condition}
 */
function unusableChannel(binding) {
  const text = `${binding} of the watch Worker is no list of addresses, so that nobody there hears of alarms. Correct alarms in the stack's settings, and deploy`;
  return { id: `channel:${binding}`, text };
}

/**
 * Everything that this look found, since the next one will not know what was told.
 *
 * @param {Channel[]} channels
 * @param {Look} seen
 * @param {unknown} error
 * @param {Date} scheduled
 */
async function tellWithoutMemory(channels, seen, error, scheduled) {
  const found = new Map(
    [unanswered("memory", failureName(error)), ...seen.wrong].map((condition) => [condition.id, condition]),
  );
  const since = scheduled.toISOString();
  const words = [...found.values()].map(({ id, text }) => ({ id, text, since, endedAt: null, again: false }));
  await notifyAll(
    channels,
    () => words,
    scheduled,
    async () => {},
  );
}

/** @satisfies {ExportedHandler<Env>} */
export default {
  fetch: notFound,

  async scheduled(controller, env) {
    const scheduled = new Date(controller.scheduledTime);
    // Looked and told is first: a database that is down keeps nobody from hearing of it.
    const [outcome] = await Promise.allSettled([watch(env, scheduled)]);
    const record = async () =>
      recordRun(await opened(env.DB), "watch", scheduled, async () => {
        if (outcome.status === "rejected") throw outcome.reason;
        return outcome.value;
      });
    await withTimeout(record(), RECORD_MILLISECONDS);
  },
};
