/** The watch Worker detects missing, overdue and damaged backups, and notifies operators until the problem is resolved. */

import { markNotified, recordConditions } from "../../lib/alarms.js";
import { now } from "../../lib/clock.js";
import { notFound } from "../../lib/http.js";
import { failureName } from "../../lib/log.js";
import { channelsOf, notifyAll } from "../../lib/notify.js";
import { withTimeout } from "../../lib/timeout.js";
import { openDatabase } from "../database.js";
import { recordRun } from "../runs.js";
import { runChecks } from "./checks.js";
import { sourceFailed } from "./conditions.js";
import { CATALOGUE, Source } from "./source.js";

/** @import { Result } from "../runs.js" */
/** @import { Env as Stores } from "../stores/stores.js" */
/** @import { Condition } from "../../lib/alarms.js" */
/** @import { CheckResults } from "./checks.js" */
/** @import { Channel, Env as Channels } from "../../lib/notify.js" */

/**
 * @typedef {Stores & Channels & { DB: D1Database, GROUPS: string[], PLATFORM: string, REPORT_URL: string }} Env
 *   `PLATFORM`: the stack's prefix
 */

/** A wrong clock makes every age wrong, so the run fails when clock and schedule differ by more than this. */
const CLOCK_TOLERANCE_MILLISECONDS = 10 * 60_000;

const RECORD_TIMEOUT_MILLISECONDS = 5_000;

/**
 * Without the database, sent notifications cannot be recorded. So only the first run of each hour notifies then: the run before
 * this minute, as runs are five minutes apart.
 */
const FIRST_RUN_BEFORE_MINUTE = 5;

class ClockError extends Error {
  name = "ClockError";
}

/**
 * Runs all checks, records their results, and sends the notifications that are due.
 *
 * @param {Env} env
 * @param {Date} scheduled
 * @returns {Promise<Result>}
 */
async function watch(env, scheduled) {
  const at = now(env);
  if (Math.abs(at.getTime() - scheduled.getTime()) > CLOCK_TOLERANCE_MILLISECONDS) throw new ClockError();
  const catalogue = new Source(CATALOGUE);
  const database = () => openDatabase(env.DB);
  const [results, { channels, unusable }] = await Promise.all([
    runChecks(env, catalogue, database, at),
    channelsOf(env, aboutOf(env)),
  ]);
  results.wrong.push(...unusable.map(unusableChannel));
  const { raised, due } = await catalogue
    .ask(async () =>
      recordConditions(
        await database(),
        results,
        channels.map(({ id }) => id),
        scheduled,
        (before) => [deleteRuns(env.DB, before)],
      ),
    )
    .catch(async (error) => {
      if (scheduled.getUTCMinutes() < FIRST_RUN_BEFORE_MINUTE) {
        await notifyWithoutDatabase(channels, results, error, scheduled);
      }
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
  const { ages, unknown } = results;
  return { outcome: raised.length > 0 ? "alarm" : "ok", detail: { ages, alarms: raised, unknown, ...told } };
}

/**
 * @param {Env} env
 * @returns {import("../../lib/notify.js").About}
 */
function aboutOf({ PLATFORM: platform, REPORT_URL: report }) {
  return { platform, part: "backups", noun: "backup alarm", report, holds: "Report on all backups" };
}

/**
 * @param {D1Database} db
 * @param {string} before ISO 8601
 * @returns {D1PreparedStatement} deletes the records of older runs
 */
function deleteRuns(db, before) {
  return db
    .prepare("DELETE FROM runs WHERE worker IN ('replicate', 'verify', 'age-out', 'watch') AND at < ?")
    .bind(before);
}

/**
 * @param {string} binding
 * @returns {Condition}
 */
function unusableChannel(binding) {
  const text = `The binding ${binding} of the watch Worker is not a list of addresses, so its recipients get no alarms. Correct alarms in the stack's settings, and run pulumi up`;
  return { id: `channel:${binding}`, text };
}

/**
 * Notifies of every condition that this run found, because without the database it cannot be known which ones are new.
 *
 * @param {Channel[]} channels
 * @param {CheckResults} results
 * @param {unknown} error of the database
 * @param {Date} scheduled
 */
async function notifyWithoutDatabase(channels, results, error, scheduled) {
  const found = new Map(
    [sourceFailed(CATALOGUE, failureName(error)), ...results.wrong].map((condition) => [condition.id, condition]),
  );
  const since = scheduled.toISOString();
  const notifications = [...found.values()].map(({ id, text }) => ({ id, text, since, endedAt: null, again: false }));
  await notifyAll(
    channels,
    () => notifications,
    scheduled,
    async () => {},
  );
}

/** @satisfies {ExportedHandler<Env>} */
export default {
  fetch: notFound,

  async scheduled(controller, env) {
    const scheduled = new Date(controller.scheduledTime);
    // Check and notify before the run is recorded, so that a failed database does not prevent notifications.
    const [outcome] = await Promise.allSettled([watch(env, scheduled)]);
    const record = async () =>
      recordRun(await openDatabase(env.DB), "watch", scheduled, async () => {
        if (outcome.status === "rejected") throw outcome.reason;
        return outcome.value;
      });
    await withTimeout(record(), RECORD_TIMEOUT_MILLISECONDS);
  },
};
