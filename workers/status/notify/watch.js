/** Watches over the outbox, and tells operators of what does not arrive, through the same channels as every other alarm. */

import { remember, settle } from "../../lib/alarms.js";
import { channelsOf, tellAll } from "../../lib/tell.js";
import { aboutOf } from "../alarm.js";
import { MINUTE } from "../uptime.js";

/** @import { Condition } from "../../lib/alarms.js" */
/** @import { Env } from "../env.js" */

/** Looks are so far apart; a condition that two of them find is an alarm. */
const EVERY_MINUTES = 5;

/** First attempts are made within a minute, the first two repeated ones within six more. */
const OVERDUE_MINUTES = 30;

/** A dead letter that nobody has sent again for so long will not be. */
const REMINDED_DAYS = 7;

const NAMED = 3;

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
    .bind(scheduled.getTime() - REMINDED_DAYS * 24 * 60 * MINUTE, scheduled.getTime() - OVERDUE_MINUTES * MINUTE)
    .all();
  const { channels } = await channelsOf(env, aboutOf(env, "notification alarm"));
  const ids = channels.map(({ id }) => id);
  const look = { wrong: conditionsOf(/** @type {Row[]} */ (results)), unknown: [] };
  const { due } = await remember(db, look, ids, scheduled);
  await tellAll(
    channels,
    ({ id }) => due.filter(({ channel }) => channel === id),
    scheduled,
    ({ id }, some) =>
      settle(
        db,
        some.map((word) => ({ ...word, channel: id })),
        scheduled,
      ),
  );
}

/** @typedef {{ state: "dead" | "pending", name: string, type: string, total: number }} Row */

/** @type {Record<Row["state"], (count: string, such: string) => Condition>} */
const CONDITIONS = {
  dead: (count, such) => ({
    id: "notifications:dead",
    text: `${count} to contacts failed for good within ${REMINDED_DAYS} days, such as ${such}. See python -m status deliveries list; correct what fails and send them again (deliveries retry), or remove the contact`,
  }),
  pending: (count, such) => ({
    id: "notifications:overdue",
    text: `${count} to contacts did not arrive within ${OVERDUE_MINUTES} minutes of being said, such as ${such}. See python -m status deliveries list --state pending, and tell those contacts in another way`,
  }),
};

/**
 * @param {readonly Row[]} rows the latest first
 * @returns {Condition[]}
 */
export function conditionsOf(rows) {
  return [...Map.groupBy(rows, ({ state }) => state)].map(([state, some]) => {
    const total = some[0]?.total ?? 0;
    const such = some.slice(0, NAMED).map(({ type, name }) => `${type} to ${name}`);
    return CONDITIONS[state](`${total} notification${total === 1 ? "" : "s"}`, such.join(", "));
  });
}
