/**
 * Runs all checks of the backups. The checks are independent: if a source fails, only the checks that need it have an unknown
 * result, which neither begins nor ends an alarm.
 */

import { failureName, logFailure } from "../../lib/log.js";
import { KINDS_WITHOUT_ALARM } from "../findings.js";
import { copiesOf } from "../stores/stores.js";
import {
  agesOf,
  copyIsBehind,
  idleWorker,
  missedBackups,
  missedManifest,
  openFindings,
  overdueVerification,
  sourceFailed,
  WORKER_LIMITS,
} from "./conditions.js";
import { readArchive } from "./repository.js";
import { Source, SourceFailure } from "./source.js";

/** @import { Store } from "../stores/store.js" */
/** @import { Env as Stores } from "../stores/stores.js" */
/** @import { Condition } from "../../lib/alarms.js" */
/** @import { WorkerName } from "./conditions.js" */
/** @import { Archive } from "./repository.js" */

/**
 * @typedef {object} CheckResults
 * @property {Condition[]} wrong the conditions that hold
 * @property {string[]} unknown ids, or prefixes of ids, of the conditions that could not be checked
 * @property {Record<string, object>} ages of each group's newest backups and WAL, in minutes
 */

/**
 * @typedef {object} Check
 * @property {string[]} covers ids, or prefixes of ids, of the conditions that it can find
 * @property {() => Promise<Condition[] | null>} run returns the conditions that hold; null when they cannot be determined
 */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Limit for an object to reach its copies: by its event within seconds, by reconciliation within ten minutes. */
const BEHIND = 15 * MINUTE;

/** Tolerance for the machines' clocks. A time further in the future is wrong, and is ignored. */
const AHEAD = 10 * MINUTE;

/** Of the objects that were never verified in a copy, this number of the oldest ones, and the newest one, are looked up there. */
const OLDEST_UNVERIFIED = 2;

/**
 * Runs all checks once.
 *
 * @param {Stores & { GROUPS: string[] }} env
 * @param {Source} catalogue
 * @param {() => Promise<D1Database>} database
 * @param {Date} at
 * @returns {Promise<CheckResults>}
 */
export async function runChecks(env, catalogue, database, at) {
  const primary = new Source("primary", 3);
  const before = new Date(at.getTime() - BEHIND);
  /** @type {Map<string, Promise<Archive>>} */
  const archives = new Map(
    env.GROUPS.map((group) => [group, primary.ask(() => readArchive(env.COPY_PRIMARY, group, before))]),
  );
  const rows = (/** @type {string} */ sql, /** @type {unknown[]} */ ...values) =>
    catalogue.ask(async () => {
      const statement = (await database()).prepare(sql).bind(...values);
      return /** @type {Record<string, any>[]} */ ((await statement.run()).results);
    });
  const finished = rows(NEWEST_MANIFESTS, later(at, AHEAD));

  /** @type {Check[]} */
  const checks = [
    ...[...archives].flatMap(([group, archive]) => [
      {
        covers: ["full", "backup", "wal"].map((kind) => `${kind}:${group}`),
        run: async () => missedBackups(group, await archive, at),
      },
      {
        covers: [`manifest:${group}`],
        run: async () => {
          const [newest, manifests] = await Promise.all([archive, finished]);
          const found = manifests.find(({ grp }) => grp === group)?.finishedAt;
          return missedManifest(group, newest, found === undefined ? null : new Date(found), at);
        },
      },
    ]),
    ...copiesOf(env).map((store) => ({
      covers: [`behind:${store.name}`],
      run: () =>
        checkCopy(
          store,
          [...archives.values()],
          rows(UNVERIFIED, store.name, later(at, -BEHIND), JSON.stringify(KINDS_WITHOUT_ALARM)),
        ),
    })),
    {
      covers: ["verification"],
      run: async () => {
        const [found] = await rows(OVERDUE, later(at, -7 * DAY), later(at, -HOUR), JSON.stringify(KINDS_WITHOUT_ALARM));
        return overdueVerification({ late: found?.late ?? 0, never: found?.never ?? 0, key: found?.key ?? null });
      },
    },
    {
      covers: ["findings"],
      run: async () => openFindings(/** @type {any[]} */ (await rows(FINDINGS, JSON.stringify(KINDS_WITHOUT_ALARM)))),
    },
    .../** @type {WorkerName[]} */ (Object.keys(WORKER_LIMITS)).map((worker) => ({
      covers: [`worker:${worker}`],
      run: async () => {
        const runs = /** @type {any[]} */ (await rows(LAST_RUNS, worker, later(at, AHEAD)));
        const [first] = await rows(FIRST_RUN);
        return idleWorker(worker, runs, new Date(first?.at ?? at), at);
      },
    })),
  ];
  const { wrong, unknown } = await runAll(checks);
  /** @type {CheckResults["ages"]} */
  const ages = {};
  for (const [group, archive] of archives) {
    await archive.then(
      (found) => {
        ages[group] = agesOf(found, at);
      },
      () => undefined,
    );
  }
  return { wrong, unknown, ages };
}

/**
 * Runs all checks in parallel. A check that fails becomes a condition itself.
 *
 * @param {Check[]} checks
 * @returns {Promise<{ wrong: Condition[], unknown: string[] }>}
 */
