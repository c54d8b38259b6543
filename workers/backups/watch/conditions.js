/** The conditions that raise alarms about backups, with their limits and remedies. Pure. */

import { stamp } from "../../lib/times.js";
import { CATALOGUE } from "./source.js";

/** @import { Condition } from "../../lib/alarms.js" */
/** @import { FindingKind } from "../findings.js" */
/** @import { Archive } from "./repository.js" */

const MINUTE = 60_000;

/** Maximum ages in minutes: the interval (a day; an hour; a minute of `archive_timeout`) and time to complete and upload. */
const LIMITS = { full: 26 * 60, backup: 75, wal: 10 };

/**
 * Maximum age in minutes of the newest run with a manifest. Increments start every hour and take up to ten minutes; their manifest
 * is written within ten more, and read within five. The rest is a margin.
 */
const MANIFEST_LIMIT = 95;

/** Minutes since the last completed run: more than two intervals of each Worker's cron trigger. */
export const WORKER_LIMITS = { replicate: 15, verify: 10, "age-out": 120 };

/** @typedef {keyof typeof WORKER_LIMITS} WorkerName */

const FAILURES_IN_A_ROW = 3;

/** @type {Record<keyof typeof LIMITS, string>} */
const MISSED = { full: "full backup", backup: "backup of any kind", wal: "WAL segment" };

const LEADER = "On the leader of this group";

/** @type {Record<keyof typeof LIMITS, string>} */
const MISSED_REMEDIES = {
  full: `${LEADER}: journalctl -u 'backbuild-backup@*'`,
  backup: `${LEADER}: journalctl -u 'backbuild-backup@*'`,
  wal: `${LEADER}: SELECT * FROM pg_stat_archiver, and PostgreSQL's log`,
};

/** @type {Record<FindingKind, string>} */
const FINDING_REMEDIES = {
  damaged:
    "Checksum mismatch; automatic repair failed. If a lock rule of the bucket forbids to overwrite the object, disable that rule until the object is repaired",
  missing:
    "The object was deleted from that store; automatic repair failed. Find out who deletes objects there, and whether the store accepts writes",
  lost: "No store has the correct bytes. Make a full backup of the group now, and keep the backups that depend on the object",
  stranded:
    "This copy was removed from backups.copies, but no other copy has these bytes. Add the copy again until the object is verified in another copy",
  refused:
    "A manifest is invalid or has an unknown signature. Find out who wrote it, and replace the machines' storage keys",
  chain: "A manifest is missing or was replaced. Copy it back from another store, and find out who changed it",
  clock: "A machine's clock is ahead. Run chronyc tracking on the members of the group",
  unread:
    "The group's manifests cannot be read, so new backups do not count and none is aged out. See the verify Worker's log",
  conflict: "A machine overwrote an object that is in a signed manifest. Find out which machine",
  incomplete:
    "A backup of a longer class lacks WAL, or a restore point of all groups. The next one replaces it. The report says what is missing; on the leader: journalctl -u 'backbuild-backup@*', on the coordinator's: journalctl -u backbuild-restore-point",
  oversize:
    "The object is too large to be read within one invocation. Reduce pgBackRest's bundle and segment sizes, or split the group",
  undelivered:
    "The event went to the dead-letter queue. See the replicate Worker's log; reconciliation keeps trying to copy the object",
  "kept-on": "The object is due for deletion, but the store does not delete it. Check which lock holds it",
  stalled:
    "The listing of that store does not continue. Ask its provider; meanwhile only objects whose event arrives are copied",
  missed: "",
  extra: "",
  unlisted: "",
};

/**
 * @param {Date | null} time
 * @param {Date} at
 * @returns {number | null} age in whole minutes
 */
function age(time, at) {
  return time === null ? null : Math.floor((at.getTime() - time.getTime()) / MINUTE);
}

/**
 * @param {number | null} minutes
 * @param {number} limit
 * @returns {boolean} whether the limit is exceeded; true also for null and NaN, so that a missing time raises an alarm
 */
function isOver(minutes, limit) {
  return !(minutes !== null && minutes <= limit);
}

/**
 * @param {number} minutes
 * @returns {string} in words
 */
function span(minutes) {
  return minutes % 60 === 0 ? `${minutes / 60} hours` : `${minutes} minutes`;
}

/**
 * @param {Date | null} time of the newest backup, segment or run
 * @returns {string} in words
 */
function newest(time) {
  return time === null || Number.isNaN(time.getTime()) ? "there is none" : `the newest is from ${stamp(time)}`;
}

/**
 * @param {Archive} archive
 * @param {Date} at
 * @returns {Record<keyof typeof LIMITS, number | null>} ages in minutes
 */
export function agesOf({ full, backup, wal }, at) {
  return { full: age(full, at), backup: age(backup, at), wal: age(wal, at) };
}

/**
 * Returns a condition for each kind whose newest backup or WAL segment is too old.
 *
 * @param {string} group
 * @param {Archive} archive
 * @param {Date} at
 * @returns {Condition[]}
 */
