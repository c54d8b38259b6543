/** Monitors the outbox and alerts operators to undelivered notifications, through the channels of all other alarms. */

import { markNotified, recordConditions } from "../../lib/alarms.js";
import { channelsOf, notifyAll } from "../../lib/notify.js";
import { aboutOf } from "../alarm.js";
import { MINUTE } from "../uptime.js";

/** @import { Condition } from "../../lib/alarms.js" */
/** @import { Env } from "../env.js" */

/** Interval of checks. A condition that two consecutive checks find is an alarm. */
const EVERY_MINUTES = 5;

/** The first attempt is made within a minute, the first two retries within six more. */
const OVERDUE_MINUTES = 30;

/** Dead letters that are older than this raise no alarm. */
const DEAD_LETTER_DAYS = 7;

const MAX_EXAMPLES = 3;

const UNDELIVERED = `
  SELECT deliveries.state, contacts.name, updates.type, COUNT(*) OVER (PARTITION BY deliveries.state) AS total
  FROM deliveries JOIN contacts ON contacts.id = deliveries.contact JOIN updates ON updates.id = deliveries.update_id
  WHERE (deliveries.state = 'dead' AND deliveries.settled_at > ?1) OR (deliveries.state = 'pending' AND updates.at <= ?2)
  ORDER BY updates.at DESC, contacts.name`;

/**
 * @param {Env} env
 * @param {D1Database} db
 * @param {Date} scheduled
 */
export async function watchDeliveries(env, db, scheduled) {
  if (scheduled.getUTCMinutes() % EVERY_MINUTES !== 0) return;
  const { results } = await db
    .prepare(UNDELIVERED)
    .bind(scheduled.getTime() - DEAD_LETTER_DAYS * 24 * 60 * MINUTE, scheduled.getTime() - OVERDUE_MINUTES * MINUTE)
    .all();
  const { channels } = await channelsOf(env, aboutOf(env, "notification alarm"));
  const ids = channels.map(({ id }) => id);
  const found = { wrong: conditionsOf(/** @type {Row[]} */ (results)), unknown: [] };
  const { due } = await recordConditions(db, found, ids, scheduled);
  await notifyAll(
    channels,
    ({ id }) => due.filter(({ channel }) => channel === id),
    scheduled,
    ({ id }, sent) =>
      markNotified(
        db,
        sent.map((one) => ({ ...one, channel: id })),
        scheduled,
      ),
  );
}

/** @typedef {{ state: "dead" | "pending", name: string, type: string, total: number }} Row */

/** @type {Record<Row["state"], (count: string, examples: string) => Condition>} */
const CONDITIONS = {
  dead: (count, examples) => ({
    id: "notifications:dead",
    text: `${count} to contacts failed permanently within ${DEAD_LETTER_DAYS} days, such as ${examples}. Run python -m status deliveries list, repair the cause and send them again (deliveries retry), or remove the contact`,
  }),
  pending: (count, examples) => ({
    id: "notifications:overdue",
    text: `${count} to contacts were not delivered within ${OVERDUE_MINUTES} minutes, such as ${examples}. Run python -m status deliveries list --state pending, and inform those contacts in another way`,
  }),
};

/**
 * @param {readonly Row[]} rows the latest first
 * @returns {Condition[]}
 */
export function conditionsOf(rows) {
  return [...Map.groupBy(rows, ({ state }) => state)].map(([state, some]) => {
    const total = some[0]?.total ?? 0;
    const examples = some.slice(0, MAX_EXAMPLES).map(({ type, name }) => `${type} to ${name}`);
    return CONDITIONS[state](`${total} notification${total === 1 ? "" : "s"}`, examples.join(", "));
  });
}
