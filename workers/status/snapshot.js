/** Builds the snapshot for a page or file: the recorded history and, for live pages, the result of a live check. */

import { now } from "../lib/clock.js";
import { shared } from "../lib/shared.js";
import { catalogue, PLATFORM } from "./components.js";
import { readHistory } from "./history.js";
import { LATE_MILLISECONDS } from "./model.js";
import { probe } from "./probe.js";

/** @import { Env } from "./env.js" */
/** @import { History, Seen, Snapshot } from "./model.js" */
/** @import { Probe } from "./probe.js" */

/** The API's report takes at most two seconds. After that a page shows the latest recorded minute instead. */
export const VIEW_MILLISECONDS = 2_000;

/** Simultaneous readers share one probe, because a probe makes up to fifteen requests. */
/** @type {ReturnType<typeof shared<Probe>>} */
const sharedProbe = shared(0, VIEW_MILLISECONDS + 500);

/**
 * @param {Env} env
 * @returns {Promise<Snapshot>} from the database only, without a live check
 */
export async function recorded(env) {
  const time = now(env);
  const history = await readHistory(env.DB, time, env.SLA);
  const status = history?.lastStates[PLATFORM];
  const health = status === undefined || status === "unknown" ? "degraded" : status;
  const at = history?.lastSampleAt ?? time;
  const seen = { answered: true, status: health, components: history?.lastStates ?? {}, pending: [], at };
  return snapshotOf(env, time, seen, history);
}

/**
 * @param {Env} env
 * @param {ExecutionContext} context
 * @returns {Promise<Snapshot>}
 */
export async function live(env, context) {
  const time = now(env);
  const run = () => probe(env.HEALTH_URL, catalogue(env.COMPONENTS), VIEW_MILLISECONDS);
  const [seen, history] = await Promise.all([sharedProbe(time, context, run), readHistory(env.DB, time, env.SLA)]);
  return snapshotOf(env, time, completed(seen, history, time), history);
}

/**
 * @param {Probe} seen
 * @param {History | null} history
 * @param {Date} time
 * @returns {Seen} with recently recorded states for pending components
 */
export function completed(seen, history, time) {
  const { status, pending } = seen;
  if (pending.length === 0) return { ...seen, at: time };
  const last = history?.lastSampleAt ?? null;
  const isLate = last === null || time.getTime() - last.getTime() > LATE_MILLISECONDS;
  const states = isLate ? {} : (history?.lastStates ?? {});
  const components = { ...seen.components };
  for (const id of pending) components[id] = states[id] ?? "unknown";
  if (!pending.includes("api")) {
    const isWorse = status === "ok" && pending.some((id) => components[id] === "down");
    return { ...seen, status: isWorse ? "degraded" : status, components, at: time };
  }
  const before = states[PLATFORM];
  const health = before === undefined || before === "unknown" ? "degraded" : before;
  return { ...seen, status: health, components, at: isLate ? time : last };
}

/**
 * @param {Env} env
 * @param {Date} time
 * @param {Seen} seen
 * @param {History | null} history
 * @returns {Snapshot}
 */
function snapshotOf(env, time, seen, history) {
  return {
    platform: env.PLATFORM,
    contact: env.CONTACT,
    origin: env.STATUS_URL,
    time,
    components: catalogue(env.COMPONENTS),
    restore: env.LAST_RESTORE ?? null,
    probe: seen,
    history,
  };
}
