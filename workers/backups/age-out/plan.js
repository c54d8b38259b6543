/** Plans and carries out deletions, group by group (policy: rotation.js). Every decision is recorded in the audit log. */

import { failureName, logFailure } from "../../lib/log.js";
import { open } from "../findings.js";
import { DAY, daysKept, neededRuns, neededRunsOfRemovedGroup, PROMOTED } from "../rotation.js";
import { PRIMARY } from "../stores/store.js";
import { storesOf } from "../stores/stores.js";

/** @import { Run } from "../rotation.js" */
/** @import { Result } from "../runs.js" */
/** @import { Store } from "../stores/store.js" */
/** @import { Env as Stores } from "../stores/stores.js" */

/** @typedef {Stores & { DB: D1Database, GROUPS: string[] }} Env `GROUPS`: names of the groups that are backed up */

/** Objects per call: the limit of R2 and S3. */
const BATCH = 1_000;

/** Time for deletions in one invocation. The next invocation, an hour later, continues. */
const BUDGET_MILLISECONDS = 600_000;

/**
 * Days after its planned deletion until an object that cannot be deleted becomes a finding. Until then a lock may hold it: a lock
 * starts when the copy is written, and a repaired copy was written later than the original.
 */
const OVERDUE_DAYS = 10;

/** Findings that make it uncertain which objects a group needs. While one is open, nothing of the group is deleted. */
const BLOCKING_KINDS = ["refused", "clock", "unread"];

/**
 * Findings that block deletions for the hourly class's retention only. They may be impossible to repair, and after that time the
 * objects that they concern have expired anyway.
 */
const TEMPORARILY_BLOCKING_KINDS = ["chain", "conflict"];

/**
 * Runs age-out for every group that has manifests.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {Date} time
 * @returns {Promise<Result>}
 * @throws {StaleCatalogue}
 */
export async function ageOut(env, db, time) {
  const total = { planned: 0, deleted: 0, kept: 0, refused: 0, failed: 0, doubtful: /** @type {string[]} */ ([]) };
  if (!(await isFresh(db, time))) throw new StaleCatalogue();
  const groups = await db.prepare("SELECT DISTINCT grp FROM manifests").run();
  const end = Date.now() + BUDGET_MILLISECONDS;
  for (const grp of groups.results.map((row) => String(row.grp))) {
    try {
      if (await isBlocked(env, db, grp, time)) {
        total.doubtful.push(grp);
        total.kept += await cancelPlanned(db, grp, NONE, time);
        continue;
      }
      const tomorrow = new Date(time.getTime() + DAY);
      const deletableNow = await deletable(env, db, grp, time);
      const deletableTomorrow = await deletable(env, db, grp, tomorrow);
      total.kept += await cancelPlanned(db, grp, deletableTomorrow, time);
      const { deleted, refused } = await deleteDue(env, db, grp, deletableNow, time, end);
      total.deleted += deleted;
      total.refused += refused;
      // After the deletion, so that it includes the manifests whose last object was just deleted.
      total.planned += await plan(db, grp, deletableTomorrow, time, tomorrow);
    } catch (error) {
      // A failure in one group must not block the other groups.
      logFailure("group not aged out", { group: grp, error: failureName(error) });
      total.failed += 1;
    }
  }
  return { outcome: total.failed > 0 || total.doubtful.length > 0 ? "alarm" : "ok", detail: total };
}

/** Verification has not read manifests for a day, so the catalogue may not show which objects are needed. */
class StaleCatalogue extends Error {
  name = "StaleCatalogue";
}

/**
 * @param {D1Database} db
 * @param {Date} time
 * @returns {Promise<boolean>} whether verification, which reads manifests, succeeded within the last day
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
 * @returns {Promise<boolean>} whether an open finding forbids deletions in the group
 */
async function isBlocked({ ROTATION: rotation }, db, grp, time) {
  const since = new Date(time.getTime() - daysKept(rotation, "hourly") * DAY).toISOString();
  const found = await db
    .prepare(
      `SELECT 1 FROM findings WHERE closed_at IS NULL
       AND (kind IN (SELECT value FROM json_each(?1)) OR (kind IN (SELECT value FROM json_each(?3)) AND found_at > ?4))
       AND (instr(key, 'manifests/' || ?2 || '/') = 1 OR key IN (SELECT key FROM objects WHERE grp = ?2)) LIMIT 1`,
    )
    .bind(JSON.stringify(BLOCKING_KINDS), grp, JSON.stringify(TEMPORARILY_BLOCKING_KINDS), since)
    .first();
  return found !== null;
}

/** @typedef {{ sql: string, values: unknown[] }} Condition on `objects`: ?1 is the group, `values` are ?2 and following */

