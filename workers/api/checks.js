/** The API's checks: each ends in time, and claims no more than it has seen. */

import { now } from "../lib/clock.js";
import { inLanes } from "../lib/lanes.js";
import { failureName, logFailure } from "../lib/log.js";
import { withTimeout } from "../lib/timeout.js";
import { askDatabase } from "./database.js";

/** @import { ComponentHealth } from "../lib/health.js" */
/** @import { DatabaseState } from "./database.js" */

/** Checks run side by side, so this leaves half a second of the two that a report may take. */
const CHECK_MILLISECONDS = 1_500;

/** From here on the gateways send a standby no more reads, and no rollout calls it healthy (`lag=16MB`). */
const LAGGING_BYTES = 16 * 1024 * 1024;

/** Increments begin every hour; a quarter more is for the backup itself. */
const STALE_MINUTES = 75;

/** A Worker holds six connections at once: one is the database's, one the object storage's. */
const SIMULTANEOUS = 4;

/**
 * @param {Hyperdrive | undefined} hyperdrive
 * @returns {Promise<DatabaseState | "unreachable" | "unknown">} `unknown` without a way to the database
 */
export async function checkDatabase(hyperdrive) {
  if (hyperdrive === undefined) return "unknown";
  const state = await outcome("database", (signal) => askDatabase(hyperdrive, signal));
  return state ?? "unreachable";
}

/**
 * A customer needs to write: who cannot, through the only way there is, has no database.
 *
 * @param {DatabaseState | "unreachable" | "unknown"} state
 * @returns {{ status: ComponentHealth, writable: boolean | "unknown" }}
 */
export function databaseHealth(state) {
  if (state === "unknown") return { status: "unknown", writable: "unknown" };
  if (state === "unreachable" || state.writable === false) return { status: "down", writable: false };
  return { status: "ok", writable: state.writable ?? "unknown" };
}

/**
 * Whether another machine holds every commit, in every group. No customer notices when none does.
 *
 * @param {DatabaseState | "unreachable" | "unknown"} state
 */
export function replicationHealth(state) {
  const { standbys, synchronousStandbys, lagBytes, workerGroupsReplicated } =
    typeof state === "string" ? NOTHING : state;
  return {
    status: replicationStatus(synchronousStandbys, lagBytes, workerGroupsReplicated),
    standbys: standbys ?? "unknown",
    synchronousStandbys: synchronousStandbys ?? "unknown",
    lagBytes: lagBytes ?? "unknown",
    workerGroupsReplicated: workerGroupsReplicated ?? "unknown",
  };
}

const NOTHING = { standbys: null, synchronousStandbys: null, lagBytes: null, workerGroupsReplicated: null };

/**
 * @param {number | null} synchronousStandbys
 * @param {number | null} lagBytes
 * @param {boolean | null} workerGroupsReplicated
 * @returns {ComponentHealth}
 */
function replicationStatus(synchronousStandbys, lagBytes, workerGroupsReplicated) {
  if (synchronousStandbys === 0 || (lagBytes ?? 0) > LAGGING_BYTES || workerGroupsReplicated === false)
    return "degraded";
  return synchronousStandbys === null || workerGroupsReplicated === null ? "unknown" : "ok";
}

/**
 * Whether the bucket answers; the probed object need not exist.
 *
 * @param {R2Bucket} bucket
 * @returns {Promise<{ status: ComponentHealth }>}
 */
export async function checkObjectStorage(bucket) {
  const answers = await outcome("objectStorage", async () => {
    await bucket.head("health-probe");
    return true;
  });
  return { status: answers ? "ok" : "down" };
}

/**
 * How old the newest backup is, of the stanza that is worst off, and what those who look after backups say of them.
 *
 * @param {{ BACKUPS: R2Bucket, STANZAS?: string[], BACKUP_REPORT?: Fetcher, CLOCK?: string }} env
 * @returns {Promise<{ status: ComponentHealth, ageMinutes: number | "unknown" }>}
 */
export async function checkBackups(env) {
  // Asked first: what is too much for the connections at once then waits, and that is a stanza.
  const watched = checkWatch(env.BACKUP_REPORT);
  const age = await checkAge(env);
  return { ...age, status: worse(age.status, await watched) };
}

/**
 * pgBackRest rewrites a stanza's `backup.info` at each backup, so that its age is the backup's.
 *
 * @param {{ BACKUPS: R2Bucket, STANZAS?: string[], CLOCK?: string }} env
 * @returns {Promise<{ status: ComponentHealth, ageMinutes: number | "unknown" }>}
 */
async function checkAge(env) {
  const { BACKUPS: bucket, STANZAS: stanzas = [] } = env;
  const written = await outcome("backups", (signal) => lastBackups(bucket, stanzas, signal));
  if (written === undefined || written.length === 0) return { status: "unknown", ageMinutes: "unknown" };
  if (written.includes(null)) return { status: "degraded", ageMinutes: "unknown" };
  const oldest = Math.min(...written.map(Number));
  const ageMinutes = Math.floor((now(env).getTime() - oldest) / 60_000);
  return { status: ageMinutes <= STALE_MINUTES ? "ok" : "degraded", ageMinutes };
}

/**
 * A fresh backup may still be one that nobody copies or that is damaged.
 *
 * @param {Fetcher | undefined} report
 * @returns {Promise<ComponentHealth>} `ok` where nobody is bound who would say otherwise
 */
async function checkWatch(report) {
  if (report === undefined) return "ok";
  const said = await outcome("backupReport", async (signal) => {
    const response = await report.fetch("https://backups.internal/health", { redirect: "manual", signal });
    if (!response.ok) throw new Error("not an answer");
    return /** @type {{ status?: unknown } | null} */ (await response.json());
  });
  return said?.status === "ok" || said?.status === "degraded" ? said.status : "unknown";
}

/** @type {readonly ComponentHealth[]} */
const WORST_FIRST = ["down", "degraded", "unknown", "ok"];

/**
 * @param {ComponentHealth} one
 * @param {ComponentHealth} other
 * @returns {ComponentHealth} what is not known never hides what is
 */
function worse(one, other) {
  return WORST_FIRST.find((status) => status === one || status === other) ?? "unknown";
}

/**
 * @param {R2Bucket} bucket
 * @param {string[]} stanzas
 * @param {AbortSignal} signal asks no further
 * @returns {Promise<(Date | null)[]>} in no order; null where there is none
 */
async function lastBackups(bucket, stanzas, signal) {
  /** @type {(Date | null)[]} */
  const written = [];
  await inLanes(stanzas, SIMULTANEOUS, async (stanza) => {
    if (signal.aborted) return;
    const index = await bucket.head(`hourly/backup/${stanza}/backup.info`);
    written.push(index?.uploaded ?? null);
  });
  return written;
}

/**
 * @template T
 * @param {string} component
 * @param {(signal: AbortSignal) => Promise<T>} check gives up what it holds when `signal` aborts
 * @returns {Promise<T | undefined>} undefined when the check fails or does not end in time
 */
async function outcome(component, check) {
  const end = new AbortController();
  try {
    return await withTimeout(check(end.signal), CHECK_MILLISECONDS);
  } catch (error) {
    logFailure("check failed", { component, error: failureName(error) });
    return undefined;
  } finally {
    end.abort();
  }
}
