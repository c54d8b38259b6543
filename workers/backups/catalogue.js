/** The catalogue: the objects that must exist, read from signed manifests and recorded in D1. */

import { hex, utf8 } from "../lib/bytes.js";
import { failureName, logFailure } from "../lib/log.js";
import { addCopies } from "./copy-list.js";
import { close, open } from "./findings.js";
import { r2Pages } from "./listing.js";
import { InvalidManifest, importKeys, LIMIT_BYTES, readManifest } from "./manifest.js";
import { recordPoints } from "./points/settle.js";
import { DAY, daysKept, startOf, startTimeOf, walPosition } from "./rotation.js";
import { StoreError } from "./stores/store.js";
import { storesOf } from "./stores/stores.js";

/** @import { Manifest } from "./manifest.js" */
/** @import { Rotation } from "./rotation.js" */
/** @import { Store } from "./stores/store.js" */
/** @import { Env as Stores } from "./stores/stores.js" */

/** @typedef {Stores & { DB: D1Database, GROUPS: string[], MANIFEST_KEYS: string[] }} Env */

/** Size of one JSON parameter. D1 accepts 2 MB in a value, and several of them must fit into a Cloudflare Worker's memory. */
const PARAMETER_BYTES = 1_000_000;

/** A machine's clock may be ahead of the Worker's clock by this much. */
const CLOCK_TOLERANCE_MILLISECONDS = 3_600_000;

const MANIFEST = /^manifests\/([a-z0-9-]+)\/(\d{8}-\d{6}F(?:_\d{8}-\d{6}[DI])?)\.json$/;

/** @typedef {{ read: number, refused: number, failed: number }} ReadCounts manifests read, manifests rejected, groups failed */

/** @typedef {{ key: string, size: number, sha256: string }} Envelope a manifest as an object in the store */

/**
 * @param {string} key
 * @returns {{ group: string, run: string } | null} the group and run of the manifest with this key; null for another key
 */
export function manifestAt(key) {
  const [, group, run] = MANIFEST.exec(key) ?? [];
  return group === undefined || run === undefined ? null : { group, run };
}

/**
 * Reads every manifest that is not in the catalogue yet, in the order in which the runs of each group started.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {Date} time
 * @param {string[]} [groups] all groups by default
 * @returns {Promise<ReadCounts>}
 */
export async function readManifests(env, db, time, groups) {
  const keys = await importKeys(env.MANIFEST_KEYS);
  await addCopies(db, env.COPIES, time);
  const total = { read: 0, refused: 0, failed: 0 };
  for (const group of groups ?? (await groupsOf(env))) {
    try {
      const unread = (await unreadRuns(env, db, group)).map((run) => `manifests/${group}/${run}.json`);
      await db.prepare(CLOSE_DELETED).bind(time.toISOString(), `manifests/${group}/`, JSON.stringify(unread)).run();
      for (const key of unread) {
        const problem = await recordManifest(env, db, keys, key, time);
        total[problem === null ? "read" : "refused"] += 1;
        if (problem !== null) await open(db, { ...problem, store: "primary", key }, time).run();
      }
      await close(db, { kinds: ["unread"], key: `manifests/${group}/` }, "read", time).run();
    } catch (error) {
      // A failure in one group must not block the other groups.
      logFailure("manifests not read", { group, error: failureName(error) });
      total.failed += 1;
      const detail = `the group's manifests could not be read (${failureName(error)})`;
      await open(db, { kind: "unread", store: "primary", key: `manifests/${group}/`, detail }, time).run();
    }
  }
  return total;
}

/** Closes the findings about rejected manifests that were deleted. */
const CLOSE_DELETED = `
  UPDATE findings SET closed_at = ?1, outcome = 'gone'
  WHERE closed_at IS NULL AND kind IN ('refused', 'clock') AND instr(key, ?2) = 1
    AND key NOT IN (SELECT value FROM json_each(?3))`;

/**
 * @param {Env} env
 * @returns {Promise<string[]>} the groups that are backed up, and former groups that have manifests
 */
async function groupsOf(env) {
  const groups = new Set(env.GROUPS);
  for await (const { delimitedPrefixes } of r2Pages(env.COPY_PRIMARY, { prefix: "manifests/", delimiter: "/" })) {
    for (const path of delimitedPrefixes) groups.add(path.split("/")[1] ?? "");
  }
  return [...groups];
}

/**
 * @param {Env} env
 * @param {D1Database} db
 * @param {string} group
 * @returns {Promise<string[]>} labels of the runs whose manifests are not in the catalogue, oldest first
 */
async function unreadRuns(env, db, group) {
  const { results } = await db.prepare("SELECT run FROM manifests WHERE grp = ?").bind(group).run();
  const known = new Set(results.map(({ run }) => run));
  const prefix = `manifests/${group}/`;
  /** @type {string[]} */
  const found = [];
  for await (const { objects } of r2Pages(env.COPY_PRIMARY, { prefix, delimiter: "/" })) {
    found.push(...objects.map(({ key }) => manifestAt(key)?.run ?? ""));
  }
  return found.filter((run) => run !== "" && !known.has(run)).sort((a, b) => startOf(a).localeCompare(startOf(b)));
}