export function missedBackups(group, archive, at) {
  const ages = agesOf(archive, at);
  const kinds = /** @type {(keyof typeof LIMITS)[]} */ (Object.keys(LIMITS));
  return kinds
    .filter((kind) => isOver(ages[kind], LIMITS[kind]))
    .map((kind) => ({
      id: `${kind}:${group}`,
      text: `${group}: no ${MISSED[kind]} has arrived in the primary bucket for ${span(LIMITS[kind])} (${newest(archive[kind])}). ${MISSED_REMEDIES[kind]}`,
    }));
}

/**
 * Returns a condition if backups arrive, but no valid manifest of them does.
 *
 * @param {string} group
 * @param {Archive} archive
 * @param {Date | null} finished end of the newest run that has a valid manifest
 * @param {Date} at
 * @returns {Condition[] | null} null when it cannot be determined, because no recent backup needs a manifest
 */
export function missedManifest(group, archive, finished, at) {
  if (isOver(age(archive.backup, at), LIMITS.backup)) return null;
  // Before the first manifest, the limit counts from the start of the first backup.
  if (!isOver(age(finished ?? archive.first, at), MANIFEST_LIMIT)) return [];
  const text = `${group}: backups arrive, but no valid manifest of them has been read for ${span(MANIFEST_LIMIT)} (${newest(finished)}). ${LEADER}: journalctl -u 'backbuild-backup@*'; then the verify Worker's log and the findings "refused"`;
  return [{ id: `manifest:${group}`, text }];
}

/**
 * Returns a condition if a copy lacks objects that it should have by now.
 *
 * @param {string} store
 * @param {readonly string[]} missing keys
 * @returns {Condition[]}
 */
export function copyIsBehind(store, missing) {
  if (missing.length === 0) return [];
  const some = missing.slice(0, 3).join(", ");
  const text = `${store}: this copy lacks objects that have been in the primary bucket for more than 15 minutes, such as ${some}. Check whether the store accepts writes, the replicate Worker's log, and its queue`;
  return [{ id: `behind:${store}`, text }];
}

/**
 * Returns a condition if objects are overdue for verification.
 *
 * @param {{ late: number, never: number, key: string | null }} overdue numbers of objects that were verified too long ago, or
 *   never, and the key of one of them
 * @returns {Condition[]}
 */
export function overdueVerification({ late, never, key }) {
  if (late + never === 0) return [];
  const text = `${late} objects were last verified more than 7 days ago; ${never} have been listed for more than an hour and are not verified in every store; for example ${key}. See the verify Worker's log and its runs in the report: it has too much work, or a store does not answer`;
  return [{ id: "verification", text }];
}

/**
 * Returns a condition for each kind of finding that is open.
 *
 * @param {readonly { kind: string, store: string, key: string, total: number }[]} open a few findings of each kind, with the
 *   total of that kind
 * @returns {Condition[]}
 */
export function openFindings(open) {
  return [...Map.groupBy(open, ({ kind }) => kind)].map(([kind, some]) => {
    const places = some.map(({ store, key }) => `${store} ${key}`).join(", ");
    const remedy = FINDING_REMEDIES[/** @type {FindingKind} */ (kind)] || "See the report";
    return { id: `findings:${kind}`, text: `${some[0]?.total} ${kind}: ${places}. ${remedy}` };
  });
}

/**
 * Returns a condition if a backup Worker does not run, or keeps failing.
 *
 * @param {WorkerName} worker
 * @param {readonly { at: string, outcome: string }[]} runs its last three runs, the newest first
 * @param {Date} since time from which the limit counts if it never ran
 * @param {Date} at
 * @returns {Condition[]}
 */
export function idleWorker(worker, runs, since, at) {
  const [last] = runs;
  const limit = WORKER_LIMITS[worker];
  const silent = isOver(age(last === undefined ? since : new Date(last.at), at), limit);
  const fails = runs.length === FAILURES_IN_A_ROW && runs.every(({ outcome }) => outcome === "failed");
  if (!silent && !fails) return [];
  const what = silent
    ? `has not completed a run for ${span(limit)} (${last === undefined ? "it never ran" : newest(new Date(last.at))})`
    : "has failed three times in a row";
  const text = `The Cloudflare Worker backups/${worker} ${what}. See its log and its cron trigger`;
  return [{ id: `worker:${worker}`, text }];
}

/**
 * Returns the condition that a store or the catalogue does not answer.
 *
 * @param {string} source
 * @param {string} failure name of the error
 * @returns {Condition}
 */
export function sourceFailed(source, failure) {
  if (source === CATALOGUE) {
    const text = `The backup Workers' database (D1, the catalogue) does not answer (${failure}): it is unknown which objects are verified, overdue or damaged. Check Cloudflare's status, and the binding DB of the watch Worker`;
    return { id: CATALOGUE, text };
  }
  const text = `The ${source} store does not answer (${failure}): it is unknown which objects it has. Check its provider's status, and the watch Worker's bindings and keys for it`;
  return { id: `store:${source}`, text };
}
