/** What is to go, group by group, and its going. What it rests on is in rotation.js; all that is done is in the audit log. */

import { failureName, logFailure } from "../../lib/log.js";
import { open } from "../findings.js";
import { DAY, days, needed, neededOfRemoved, PROMOTED } from "../rotation.js";
import { PRIMARY, storesOf } from "../stores.js";

/** @import { Run } from "../rotation.js" */
/** @import { Result } from "../runs.js" */
/** @import { Env as Stores, Store } from "../stores.js" */

/** @typedef {Stores & { DB: D1Database, GROUPS: string[] }} Env `GROUPS`: those that are backed up */

/** The most that one call deletes. */
const BATCH = 1_000;

/** The next invocation comes in an hour, and goes on where this one stops. */
const BUDGET_MILLISECONDS = 600_000;

/** A lock, which counts from when a copy was written, may outlast the plan: that of a copy which was repaired, by days. */
const PATIENCE_DAYS = 10;

/** What makes it uncertain which objects a group has, so that none of them is deleted. */
const DOUBTS = ["refused", "clock", "unread"];

/** The same, of what nobody may be able to put right: in the hourly class's days, all that it is about has grown old. */
const PASSING_DOUBTS = ["chain", "conflict"];

/**
 * @param {Env} env
 * @param {D1Database} db
 * @param {Date} time
 * @returns {Promise<Result>}
 */
export async function ageOut(env, db, time) {
  const total = { planned: 0, deleted: 0, kept: 0, refused: 0, failed: 0, doubtful: /** @type {string[]} */ ([]) };
  if (!(await isFresh(db, time))) throw new StaleCatalogue();
  const groups = await db.prepare("SELECT DISTINCT grp FROM manifests").run();
  const end = Date.now() + BUDGET_MILLISECONDS;
  for (const grp of groups.results.map((row) => String(row.grp))) {
    try {
      if (await isInDoubt(env, db, grp, time)) {
        total.doubtful.push(grp);
        total.kept += await unplan(db, grp, NOTHING, time);
        continue;
      }
      const tomorrow = new Date(time.getTime() + DAY);
      const [now, then] = [await goners(env, db, grp, time), await goners(env, db, grp, tomorrow)];
      total.kept += await unplan(db, grp, then, time);
      const { deleted, refused } = await carryOut(env, db, grp, now, time, end);
      total.deleted += deleted;
      total.refused += refused;
      // Last, so that the manifests of what has just gone are planned too.
      total.planned += await plan(db, grp, then, time, tomorrow);
    } catch (error) {
      // One group's trouble is not the others'.
      logFailure("group not aged out", { group: grp, error: failureName(error) });
      total.failed += 1;
    }
  }
  return { outcome: total.failed > 0 || total.doubtful.length > 0 ? "alarm" : "ok", detail: total };
}

/** Nobody has read manifests for a day: what is needed may not be known. */
class StaleCatalogue extends Error {
  name = "StaleCatalogue";
}

/**
 * @param {D1Database} db
 * @param {Date} time
 * @returns {Promise<boolean>}
 */
async function isFresh(db, time) {
  const at = await db
    .prepare("SELECT MAX(at) AS at FROM runs WHERE worker = 'verify' AND outcome <> 'failed'")
    .first("at");
  return at !== null && time.getTime() - Date.parse(String(at)) < DAY;
}

/**
 * @param {Env} env
 * @param {D1Database} db
 * @param {string} grp
 * @param {Date} time
 * @returns {Promise<boolean>}
 */
async function isInDoubt({ ROTATION: rotation }, db, grp, time) {
  const since = new Date(time.getTime() - days(rotation, "hourly") * DAY).toISOString();
  const found = await db
    .prepare(
      `SELECT 1 FROM findings WHERE closed_at IS NULL
       AND (kind IN (SELECT value FROM json_each(?1)) OR (kind IN (SELECT value FROM json_each(?3)) AND found_at > ?4))
       AND (instr(key, 'manifests/' || ?2 || '/') = 1 OR key IN (SELECT key FROM objects WHERE grp = ?2)) LIMIT 1`,
    )
    .bind(JSON.stringify(DOUBTS), grp, JSON.stringify(PASSING_DOUBTS), since)
    .first();
  return found !== null;
}

/** @typedef {{ sql: string, values: unknown[] }} Condition on `objects`, its parameters numbered from ?2; ?1 is the group */

/** @type {Condition} */
const NOTHING = { sql: "0", values: [] };

/**
 * What nothing needs any more at `time`.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {string} grp
 * @param {Date} time
 * @returns {Promise<Condition>}
 */