/**
 * Reads one manifest from the first store that has a valid copy of it, and records it in the catalogue.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {ReadonlyMap<string, CryptoKey>} keys
 * @param {string} key
 * @param {Date} time
 * @returns {Promise<{ kind: "refused" | "clock", detail: string } | null>} null when it was recorded, otherwise the finding
 * @throws what a store throws: then the next invocation tries again
 */
export async function recordManifest(env, db, keys, key, time) {
  /** @type {InvalidManifest | undefined} */
  let refusal;
  for (const store of storesOf(env)) {
    try {
      const bytes = await readBytes(store, key);
      if (bytes === null) continue;
      const manifest = await readManifest(bytes, keys, key);
      if (Date.parse(manifest.finishedAt) > time.getTime() + CLOCK_TOLERANCE_MILLISECONDS) {
        const detail = `finishedAt is ${manifest.finishedAt}, in the future; the backup does not count until then. Check the clocks of the group's machines (chronyc tracking)`;
        return { kind: "clock", detail };
      }
      const sha256 = hex(await crypto.subtle.digest("SHA-256", bytes));
      await insertManifest(db, manifest, { key, size: bytes.length, sha256 }, env.ROTATION, time);
      return null;
    } catch (error) {
      // Another store may have a valid copy. If a store fails, the result is unknown.
      if (!(error instanceof InvalidManifest)) throw error;
      refusal ??= error;
    }
  }
  const why = refusal === undefined ? "the manifest was deleted" : `${refusal.reason}: ${refusal.message}`;
  const detail = `${why}. The objects in it do not count as backups. Find out who wrote the manifest, and delete it`;
  return { kind: "refused", detail };
}

/**
 * @param {Store} store
 * @param {string} key
 * @returns {Promise<Uint8Array | null>} null when the store does not have the object
 */
async function readBytes(store, key) {
  const content = await store.get(key);
  if (content === null) return null;
  if (content.size > LIMIT_BYTES) {
    await content.body.cancel();
    throw new InvalidManifest("envelope", `the manifest has more than ${LIMIT_BYTES} bytes`);
  }
  const bytes = new Uint8Array(await new Response(content.body).arrayBuffer());
  if (bytes.length !== content.size) throw new StoreError("GET", 200);
  return bytes;
}

/**
 * Adds a manifest and its objects to the catalogue.
 *
 * @param {D1Database} db
 * @param {Manifest} manifest
 * @param {Envelope} envelope
 * @param {Rotation} rotation
 * @param {Date} time
 */
async function insertManifest(db, manifest, envelope, rotation, time) {
  const { group, run } = manifest;
  const at = time.toISOString();
  /** @type {(Envelope & { kind: string, class: string, storedAt: string, history?: number, segment?: string })[]} */
  const rows = [
    ...manifest.objects.map((object) => ({
      ...object,
      class: object.kind === "index" ? "manifests" : "hourly",
      storedAt: new Date(object.storedAt).toISOString(),
      ...(object.kind === "wal" ? walPosition(object.key) : null),
    })),
    { ...envelope, kind: "manifest", class: "manifests", storedAt: new Date(manifest.finishedAt).toISOString() },
  ];
  const hourly = new Date(time.getTime() - daysKept(rotation, "hourly") * DAY).toISOString();
  // The manifest's own row is inserted last: if this invocation ends early, the next one inserts the objects again.
  for (const json of chunks(rows, PARAMETER_BYTES)) {
    await db.batch([
      db.prepare(INSERT_OBJECTS).bind(json, group, run, at, hourly),
      db.prepare(INSERT_COPIES).bind(json, at),
      db.prepare(OPEN_CONFLICTS).bind(json, at),
      db.prepare(CLOSE_UNLISTED).bind(json, at),
      db.prepare("DELETE FROM digests WHERE key IN (SELECT value->>'key' FROM json_each(?))").bind(json),
    ]);
  }
  await db.batch([
    db
      .prepare(INSERT_MANIFEST)
      .bind(
        group,
        run,
        manifest.kind,
        new Date(manifest.startedAt).toISOString(),
        new Date(manifest.finishedAt).toISOString(),
        envelope.sha256,
        manifest.previous?.run ?? null,
        JSON.stringify(manifest.dependsOn),
        manifest.wal.first,
        manifest.wal.last,
        at,
      ),
    db.prepare(SET_HISTORIES).bind(group),
    ...recordPoints(db, manifest),
    ...(await chainFindings(db, manifest, envelope.key, rotation, time)),
    close(db, { kinds: ["refused", "clock"], key: envelope.key }, "resolved", time),
  ]);
}

/**
 * If two manifests list an object, the first one counts. A new row is due for verification at once. An hourly object whose
 * retention is already over is inserted as due for deletion: after a loss of the database, old manifests list objects that were
 * deleted long ago, and these are not missing. Age-out removes that mark if the object is still needed.
 */