async function runAll(checks) {
  const outcomes = await Promise.allSettled(checks.map(({ run }) => run()));
  /** @type {Map<string, Condition>} */
  const wrong = new Map();
  /** @type {string[]} */
  const unknown = [];
  for (const [index, outcome] of outcomes.entries()) {
    const covers = checks[index]?.covers ?? [];
    if (outcome.status === "fulfilled" && outcome.value !== null) {
      for (const condition of outcome.value) wrong.set(condition.id, condition);
      continue;
    }
    unknown.push(...covers);
    if (outcome.status === "fulfilled") continue;
    const condition = failed(outcome.reason, covers);
    wrong.set(condition.id, condition);
  }
  return { wrong: [...wrong.values()], unknown };
}

/**
 * @param {unknown} error of a check
 * @param {string[]} covers
 * @returns {Condition}
 */
function failed(error, covers) {
  if (error instanceof SourceFailure) return sourceFailed(error.source, error.failure);
  logFailure("check failed", { covers, error: failureName(error) });
  const text = `The watch Worker could not check ${covers.join(", ")} (${failureName(error)}). See the Worker's log; probably its data is malformed`;
  return { id: `watch:${covers[0]}`, text };
}

/**
 * Checks whether objects that are old enough are in a copy: the newest WAL of each group, which arrives every few minutes, and
 * objects that manifests list and that were never verified there.
 *
 * It looks the object up in the store, so that slow verification does not count as slow replication. Objects with a finding, and
 * promoted objects, are excluded: they have their own checks.
 *
 * @param {Store} store
 * @param {Promise<Archive>[]} archives
 * @param {Promise<Record<string, any>[]>} unverified
 * @returns {Promise<Condition[]>}
 * @throws {SourceFailure} when an object could not be looked up, unless another one is missing
 */
async function checkCopy(store, archives, unverified) {
  const source = new Source(store.name);
  const keys = [
    ...archives.map(async (archive) => [(await archive).settled]),
    unverified.then((rows) => rows.map(({ key }) => /** @type {string} */ (key))),
  ];
  const outcomes = await Promise.allSettled(
    keys.map(async (some) => {
      const wanted = (await some).filter((key) => key !== null);
      const there = await Promise.all(wanted.map((key) => source.ask(() => store.head(key))));
      return wanted.filter((_, index) => there[index] === null);
    }),
  );
  const missing = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? outcome.value : []));
  const failure = outcomes.find((outcome) => outcome.status === "rejected");
  if (missing.length === 0 && failure !== undefined) throw failure.reason;
  return copyIsBehind(store.name, [...new Set(missing)]);
}

/**
 * @param {Date} time
 * @param {number} milliseconds
 * @returns {string} ISO 8601
 */
function later(time, milliseconds) {
  return new Date(time.getTime() + milliseconds).toISOString();
}

const NEWEST_MANIFESTS = `
  SELECT grp, MAX(finished_at) AS finishedAt FROM manifests WHERE finished_at <= ? GROUP BY grp`;

/**
 * SQL condition: the object has no open finding that raises an alarm. It is not a correlated subquery, so SQLite evaluates it
 * once; there may be many objects and many findings.
 *
 * @param {string} parameter that holds KINDS_WITHOUT_ALARM
 */
const WITHOUT_FINDING = (parameter) => `key NOT IN (
  SELECT key FROM findings WHERE closed_at IS NULL AND kind NOT IN (SELECT value FROM json_each(${parameter})))`;

/** CROSS JOIN fixes the order of the join: first the index `object_copies_by_verification`, then `objects` by key. */
const UNVERIFIED_IN_COPY = `
  SELECT objects.key, since FROM object_copies CROSS JOIN objects USING (key)
  WHERE verified_at IS NULL AND copy = ?1 AND since <= ?2 AND due_at IS NULL AND source IS NULL
    AND objects.${WITHOUT_FINDING("?3")}`;

const UNVERIFIED = `
  SELECT key FROM (${UNVERIFIED_IN_COPY} ORDER BY since LIMIT ${OLDEST_UNVERIFIED})
  UNION SELECT key FROM (${UNVERIFIED_IN_COPY} ORDER BY since DESC LIMIT 1)`;

const LISTED = "copy IN (SELECT name FROM copies WHERE removed_at IS NULL)";

/**
 * Counts the objects that are overdue for verification. An object with a finding does not count as never verified, but its
 * copies that were verified before must still be verified every week.
 */
const OVERDUE = `
  SELECT COALESCE(SUM(late), 0) AS late, COALESCE(SUM(NOT late), 0) AS never, MIN(key) AS key FROM (
    SELECT key, MAX(late) AS late FROM (
      SELECT key, 1 AS late FROM object_copies WHERE verified_at < ?1 AND ${LISTED}
      UNION ALL
      SELECT key, 0 FROM object_copies
      WHERE verified_at IS NULL AND ${LISTED} AND since < ?2 AND ${WITHOUT_FINDING("?3")}
    ) GROUP BY key
  ) CROSS JOIN objects USING (key) WHERE due_at IS NULL`;

const FINDINGS = `
  SELECT kind, store, key, total FROM (
    SELECT kind, store, key, COUNT(*) OVER (PARTITION BY kind) AS total,
      ROW_NUMBER() OVER (PARTITION BY kind ORDER BY found_at, id) AS place
    FROM findings WHERE closed_at IS NULL AND kind NOT IN (SELECT value FROM json_each(?1))
  ) WHERE place <= 3 ORDER BY kind, place`;

const LAST_RUNS = "SELECT at, outcome FROM runs WHERE worker = ? AND at <= ? ORDER BY at DESC LIMIT 3";

const FIRST_RUN = "SELECT MIN(at) AS at FROM runs WHERE worker = 'watch'";