async function goners({ ROTATION: rotation, GROUPS }, db, grp, time) {
  const runs = await runsOf(db, grp);
  const { kept, anchor } = GROUPS.includes(grp)
    ? needed(runs, await doubtfulRuns(db, grp), rotation, time)
    : neededOfRemoved(runs, rotation, time);
  const limits = ["hourly", ...PROMOTED].map((name) =>
    new Date(time.getTime() - days(rotation, name) * DAY).toISOString(),
  );
  return {
    sql: GONERS,
    // Nothing lies before an anchor that there is not, or whose place nobody knows.
    values: [JSON.stringify([...kept]), anchor?.history ?? null, anchor?.walFirst ?? null, ...limits],
  };
}

const GONERS = `
  objects.grp = ?1 AND CASE class
    WHEN 'hourly' THEN CASE kind
      -- Objects are listed before their manifest is known: until then nobody can say who needs them.
      WHEN 'backup' THEN run NOT IN (SELECT value FROM json_each(?2))
        AND EXISTS (SELECT 1 FROM manifests WHERE manifests.grp = ?1 AND manifests.run = objects.run)
      ELSE stored_at <= ?5 AND (history < ?3 OR (history = ?3 AND segment < ?4)) AND NOT EXISTS (
        SELECT 1 FROM manifests, json_each(?2) AS kept
        WHERE manifests.grp = ?1 AND manifests.run = kept.value AND manifests.history = objects.history
          AND (objects.segment BETWEEN wal_first AND wal_last || '.'
            OR (objects.segment LIKE '%~' AND substr(objects.segment, 1, 8) <= substr(wal_first, 1, 8))))
    END
    WHEN 'daily' THEN stored_at <= ?6
    WHEN 'monthly' THEN stored_at <= ?7
    WHEN 'yearly' THEN stored_at <= ?8
    WHEN 'manifests' THEN NOT EXISTS (
      SELECT 1 FROM objects AS listed
      WHERE listed.grp = ?1 AND listed.manifest = objects.run AND listed.class <> 'manifests')
    ELSE 0
  END AND NOT EXISTS (
    SELECT 1 FROM objects AS promoted WHERE promoted.source = objects.key AND NOT EXISTS (
      SELECT 1 FROM object_copies
      WHERE object_copies.key = promoted.key AND copy = '${PRIMARY}' AND verified_at IS NOT NULL))`;

/**
 * @param {D1Database} db
 * @param {string} grp
 * @returns {Promise<Run[]>}
 */
async function runsOf(db, grp) {
  const { results } = await db
    .prepare(
      `SELECT run, kind, finished_at AS finishedAt, depends_on AS dependsOn, history, wal_first AS walFirst,
         wal_last AS walLast
       FROM manifests WHERE grp = ?1
         AND EXISTS (SELECT 1 FROM objects WHERE objects.grp = ?1 AND class = 'hourly' AND objects.run = manifests.run
           AND objects.kind = 'backup')`,
    )
    .bind(grp)
    .run();
  return results.map((row) => /** @type {Run} */ ({ ...row, dependsOn: JSON.parse(String(row.dependsOn)) }));
}

/**
 * @param {D1Database} db
 * @param {string} grp
 * @returns {Promise<Set<string>>}
 */
async function doubtfulRuns(db, grp) {
  const { results } = await db
    .prepare(
      `SELECT DISTINCT manifests.run FROM findings JOIN objects ON objects.key = findings.key
         JOIN manifests ON manifests.grp = objects.grp
       WHERE findings.closed_at IS NULL AND findings.kind IN ('lost', 'stranded') AND objects.grp = ? AND class = 'hourly' AND (
         (objects.kind = 'backup' AND objects.run = manifests.run)
         OR (objects.kind = 'wal' AND objects.history = manifests.history AND segment BETWEEN wal_first AND wal_last))`,
    )
    .bind(grp)
    .run();
  return new Set(results.map(({ run }) => String(run)));
}

/**
 * Leaves be what was planned and is needed after all.
 *
 * @param {D1Database} db
 * @param {string} grp
 * @param {Condition} then
 * @param {Date} time
 * @returns {Promise<number>} objects
 */
async function unplan(db, grp, { sql, values }, time) {
  const which = `objects.grp = ?1 AND due_at IS NOT NULL AND NOT COALESCE((${sql}), 0)`;
  const at = numbered(values.length);
  const [, changed] = await db.batch([
    db.prepare(audit("kept", which, "it is needed after all", at)).bind(grp, ...values, time.toISOString()),
    db.prepare(`UPDATE objects SET due_at = NULL WHERE ${which}`).bind(grp, ...values),
  ]);
  return changed?.meta.changes ?? 0;
}

/**
 * @param {D1Database} db
 * @param {string} grp
 * @param {Condition} then
 * @param {Date} time
 * @param {Date} tomorrow
 * @returns {Promise<number>} objects
 */
async function plan(db, grp, { sql, values }, time, tomorrow) {
  const which = `due_at IS NULL AND ${sql}`;
  const at = numbered(values.length);
  const [, changed] = await db.batch([
    db.prepare(audit("planned", which, "the rotation no longer keeps it", at)).bind(grp, ...values, time.toISOString()),
    db.prepare(`UPDATE objects SET due_at = ${at} WHERE ${which}`).bind(grp, ...values, tomorrow.toISOString()),
  ]);
  return changed?.meta.changes ?? 0;
}

