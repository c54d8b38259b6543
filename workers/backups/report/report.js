/** What is backed up, where, and until when. The database counts: the rows of a full catalogue fit into no Worker. */

/** @import { Rotation } from "../rotation.js" */
/** @import { CopyBinding } from "../stores.js" */

const DAY = 86_400_000;

/** Findings that are closed are shown for so long. */
const LATELY = 7 * DAY;

const WORKERS = ["replicate", "verify", "age-out", "watch"];

/** Of each row's objects in each copy. */
const VERIFIED = "copy, COUNT(verified_at) AS verified, MIN(verified_at) AS oldest";

/** WAL of the hourly class is every run's; a class beyond holds runs that are complete in themselves. */
const OF_RUNS = "class <> 'manifests' AND (class <> 'hourly' OR kind <> 'wal')";

const RUNS = `
  SELECT counted.*, COALESCE(manifests.finished_at, counted.newest) AS finished_at, manifests.depends_on
  FROM (
    SELECT grp, class, run, MAX(stored_at) AS newest, MIN(due_at) AS due_at, COUNT(*) AS objects, SUM(size) AS bytes
    FROM objects WHERE ${OF_RUNS} GROUP BY grp, class, run
  ) AS counted
  LEFT JOIN manifests ON manifests.grp = counted.grp AND manifests.run = counted.run
  ORDER BY counted.grp, finished_at DESC, counted.class, counted.run`;

const COPIES_OF_RUNS = `
  SELECT grp, class, run, ${VERIFIED} FROM objects CROSS JOIN object_copies USING (key)
  WHERE ${OF_RUNS} GROUP BY grp, class, run, copy`;

/** A history of the archive begins with every upgrade or rebuild of the database, and may name segments anew. */
const PLACE = "CASE WHEN length(segment) = 24 THEN printf('%09d', history) || segment END";

const WAL = `
  SELECT grp, substr(MIN(${PLACE}), 10) AS first, substr(MAX(${PLACE}), 10) AS last,
    MIN(stored_at) AS oldest, MAX(stored_at) AS newest, COUNT(*) AS objects, SUM(size) AS bytes
  FROM objects WHERE class = 'hourly' AND kind = 'wal'
  GROUP BY grp`;

const COPIES_OF_WAL = `
  SELECT grp, ${VERIFIED} FROM objects CROSS JOIN object_copies USING (key)
  WHERE class = 'hourly' AND kind = 'wal' GROUP BY grp, copy`;

const FINDINGS = `
  SELECT kind, store, key, detail, found_at AS foundAt, closed_at AS closedAt, outcome
  FROM findings WHERE closed_at IS NULL OR closed_at > ?
  ORDER BY closed_at IS NOT NULL, closed_at DESC, found_at DESC, id DESC LIMIT 500`;

const ALARMS = `
  SELECT id, text, since FROM alarms WHERE ended_at IS NULL AND raised_at IS NOT NULL ORDER BY since, id`;

const NEWEST_RUNS = `
  SELECT runs.worker, runs.at, runs.outcome, runs.detail
  FROM json_each(?) AS named
  JOIN runs ON runs.worker = named.value
    AND runs.at = (SELECT at FROM runs WHERE worker = named.value ORDER BY at DESC LIMIT 1)
  ORDER BY named.key`;

/** Left to itself, the planner reads all objects in the order of the groups, of which few are planned. */
const PLANNED = `
  SELECT class, grp AS "group", run, kind, COUNT(*) AS objects, SUM(size) AS bytes, MIN(due_at) AS dueAt
  FROM objects INDEXED BY objects_by_end WHERE due_at IS NOT NULL
  GROUP BY grp, class, run, kind ORDER BY dueAt, grp, class, run, kind`;

const AUDIT = `
  SELECT at, action, grp AS "group", class, run, kind, objects, bytes, reason FROM audit ORDER BY id DESC LIMIT 100`;

/** @typedef {Record<string, any>} Row */

/**
 * @param {D1Database} db
 * @param {Date} time
 * @returns {Promise<Row[][]>} for `reportOf`
 */