/** @type {Condition} */
const NONE = { sql: "0", values: [] };

/**
 * Returns the condition for the objects that are no longer needed at `time`.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {string} grp
 * @param {Date} time
 * @returns {Promise<Condition>}
 */
async function deletable({ ROTATION: rotation, GROUPS }, db, grp, time) {
  const runs = await runsOf(db, grp);
  const { kept, anchor } = GROUPS.includes(grp)
    ? neededRuns(runs, await doubtfulRuns(db, grp), rotation, time)
    : neededRunsOfRemovedGroup(runs, rotation, time);
  const limits = ["hourly", ...PROMOTED].map((name) =>
    new Date(time.getTime() - daysKept(rotation, name) * DAY).toISOString(),
  );
  return {
    sql: DELETABLE,
    // The anchor (rotation.js) is the backup at the start of the point-in-time window: WAL before it may be deleted. While it or
    // its history is unknown, these values are null; a comparison with null is never true, so no WAL is deleted.
    values: [JSON.stringify([...kept]), anchor?.history ?? null, anchor?.walFirst ?? null, ...limits],
  };
}

/**
 * In the hourly class: objects of backups that are no longer kept; and WAL that has expired, is older than the point-in-time
 * window, and is not needed by a kept backup. In the other classes: objects that have expired. A manifest: if none of the objects
 * that it lists is left, and no promoted backup is restored to a point that it lists. An object is kept while an object promoted
 * from it is not verified in the primary yet, and WAL while a promoted backup may still get it: it waits for its restore point.
 *
 * The column `segment` sorts in the order of WAL (rotation.js): a file that belongs to a segment has the segment's name and `.`,
 * and a timeline's history file has a position with `~` after all segments of the timeline. A kept backup also needs the history
 * files of its own and of earlier timelines.
 */
const DELETABLE = `
  objects.grp = ?1 AND CASE class
    WHEN 'hourly' THEN CASE kind
      -- Objects are inserted before their manifest. Until it is there, the run cannot be in the list of kept runs: delete nothing.
      WHEN 'backup' THEN run NOT IN (SELECT value FROM json_each(?2))
        AND EXISTS (SELECT 1 FROM manifests WHERE manifests.grp = ?1 AND manifests.run = objects.run)
      ELSE stored_at <= ?5 AND (history < ?3 OR (history = ?3 AND segment < ?4)) AND NOT EXISTS (
        SELECT 1 FROM manifests, json_each(?2) AS kept
        WHERE manifests.grp = ?1 AND manifests.run = kept.value AND manifests.history = objects.history
          AND (objects.segment BETWEEN wal_first AND wal_last || '.'
            OR (objects.segment LIKE '%~' AND substr(objects.segment, 1, 8) <= substr(wal_first, 1, 8))))
        AND NOT EXISTS (
          SELECT 1 FROM promotions JOIN manifests USING (grp, run)
          WHERE promotions.grp = ?1 AND settled_at IS NULL AND manifests.history = objects.history
            AND objects.segment >= wal_first)
    END
    WHEN 'daily' THEN stored_at <= ?6
    WHEN 'monthly' THEN stored_at <= ?7
    WHEN 'yearly' THEN stored_at <= ?8
    WHEN 'manifests' THEN NOT EXISTS (
      SELECT 1 FROM objects AS listed
      WHERE listed.grp = ?1 AND listed.manifest = objects.run AND listed.class <> 'manifests')
      AND NOT EXISTS (
        SELECT 1 FROM points JOIN promotions ON point = name JOIN objects AS restored
          ON restored.grp = promotions.grp AND restored.class = promotions.class AND restored.run = promotions.run
        WHERE points.grp = ?1 AND points.run = objects.run)
    ELSE 0
  END AND NOT EXISTS (
    SELECT 1 FROM objects AS promoted WHERE promoted.source = objects.key AND NOT EXISTS (
      SELECT 1 FROM object_copies
      WHERE object_copies.key = promoted.key AND copy = '${PRIMARY}' AND verified_at IS NOT NULL))`;

/**
 * @param {D1Database} db
 * @param {string} grp
 * @returns {Promise<Run[]>} the runs in the hourly class
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
 * @returns {Promise<Set<string>>} labels of the runs that lost an object or WAL which they need
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
 * Cancels the planned deletion of objects that are needed again.
 *
 * @param {D1Database} db
 * @param {string} grp
 * @param {Condition} deletable objects whose deletion stays planned
 * @param {Date} time
 * @returns {Promise<number>} number of objects
 */
