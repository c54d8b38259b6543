/** What counts as wrong, and what to do about it. Pure. */

import { stamp } from "../../lib/times.js";

/** @import { Condition } from "../../lib/alarms.js" */
/** @import { FindingKind } from "../findings.js" */
/** @import { Archive } from "./repository.js" */

const MINUTE = 60_000;

/** In minutes: the interval of each kind (a day, an hour, a minute of `archive_timeout`) and time to finish. */
const LIMITS = { full: 26 * 60, backup: 75, wal: 10 };

/** In minutes: increments begin every hour; ten to make one, as many to list it, and five that it takes to be read. */
const MANIFEST_LIMIT = 95;

/** In minutes: the cron of each, missed twice and then some. */
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
    "The bytes are others than were signed for, and could not be put right: lift the lock of that object where it forbids to overwrite it",
  missing:
    "The object is gone from that store, and could not be put back: find out who deletes there, and whether the store takes objects",
  lost: "No copy is left anywhere: make a full backup of the group now, and keep what still depends on it",
  stranded:
    "The copy named here was taken out of backups.copies, and no other copy has these bytes: put it back until they are verified in another copy",
  refused: "Somebody writes manifests that are not ours: find out who, and change the machines' storage keys",
  chain: "A manifest is missing or was exchanged: bring it back from a copy, and find out who changed it",
  clock: "A machine's clock is ahead: chronyc tracking on the members of the group",
  unread:
    "Its manifests cannot be read, so that new backups are not counted and none is aged out: see the verify Worker's log",
  conflict: "A machine overwrote what was signed for: find out which one",
  incomplete:
    "Some WAL of the backup is in no manifest: the next full backup takes its place; on the leader: journalctl -u 'backbuild-backup@*'",
  oversize: "Too large to be copied at once: make pgBackRest's bundles and segments smaller, or split the group",
  undelivered:
    "The event ended among the dead letters: look at the replicate Worker's log; the object is copied as soon as it can be",
  "kept-on": "It was to go and could not be deleted: see which lock holds it",
  stalled:
    "The list of that store does not get on: ask its provider; what events tell of is copied meanwhile, and what they miss is not",
  missed: "",
  extra: "",
  unlisted: "",
};

/**
 * @param {Date | null} time
 * @param {Date} at
 * @returns {number | null} whole minutes
 */
function age(time, at) {
  return time === null ? null : Math.floor((at.getTime() - time.getTime()) / MINUTE);
}

/**
 * @param {number | null} minutes
 * @param {number} limit
 * @returns {boolean} also when there is none, or none that is a time
 */
function isOver(minutes, limit) {
  return !(minutes !== null && minutes <= limit);
}

/**
 * @param {number} minutes
 * @returns {string}
 */
function span(minutes) {
  return minutes % 60 === 0 ? `${minutes / 60} hours` : `${minutes} minutes`;
}

/**
 * @param {Date | null} time
 * @returns {string}
 */
function newest(time) {
  return time === null || Number.isNaN(time.getTime()) ? "there is none at all" : `the newest is of ${stamp(time)}`;
}

/**
 * @param {Archive} archive
 * @param {Date} at
 * @returns {Record<keyof typeof LIMITS, number | null>} in minutes
 */
export function agesOf({ full, backup, wal }, at) {
  return { full: age(full, at), backup: age(backup, at), wal: age(wal, at) };
}

/**
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
      text: `${group}: no ${MISSED[kind]} has come to the primary bucket for ${span(LIMITS[kind])} (${newest(archive[kind])}). ${MISSED_REMEDIES[kind]}`,
    }));
}

/**
 * Backups come, and nobody signs for them, or what is signed is not believed.
 *
 * @param {string} group
 * @param {Archive} archive
 * @param {Date | null} finished when the newest run that has a manifest ended
 * @param {Date} at
 * @returns {Condition[] | null} null when it cannot be told: without backups there is nothing to sign for
 */
export function missedManifest(group, archive, finished, at) {
  if (isOver(age(archive.backup, at), LIMITS.backup)) return null;
  // Before the first manifest, the first backup has as long as any to be signed for.
  if (!isOver(age(finished ?? archive.first, at), MANIFEST_LIMIT)) return [];
  const text = `${group}: backups come, but no manifest that is believed has been read for ${span(MANIFEST_LIMIT)} (${newest(finished)}). ${LEADER}: journalctl -u 'backbuild-backup@*'; then the verify Worker's log and the findings "refused"`;
  return [{ id: `manifest:${group}`, text }];
}

/**
 * @param {string} store
 * @param {readonly string[]} missing keys
 * @returns {Condition[]}
 */
export function behind(store, missing) {
  if (missing.length === 0) return [];
  const some = missing.slice(0, 3).join(", ");
  const text = `${store}: objects are in the primary bucket for more than 15 minutes and not yet there, such as ${some}. See whether the store takes objects, the replicate Worker's log, and its queue`;
  return [{ id: `behind:${store}`, text }];
}

/**
 * @param {{ late: number, never: number, key: string | null }} overdue objects by why, and one of them
 * @returns {Condition[]}
 */
export function overdueVerification({ late, never, key }) {
  if (late + never === 0) return [];
  const text = `${late} objects were last verified more than 7 days ago, ${never} are listed for more than an hour and not verified in every store, such as ${key}. See the verify Worker's log and its runs in the report: it has too much to do, or a store does not answer`;
  return [{ id: "verification", text }];
}

/**
 * @param {readonly { kind: string, store: string, key: string, total: number }[]} open a few of each kind, and how many there are
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
 * @param {WorkerName} worker
 * @param {readonly { at: string, outcome: string }[]} runs its last three, the newest first
 * @param {Date} since when it should have run, had it never
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
    ? `has not ended a run for ${span(limit)} (${last === undefined ? "it never did" : newest(new Date(last.at))})`
    : "has failed three times in a row";
  return [{ id: `worker:${worker}`, text: `The Worker backups/${worker} ${what}. See its log and its cron trigger` }];
}

/**
 * @param {string} source
 * @param {string} failure
 * @returns {Condition} a store, or the catalogue, that does not answer
 */
export function unanswered(source, failure) {
  if (source === "memory") {
    const text = `The backup Workers' database (D1, the catalogue) does not answer (${failure}): what is verified, found or overdue is not known. See Cloudflare's status, and the binding DB of the watch Worker`;
    return { id: "memory", text };
  }
  const text = `The ${source} store does not answer (${failure}): what it holds is not known. See its provider's status, and the watch Worker's bindings and keys for it`;
  return { id: `store:${source}`, text };
}
