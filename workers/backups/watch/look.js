/**
 * One look at everything. Each check asks by itself, so that what fails hides nothing but what depends on it: that is
 * then not known, which neither begins an alarm nor ends one.
 */

import { failureName, logFailure } from "../../lib/log.js";
import { NOTES } from "../findings.js";
import { copiesOf } from "../stores.js";
import {
  agesOf,
  behind,
  idleWorker,
  missedBackups,
  missedManifest,
  openFindings,
  overdueVerification,
  unanswered,
  WORKER_LIMITS,
} from "./conditions.js";
import { readArchive } from "./repository.js";
import { Source, Unanswered } from "./source.js";

/** @import { Env as Stores, Store } from "../stores.js" */
/** @import { Condition } from "../../lib/alarms.js" */
/** @import { WorkerName } from "./conditions.js" */
/** @import { Archive } from "./repository.js" */

/**
 * @typedef {object} Look
 * @property {Condition[]} wrong
 * @property {string[]} unknown ids of what could not be judged, or what they begin with
 * @property {Record<string, object>} ages of each group's newest backups and WAL, in minutes
 */

/**
 * @typedef {object} Check
 * @property {string[]} covers ids of what it may find, or what they begin with
 * @property {() => Promise<Condition[] | null>} judge null when it cannot be told
 */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** An object reaches its copies within seconds of its event; reconciliation brings a missed one within ten minutes. */
const BEHIND = 15 * MINUTE;

/** What machines' clocks are ahead at most; a time beyond is no time that anything was done at. */
const AHEAD = 10 * MINUTE;

/** Of the objects that nobody has seen in a copy, so many are looked for: the oldest, and the newest. */
const OLDEST_UNSEEN = 2;

/**
 * @param {Stores & { GROUPS: string[] }} env
 * @param {Source} memory
 * @param {() => Promise<D1Database>} database
 * @param {Date} at
 * @returns {Promise<Look>}
 */
