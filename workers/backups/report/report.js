/**
 * Builds the report on all backups: where each one is, and until when it is kept. SQL aggregates the rows, because a full
 * catalogue does not fit into the memory of a Cloudflare Worker.
 */

/** @import { Rotation } from "../rotation.js" */
/** @import { CopyBinding } from "../stores/stores.js" */

const DAY = 86_400_000;

/** Closed findings are in the report for this long. */
const CLOSED_FINDINGS_SHOWN = 7 * DAY;

const WORKERS = ["replicate", "verify", "age-out", "watch"];

/** For each copy: the number of verified objects, and the oldest verification. */
const VERIFIED = "copy, COUNT(verified_at) AS verified, MIN(verified_at) AS oldest";

/** Objects that belong to one run. WAL of the hourly class belongs to several runs; in the other classes each run has its own. */
const OF_RUNS = "class <> 'manifests' AND (class <> 'hourly' OR kind <> 'wal')";

const RUNS = `
  SELECT counted.*, COALESCE(manifests.finished_at, counted.newest) AS finished_at, manifests.depends_on,
    CASE WHEN settled_at IS NOT NULL THEN point END AS point
  FROM (
    SELECT grp, class, run, MAX(stored_at) AS newest, MIN(due_at) AS due_at, COUNT(*) AS objects, SUM(size) AS bytes
    FROM objects WHERE ${OF_RUNS} GROUP BY grp, class, run
  ) AS counted
  LEFT JOIN manifests ON manifests.grp = counted.grp AND manifests.run = counted.run
  LEFT JOIN promotions ON promotions.class = counted.class AND promotions.grp = counted.grp AND promotions.run = counted.run
  ORDER BY counted.grp, finished_at DESC, counted.class, counted.run`;

const COPIES_OF_RUNS = `
  SELECT grp, class, run, ${VERIFIED} FROM objects CROSS JOIN object_copies USING (key)
  WHERE ${OF_RUNS} GROUP BY grp, class, run, copy`;

/** Sort key of a segment. Every upgrade or rebuild of the database starts a new history, in which segment names may repeat. */
const POSITION = "CASE WHEN length(segment) = 24 THEN printf('%09d', history) || segment END";

const WAL = `
  SELECT grp, substr(MIN(${POSITION}), 10) AS first, substr(MAX(${POSITION}), 10) AS last,
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

/** INDEXED BY, because SQLite's planner would otherwise read all objects; only a few of them are planned. */
const PLANNED = `
  SELECT class, grp AS "group", run, kind, COUNT(*) AS objects, SUM(size) AS bytes, MIN(due_at) AS dueAt
  FROM objects INDEXED BY objects_by_end WHERE due_at IS NOT NULL
  GROUP BY grp, class, run, kind ORDER BY dueAt, grp, class, run, kind`;

const AUDIT = `
  SELECT at, action, grp AS "group", class, run, kind, objects, bytes, reason FROM audit ORDER BY id DESC LIMIT 100`;

/** @typedef {Record<string, any>} Row */

/**
 * Reads the rows of the report in one transaction.
 *
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
      db.prepare(FINDINGS).bind(new Date(time.getTime() - CLOSED_FINDINGS_SHOWN).toISOString()),
      db.prepare(ALARMS),
      db.prepare(NEWEST_RUNS).bind(JSON.stringify(WORKERS)),
      db.prepare(PLANNED),
      db.prepare(AUDIT),
    ])
  );
  return answers.map(({ results }) => results);
}

/**
 * Builds the report. Pure.
 *
 * @param {Row[][]} rows see `readRows`
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
 * @param {Row[]} counts verified objects of each row in each copy
 * @param {string[]} copies names of all copies
 * @returns {Row[]} the rows, each with `copies`: by name, the number of verified objects and the oldest verification
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
 * @returns {object[]} the groups that are backed up, then former groups that still have backups
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
    point: row.point,
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
 * @returns {string | null} end of the retention; null for a class that is not in the rotation, or an invalid time
 */
function end(finishedAt, days = Number.NaN) {
  const at = Date.parse(finishedAt) + days * DAY;
  return Number.isNaN(at) ? null : new Date(at).toISOString();
}

/**
 * @param {string | null} text
 * @returns {any} null when the text is not JSON, so that one malformed row does not break the report
 */
function parsed(text) {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return null;
  }
}
