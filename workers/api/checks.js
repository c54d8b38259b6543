/** The checks of the health report. Each ends within its timeout; anything it could not check is `unknown`. */

import { now } from "../lib/clock.js";
import { forEachConcurrently } from "../lib/concurrency.js";
import { failureName, logFailure } from "../lib/log.js";
import { withTimeout } from "../lib/timeout.js";
import { queryDatabase } from "./database.js";

/** @import { ComponentHealth } from "../lib/health.js" */
/** @import { DatabaseState } from "./database.js" */

/** Checks run in parallel, so this leaves half a second of the two seconds in which a report must be ready. */
const CHECK_MILLISECONDS = 1_500;

/** From this lag on, gateways send no reads to a standby and health gates call it unhealthy (`lag=16MB`). */
const LAGGING_BYTES = 16 * 1024 * 1024;

/** Incremental backups start every hour; another 15 minutes are for the backup itself. */
const STALE_MINUTES = 75;

/** A Cloudflare Worker may hold six connections: one is for the database, one for the object storage. */
const PARALLEL_READS = 4;

/**
 * @param {Hyperdrive | undefined} hyperdrive
 * @returns {Promise<DatabaseState | "unreachable" | "unknown">} `unknown` if no Hyperdrive is bound
 */
export async function checkDatabase(hyperdrive) {
  if (hyperdrive === undefined) return "unknown";
  const state = await outcome("database", (signal) => queryDatabase(hyperdrive, signal));
  return state ?? "unreachable";
}

/**
 * If a test write cannot commit, report the database down, even if reads work: customers need to write.
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
 * Reports whether every group has a synchronous standby. Never `down`, because customers do not notice its loss.
 *
 * @param {DatabaseState | "unreachable" | "unknown"} state
 */
export function replicationHealth(state) {
  const { standbys, synchronousStandbys, lagBytes, workerGroupsReplicated } =
    typeof state === "string" ? UNKNOWN : state;
  return {
    status: replicationStatus(synchronousStandbys, lagBytes, workerGroupsReplicated),
    standbys: standbys ?? "unknown",
    synchronousStandbys: synchronousStandbys ?? "unknown",
    lagBytes: lagBytes ?? "unknown",
    workerGroupsReplicated: workerGroupsReplicated ?? "unknown",
  };
}

const UNKNOWN = { standbys: null, synchronousStandbys: null, lagBytes: null, workerGroupsReplicated: null };

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
 * Checks whether the bucket answers. The requested object need not exist.
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
 * Checks the age of the newest backup of each stanza (the oldest counts), and the report Worker's health.
 *
 * @param {{ BACKUPS: R2Bucket, STANZAS?: string[], BACKUP_REPORT?: Fetcher, CLOCK?: string }} env
 * @returns {Promise<{ status: ComponentHealth, ageMinutes: number | "unknown" }>}
 */
export async function checkBackups(env) {
  // Started first, so that it does not wait for a connection behind the stanzas.
  const report = checkReport(env.BACKUP_REPORT);
  const age = await checkAge(env);
  return { ...age, status: worse(age.status, await report) };
}

/**
 * pgBackRest rewrites a stanza's `backup.info` at each backup, so the object's age is the age of the last backup.
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
 * Asks the report Worker, because a recent backup may still be damaged or not replicated.
 *
 * @param {Fetcher | undefined} report
 * @returns {Promise<ComponentHealth>} `ok` if no report Worker is bound
 */
async function checkReport(report) {
  if (report === undefined) return "ok";
  const answer = await outcome("backupReport", async (signal) => {
    const response = await report.fetch("https://backups.internal/health", { redirect: "manual", signal });
    if (!response.ok) throw new Error(`the report Worker answered HTTP ${response.status}`);
    return /** @type {{ status?: unknown } | null} */ (await response.json());
  });
  return answer?.status === "ok" || answer?.status === "degraded" ? answer.status : "unknown";
}

/** @type {readonly ComponentHealth[]} */
const WORST_FIRST = ["down", "degraded", "unknown", "ok"];

/**
 * @param {ComponentHealth} one
 * @param {ComponentHealth} other
 * @returns {ComponentHealth} the worse of both; a known failure outranks `unknown`
 */
function worse(one, other) {
  return WORST_FIRST.find((status) => status === one || status === other) ?? "unknown";
}

/**
 * @param {R2Bucket} bucket
 * @param {string[]} stanzas
 * @param {AbortSignal} signal stops further reads
 * @returns {Promise<(Date | null)[]>} time of each stanza's last backup, unordered; null if there is none
 */
async function lastBackups(bucket, stanzas, signal) {
  /** @type {(Date | null)[]} */
  const written = [];
  await forEachConcurrently(stanzas, PARALLEL_READS, async (stanza) => {
    if (signal.aborted) return;
    const index = await bucket.head(`hourly/backup/${stanza}/backup.info`);
    written.push(index?.uploaded ?? null);
  });
  return written;
}

/**
 * @template T
 * @param {string} component
 * @param {(signal: AbortSignal) => Promise<T>} check releases its connections when `signal` aborts
 * @returns {Promise<T | undefined>} undefined if the check fails or does not end in time
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