/**
 * @param {number} count of values, which follow the group
 * @returns {string} the parameter behind them
 */
function numbered(count) {
  return `?${count + 2}`;
}

/**
 * @param {"planned" | "kept"} action
 * @param {string} which objects
 * @param {string} reason
 * @param {string} at parameter
 * @returns {string}
 */
function audit(action, which, reason, at) {
  return `INSERT INTO audit (at, action, grp, class, run, kind, objects, bytes, reason)
    SELECT ${at}, '${action}', objects.grp, class, run, kind, COUNT(*), SUM(size), '${reason}'
    FROM objects WHERE ${which} GROUP BY objects.grp, class, run, kind`;
}

/**
 * Deletes from the primary first: what is left of an object when this ends in the midst of it is never copied back.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {string} grp
 * @param {Condition} now
 * @param {Date} time
 * @param {number} end milliseconds
 * @returns {Promise<{ deleted: number, refused: number }>}
 */
async function carryOut(env, db, grp, { sql, values }, time, end) {
  const total = { deleted: 0, refused: 0 };
  const at = numbered(values.length);
  const which = `SELECT key, due_at FROM objects WHERE due_at <= ${at} AND key > ?${values.length + 3} AND ${sql} ORDER BY key LIMIT ${BATCH}`;
  for (let after = ""; Date.now() < end; ) {
    const { results } = await db
      .prepare(which)
      .bind(grp, ...values, time.toISOString(), after)
      .run();
    const due = results.map(({ key, due_at }) => ({ key: String(key), dueAt: String(due_at) }));
    if (due.length === 0) break;
    after = due.at(-1)?.key ?? "";
    const refused = await removeEverywhere(
      storesOf(env),
      due.map(({ key }) => key),
    );
    const gone = JSON.stringify(due.map(({ key }) => key).filter((key) => !refused.has(key)));
    await db.batch([
      db.prepare(AUDIT_DELETED).bind(time.toISOString(), gone),
      db.prepare(FORGET_FINDINGS).bind(time.toISOString(), gone),
      db.prepare(FORGET_MANIFESTS).bind(gone),
      db.prepare(FORGET_COPIES).bind(gone),
      db.prepare(FORGET_OBJECTS).bind(gone),
      ...overdue(db, due, refused, time),
    ]);
    total.deleted += due.length - refused.size;
    total.refused += refused.size;
  }
  return total;
}

const AUDIT_DELETED = `
  INSERT INTO audit (at, action, grp, class, run, kind, objects, bytes, reason)
  SELECT ?1, 'deleted', grp, class, run, kind, COUNT(*), SUM(size), 'the rotation no longer keeps it'
  FROM objects WHERE key IN (SELECT value FROM json_each(?2)) GROUP BY grp, class, run, kind`;

const FORGET_FINDINGS = `
  UPDATE findings SET closed_at = ?1, outcome = 'aged out'
  WHERE closed_at IS NULL AND key IN (SELECT value FROM json_each(?2))`;

const FORGET_MANIFESTS = `
  DELETE FROM manifests WHERE 'manifests/' || grp || '/' || run || '.json' IN (SELECT value FROM json_each(?1))`;

const FORGET_COPIES = "DELETE FROM object_copies WHERE key IN (SELECT value FROM json_each(?1))";

const FORGET_OBJECTS = "DELETE FROM objects WHERE key IN (SELECT value FROM json_each(?1))";

/**
 * @param {Store[]} stores the primary first
 * @param {string[]} keys
 * @returns {Promise<Map<string, string>>} those that are still somewhere, and where
 */
async function removeEverywhere(stores, keys) {
  /** @type {Map<string, string>} */
  const refused = new Map();
  for (const store of stores) {
    const left = keys.filter((key) => !refused.has(key));
    if (left.length === 0) break;
    const still = await store.remove(left).catch((error) => {
      logFailure("objects not deleted", { store: store.name, error: failureName(error) });
      return left;
    });
    for (const key of still) refused.set(key, store.name);
  }
  return refused;
}

/**
 * @param {D1Database} db
 * @param {{ key: string, dueAt: string }[]} due
 * @param {Map<string, string>} refused
 * @param {Date} time
 * @returns {D1PreparedStatement[]}
 */
function overdue(db, due, refused, time) {
  const since = new Date(time.getTime() - PATIENCE_DAYS * DAY).toISOString();
  return due.flatMap(({ key, dueAt }) => {
    const store = refused.get(key);
    if (store === undefined || dueAt > since) return [];
    const detail = `it was to go at ${dueAt} and could not be deleted since; a lock may hold it: see the bucket's rules`;
    return [open(db, { kind: "kept-on", store, key, detail }, time)];
  });
}