async function cancelPlanned(db, grp, { sql, values }, time) {
  const which = `objects.grp = ?1 AND due_at IS NOT NULL AND NOT COALESCE((${sql}), 0)`;
  const at = parameterAfter(values.length);
  const [, changed] = await db.batch([
    db.prepare(audit("kept", which, "it is needed again", at)).bind(grp, ...values, time.toISOString()),
    db.prepare(`UPDATE objects SET due_at = NULL WHERE ${which}`).bind(grp, ...values),
  ]);
  return changed?.meta.changes ?? 0;
}

/**
 * Plans the deletion of objects for the next day.
 *
 * @param {D1Database} db
 * @param {string} grp
 * @param {Condition} deletable
 * @param {Date} time
 * @param {Date} tomorrow
 * @returns {Promise<number>} number of objects
 */
async function plan(db, grp, { sql, values }, time, tomorrow) {
  const which = `due_at IS NULL AND ${sql}`;
  const at = parameterAfter(values.length);
  const [, changed] = await db.batch([
    db.prepare(audit("planned", which, "the rotation no longer keeps it", at)).bind(grp, ...values, time.toISOString()),
    db.prepare(`UPDATE objects SET due_at = ${at} WHERE ${which}`).bind(grp, ...values, tomorrow.toISOString()),
  ]);
  return changed?.meta.changes ?? 0;
}

/**
 * @param {number} count of a condition's values
 * @returns {string} placeholder of the next parameter, such as `?9`: the group is ?1, and the values follow it
 */
function parameterAfter(count) {
  return `?${count + 2}`;
}

/**
 * @param {"planned" | "kept"} action
 * @param {string} which SQL condition on `objects`
 * @param {string} reason
 * @param {string} at parameter that holds the time
 * @returns {string} the SQL statement that records the action
 */
function audit(action, which, reason, at) {
  return `INSERT INTO audit (at, action, grp, class, run, kind, objects, bytes, reason)
    SELECT ${at}, '${action}', objects.grp, class, run, kind, COUNT(*), SUM(size), '${reason}'
    FROM objects WHERE ${which} GROUP BY objects.grp, class, run, kind`;
}

/**
 * Deletes the objects whose planned time has come, from the primary first: if the invocation ends early, replication does not
 * restore them from the copies.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {string} grp
 * @param {Condition} deletable
 * @param {Date} time
 * @param {number} end time at which to stop, in milliseconds since 1970
 * @returns {Promise<{ deleted: number, refused: number }>} number of objects: deleted everywhere, or still in a store
 */
async function deleteDue(env, db, grp, { sql, values }, time, end) {
  const total = { deleted: 0, refused: 0 };
  const at = parameterAfter(values.length);
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
    const deleted = JSON.stringify(due.map(({ key }) => key).filter((key) => !refused.has(key)));
    await db.batch([
      db.prepare(AUDIT_DELETED).bind(time.toISOString(), deleted),
      db.prepare(CLOSE_FINDINGS).bind(time.toISOString(), deleted),
      db.prepare(DELETE_MANIFESTS).bind(deleted),
      db.prepare(DELETE_PROMOTIONS).bind(deleted),
      db.prepare(DELETE_COPIES).bind(deleted),
      db.prepare(DELETE_OBJECTS).bind(deleted),
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

const CLOSE_FINDINGS = `
  UPDATE findings SET closed_at = ?1, outcome = 'aged out'
  WHERE closed_at IS NULL AND key IN (SELECT value FROM json_each(?2))`;

const DELETE_MANIFESTS = `
  DELETE FROM manifests WHERE 'manifests/' || grp || '/' || run || '.json' IN (SELECT value FROM json_each(?1))`;

const DELETE_PROMOTIONS = `
  DELETE FROM promotions WHERE 'manifests/' || grp || '/' || run || '.json' IN (SELECT value FROM json_each(?1))`;

const DELETE_COPIES = "DELETE FROM object_copies WHERE key IN (SELECT value FROM json_each(?1))";

const DELETE_OBJECTS = "DELETE FROM objects WHERE key IN (SELECT value FROM json_each(?1))";

/**
 * @param {Store[]} stores the primary first
 * @param {string[]} keys
 * @returns {Promise<Map<string, string>>} the objects that could not be deleted, each with the store that still has it
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
 * @returns {D1PreparedStatement[]} statements that open a finding for each object whose deletion is overdue by OVERDUE_DAYS
 */
function overdue(db, due, refused, time) {
  const since = new Date(time.getTime() - OVERDUE_DAYS * DAY).toISOString();
  return due.flatMap(({ key, dueAt }) => {
    const store = refused.get(key);
    if (store === undefined || dueAt > since) return [];
    const detail = `due for deletion since ${dueAt}, but the store does not delete it; check whether a lock rule of the bucket holds it`;
    return [open(db, { kind: "kept-on", store, key, detail }, time)];
  });
}