const INSERT_OBJECTS = `
  INSERT OR IGNORE INTO objects
    (key, grp, class, run, manifest, kind, size, sha256, stored_at, history, segment, listed_at, check_after, due_at)
  SELECT value->>'key', ?2, value->>'class', ?3, ?3, value->>'kind', value->>'size', value->>'sha256',
    value->>'storedAt', value->>'history', value->>'segment', ?4, ?4,
    CASE WHEN value->>'class' = 'hourly' AND value->>'storedAt' <= ?5 THEN ?4 END
  FROM json_each(?1)`;

/** Also inserts the copies of objects that exist already, because an earlier invocation ended early. */
const INSERT_COPIES = `
  INSERT OR IGNORE INTO object_copies (key, copy, since)
  SELECT value->>'key', copies.name, ?2 FROM json_each(?1), copies WHERE removed_at IS NULL`;

const OPEN_CONFLICTS = `
  INSERT INTO findings (kind, store, key, detail, found_at, seen_at)
  SELECT 'conflict', 'primary', objects.key,
    'two signed manifests list the object with different checksums; the first one counts. Find out which machine overwrote it', ?2, ?2
  FROM json_each(?1) JOIN objects ON objects.key = value->>'key'
  WHERE objects.sha256 <> value->>'sha256'
  ON CONFLICT DO NOTHING`;

const CLOSE_UNLISTED = `
  UPDATE findings SET closed_at = ?2, outcome = 'listed'
  WHERE closed_at IS NULL AND kind IN ('extra', 'unlisted') AND key IN (SELECT value->>'key' FROM json_each(?1))`;

const INSERT_MANIFEST = `
  INSERT INTO manifests
    (grp, run, kind, started_at, finished_at, sha256, previous, depends_on, wal_first, wal_last, read_at)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING`;

/**
 * Sets the history of each run: that of its first WAL segment. The segment may be listed by the manifest before, or by the next
 * one. A database that was rebuilt starts again with the same segment names in a new history, so a segment of an older
 * history than the run's own objects belongs to another database.
 */
const SET_HISTORIES = `
  UPDATE manifests SET history = (
    SELECT MAX(history) FROM objects WHERE grp = ?1 AND class = 'hourly' AND segment = wal_first
      AND history >= COALESCE(
        (SELECT MAX(own.history) FROM objects AS own WHERE own.grp = ?1 AND own.manifest = manifests.run), 0))
  WHERE grp = ?1 AND history IS NULL`;

/**
 * Checks the chain of manifests: each one names the manifest before it and that one's SHA-256.
 *
 * @param {D1Database} db
 * @param {Manifest} manifest
 * @param {string} key of the manifest
 * @param {Rotation} rotation
 * @param {Date} time
 * @returns {Promise<D1PreparedStatement[]>} open a finding if the manifest before this one is missing or has another SHA-256;
 *   close the finding of a gap that this manifest fills
 */
async function chainFindings(db, { group, run, previous }, key, rotation, time) {
  const closeFilledGap = db
    .prepare(
      `UPDATE findings SET closed_at = ?1, outcome = 'resolved' WHERE closed_at IS NULL AND kind = 'chain' AND key IN (
         SELECT 'manifests/' || grp || '/' || run || '.json' FROM manifests WHERE grp = ?2 AND previous = ?3)`,
    )
    .bind(time.toISOString(), group, run);
  if (previous === null) return [closeFilledGap];
  const before = "SELECT sha256 FROM manifests WHERE grp = ? AND run = ?";
  const known = await db.prepare(before).bind(group, previous.run).first("sha256");
  // After a loss of the database the catalogue is read anew, without the manifests that aged out: such gaps are expected.
  const isFirst = (await db.prepare("SELECT 1 FROM manifests WHERE grp = ? LIMIT 1").bind(group).first()) === null;
  const isOld = startTimeOf(previous.run).getTime() + (daysKept(rotation, "hourly") + 1) * DAY <= time.getTime();
  const agedOut = known === null && (isFirst || isOld);
  if (agedOut || known === previous.sha256) return [closeFilledGap];
  const detail =
    known === null
      ? `the manifest of the run before, ${previous.run}, is missing. Copy it back from another store`
      : `the manifest of the run before, ${previous.run}, has another checksum than this manifest names. Find out who changed it`;
  return [closeFilledGap, open(db, { kind: "chain", store: "primary", key, detail }, time)];
}

/**
 * @param {readonly object[]} rows
 * @param {number} size in bytes
 * @returns {string[]} JSON arrays of at most this size
 */
function chunks(rows, size) {
  /** @type {string[][]} */
  const parts = [[]];
  let left = size;
  for (const row of rows) {
    const json = JSON.stringify(row);
    left -= utf8(json).length + 1;
    if (left < 0) {
      parts.push([]);
      left = size - utf8(json).length;
    }
    parts.at(-1)?.push(json);
  }
  return parts.map((part) => `[${part.join()}]`);
}
