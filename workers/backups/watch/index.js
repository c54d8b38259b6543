/** Misses a backup that did not come: looks for the newest of each kind, and raises an alarm when it is too old. */

import { now } from "../../lib/clock.js";
import { notFound } from "../../lib/http.js";
import { recordRun } from "../runs.js";
import { newestBackups, newestWal, stanzas } from "./repository.js";

/** @import { Result } from "../runs.js" */

/**
 * @typedef {object} Env
 * @property {R2Bucket} PRIMARY
 * @property {D1Database} DB
 * @property {string} [CLOCK] only in tests
 */

/** In minutes: the interval of each kind (a day, an hour, a minute of `archive_timeout`) and time to finish. */
const LIMITS = { full: 26 * 60, increment: 75, wal: 10 };

/**
 * @param {Date | null} time
 * @param {Date} at
 * @returns {number | null} whole minutes
 */
function age(time, at) {
  return time === null ? null : Math.floor((at.getTime() - time.getTime()) / 60_000);
}

/**
 * @param {string} stanza
 * @param {Record<keyof typeof LIMITS, number | null>} ages
 * @returns {string[]}
 */
function alarms(stanza, ages) {
  const kinds = /** @type {(keyof typeof LIMITS)[]} */ (Object.keys(LIMITS));
  return kinds
    .filter((kind) => (ages[kind] ?? Number.POSITIVE_INFINITY) > LIMITS[kind])
    .map((kind) => `${stanza}: no ${kind} in the last ${LIMITS[kind]} minutes`);
}

/**
 * @param {Env} env
 * @returns {Promise<Result>} ages in minutes by stanza, and what is missing
 */
async function look(env) {
  const at = now(env);
  /** @type {Record<string, Record<keyof typeof LIMITS, number | null>>} */
  const ages = {};
  for (const stanza of await stanzas(env.PRIMARY)) {
    const { full, increment } = await newestBackups(env.PRIMARY, stanza);
    const wal = await newestWal(env.PRIMARY, stanza);
    ages[stanza] = { full: age(full, at), increment: age(increment, at), wal: age(wal, at) };
  }
  const missing = Object.entries(ages).flatMap(([stanza, of]) => alarms(stanza, of));
  if (Object.keys(ages).length === 0) missing.push("the primary bucket holds no backup of any group");
  return { outcome: missing.length > 0 ? "alarm" : "ok", detail: { ages, missing } };
}

/** @satisfies {ExportedHandler<Env>} */
export default {
  fetch: notFound,

  async scheduled(controller, env) {
    await recordRun(env.DB, "watch", new Date(controller.scheduledTime), () => look(env));
  },
};