export async function look(env, memory, database, at) {
  const primary = new Source("primary", 3);
  const before = new Date(at.getTime() - BEHIND);
  /** @type {Map<string, Promise<Archive>>} */
  const archives = new Map(
    env.GROUPS.map((group) => [group, primary.ask(() => readArchive(env.COPY_PRIMARY, group, before))]),
  );
  const rows = (/** @type {string} */ sql, /** @type {unknown[]} */ ...values) =>
    memory.ask(async () => {
      const statement = (await database()).prepare(sql).bind(...values);
      return /** @type {Record<string, any>[]} */ ((await statement.run()).results);
    });
  const finished = rows(NEWEST_MANIFESTS, later(at, AHEAD));

  /** @type {Check[]} */
  const checks = [
    ...[...archives].flatMap(([group, archive]) => [
      {
        covers: ["full", "backup", "wal"].map((kind) => `${kind}:${group}`),
        judge: async () => missedBackups(group, await archive, at),
      },
      {
        covers: [`manifest:${group}`],
        judge: async () => {
          const [newest, manifests] = await Promise.all([archive, finished]);
          const found = manifests.find(({ grp }) => grp === group)?.finishedAt;
          return missedManifest(group, newest, found === undefined ? null : new Date(found), at);
        },
      },
    ]),
    ...copiesOf(env).map((store) => ({
      covers: [`behind:${store.name}`],
      judge: () =>
        judgeCopy(store, [...archives.values()], rows(UNSEEN, store.name, later(at, -BEHIND), JSON.stringify(NOTES))),
    })),
    {
      covers: ["verification"],
      judge: async () => {
        const [found] = await rows(OVERDUE, later(at, -7 * DAY), later(at, -HOUR), JSON.stringify(NOTES));
        return overdueVerification({ late: found?.late ?? 0, never: found?.never ?? 0, key: found?.key ?? null });
      },
    },
    {
      covers: ["findings"],
      judge: async () => openFindings(/** @type {any[]} */ (await rows(FINDINGS, JSON.stringify(NOTES)))),
    },
    .../** @type {WorkerName[]} */ (Object.keys(WORKER_LIMITS)).map((worker) => ({
      covers: [`worker:${worker}`],
      judge: async () => {
        const runs = /** @type {any[]} */ (await rows(LAST_RUNS, worker, later(at, AHEAD)));
        const [first] = await rows(FIRST_LOOK);
        return idleWorker(worker, runs, new Date(first?.at ?? at), at);
      },
    })),
  ];
  const { wrong, unknown } = await judged(checks);
  /** @type {Look["ages"]} */
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
 * @param {Check[]} checks
 * @returns {Promise<{ wrong: Condition[], unknown: string[] }>}
 */
async function judged(checks) {
  const outcomes = await Promise.allSettled(checks.map(({ judge }) => judge()));
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
 * @param {unknown} error
 * @param {string[]} covers
 * @returns {Condition}
 */
function failed(error, covers) {
  if (error instanceof Unanswered) return unanswered(error.source, error.failure);
  logFailure("not judged", { covers, error: failureName(error) });
  const text = `The watch Worker could not judge ${covers.join(", ")} (${failureName(error)}). See its log: what it read is not what it expects`;
  return { id: `watch:${covers[0]}`, text };
}

/**
 * Whether what is old enough to be in a copy is there: each group's newest WAL, which comes every few minutes, and of what
 * manifests list and verification has not seen there. Looked for is the object itself, so that slow verification is not
 * taken for slow copying; and objects that are said to be wrong are the findings' matter, promoted ones verification's.
 *
 * @param {Store} store
 * @param {Promise<Archive>[]} archives
 * @param {Promise<Record<string, any>[]>} unseen
 * @returns {Promise<Condition[]>}
 * @throws {Unanswered} when something could not be looked for, and nothing that could was missing
 */
async function judgeCopy(store, archives, unseen) {
  const source = new Source(store.name);
  const keys = [
    ...archives.map(async (archive) => [(await archive).settled]),
    unseen.then((rows) => rows.map(({ key }) => /** @type {string} */ (key))),
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
  return behind(store.name, [...new Set(missing)]);
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
 * Asked once and not for each object: there may be many of both.
 *
 * @param {string} notes which parameter holds them
 */
const NOT_FOUND_WRONG = (notes) => `key NOT IN (
  SELECT key FROM findings WHERE closed_at IS NULL AND kind NOT IN (SELECT value FROM json_each(${notes})))`;

/** In terms of `object_copies_by_verification`; objects are then looked up by their key. */
const UNSEEN_OF_COPY = `
  SELECT objects.key, since FROM object_copies CROSS JOIN objects USING (key)
  WHERE verified_at IS NULL AND copy = ?1 AND since <= ?2 AND due_at IS NULL AND source IS NULL
    AND objects.${NOT_FOUND_WRONG("?3")}`;

const UNSEEN = `
  SELECT key FROM (${UNSEEN_OF_COPY} ORDER BY since LIMIT ${OLDEST_UNSEEN})
  UNION SELECT key FROM (${UNSEEN_OF_COPY} ORDER BY since DESC LIMIT 1)`;

const LISTED = "copy IN (SELECT name FROM copies WHERE removed_at IS NULL)";

/** An object of which one copy is wrong is the findings' matter; its other copies are still to be verified. */
const OVERDUE = `
  SELECT COALESCE(SUM(late), 0) AS late, COALESCE(SUM(NOT late), 0) AS never, MIN(key) AS key FROM (
    SELECT key, MAX(late) AS late FROM (
      SELECT key, 1 AS late FROM object_copies WHERE verified_at < ?1 AND ${LISTED}
      UNION ALL
      SELECT key, 0 FROM object_copies
      WHERE verified_at IS NULL AND ${LISTED} AND since < ?2 AND ${NOT_FOUND_WRONG("?3")}
    ) GROUP BY key
  ) CROSS JOIN objects USING (key) WHERE due_at IS NULL`;

const FINDINGS = `
  SELECT kind, store, key, total FROM (
    SELECT kind, store, key, COUNT(*) OVER (PARTITION BY kind) AS total,
      ROW_NUMBER() OVER (PARTITION BY kind ORDER BY found_at, id) AS place
    FROM findings WHERE closed_at IS NULL AND kind NOT IN (SELECT value FROM json_each(?1))
  ) WHERE place <= 3 ORDER BY kind, place`;

const LAST_RUNS = "SELECT at, outcome FROM runs WHERE worker = ? AND at <= ? ORDER BY at DESC LIMIT 3";

const FIRST_LOOK = "SELECT MIN(at) AS at FROM runs WHERE worker = 'watch'";