export async function readRows(db, time) {
  const answers = /** @type {D1Result<Row>[]} */ (
    await db.batch([
      db.prepare(RUNS),
      db.prepare(COPIES_OF_RUNS),
      db.prepare(WAL),
      db.prepare(COPIES_OF_WAL),
      db.prepare(FINDINGS).bind(new Date(time.getTime() - LATELY).toISOString()),
      db.prepare(ALARMS),
      db.prepare(NEWEST_RUNS).bind(JSON.stringify(WORKERS)),
      db.prepare(PLANNED),
      db.prepare(AUDIT),
    ])
  );
  return answers.map(({ results }) => results);
}

/**
 * @param {Row[][]} rows
 * @param {{ COPIES: CopyBinding[], GROUPS: string[], ROTATION: Rotation }} env
 * @param {Date} time
 */
export function reportOf(rows, env, time) {
  const [runs = [], runCopies = [], wal = [], walCopies = [], findings, alarms, workers = [], planned, audit] = rows;
  const copies = env.COPIES.map(({ name }) => name);
  return {
    time: time.toISOString(),
    copies,
    rotation: env.ROTATION,
    groups: groupsOf(env, withCopies(runs, runCopies, copies), withCopies(wal, walCopies, copies)),
    findings,
    alarms,
    workers: workers.map((row) => ({ ...row, detail: parsed(row.detail) })),
    planned,
    audit,
  };
}

/**
 * @param {Row[]} rows
 * @param {Row[]} counts of each row's objects in one copy
 * @param {string[]} copies
 * @returns {Row[]} the rows, each with `copies`: by name, how many objects are verified there, and the oldest verification
 */
function withCopies(rows, counts, copies) {
  const idOf = (/** @type {Row} */ { grp, class: name, run }) => [grp, name, run].join("/");
  const byRow = Map.groupBy(counts, idOf);
  return rows.map((row) => {
    const found = new Map(
      (byRow.get(idOf(row)) ?? []).map(({ copy, verified, oldest }) => [copy, { verified, oldest }]),
    );
    return { ...row, copies: Object.fromEntries(copies.map((name) => [name, found.get(name) ?? NONE])) };
  });
}

const NONE = { verified: 0, oldest: null };

/**
 * @param {{ COPIES: CopyBinding[], GROUPS: string[], ROTATION: Rotation }} env
 * @param {Row[]} runs
 * @param {Row[]} wal
 * @returns {object[]} those that are backed up, then those of which something is left
 */
function groupsOf({ COPIES, GROUPS, ROTATION: rotation }, runs, wal) {
  const names = new Set([...GROUPS, ...[...runs, ...wal].map(({ grp }) => grp)]);
  const byGroup = Map.groupBy(runs, ({ grp }) => grp);
  const archives = new Map(wal.map((row) => [row.grp, row]));
  const none = Object.fromEntries(COPIES.map(({ name }) => [name, NONE]));
  return [...names].map((group) => ({
    group,
    runs: (byGroup.get(group) ?? []).map((row) => runOf(row, rotation)),
    wal: walOf(archives.get(group) ?? { copies: none }),
  }));
}

/**
 * @param {Row} row
 * @param {Rotation} rotation
 */
function runOf(row, rotation) {
  return {
    class: row.class,
    run: row.run,
    kind: row.run.endsWith("F") ? "full" : "incremental",
    finishedAt: row.finished_at,
    objects: row.objects,
    bytes: row.bytes,
    copies: row.copies,
    agesOutAt: row.due_at ?? end(row.finished_at, rotation.keepDays[row.class]),
    planned: row.due_at !== null,
    dependsOn: parsed(row.depends_on) ?? [],
  };
}

/** @param {Row} row */
function walOf({ objects = 0, bytes = 0, first = null, last = null, oldest = null, newest = null, copies }) {
  return { objects, bytes, first, last, oldest, newest, copies };
}

/**
 * @param {string} finishedAt
 * @param {number | undefined} days
 * @returns {string | null} null for a class that the rotation does not name, or a time that is none
 */
function end(finishedAt, days = Number.NaN) {
  const at = Date.parse(finishedAt) + days * DAY;
  return Number.isNaN(at) ? null : new Date(at).toISOString();
}

/**
 * @param {string | null} text
 * @returns {any} null for what is no JSON: one bad row hides no others
 */
function parsed(text) {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return null;
  }
}
