/** What is to exist: read from signed manifests as they come, and remembered in D1. */

import { hex, utf8 } from "../lib/bytes.js";
import { failureName, logFailure } from "../lib/log.js";
import { enrol } from "./enrolment.js";
import { close, open } from "./findings.js";
import { r2Pages } from "./listing.js";
import { importKeys, LIMIT_BYTES, ManifestRefused, readManifest } from "./manifest.js";
import { begun, DAY, days, placeOfWal, timeOf } from "./rotation.js";
import { Refused, storesOf } from "./stores.js";

/** @import { Manifest } from "./manifest.js" */
/** @import { Rotation } from "./rotation.js" */
/** @import { Env as Stores, Store } from "./stores.js" */

/** @typedef {Stores & { DB: D1Database, GROUPS: string[], MANIFEST_KEYS: string[] }} Env */

/** D1 takes 2 MB in one value, and a Worker's memory a few of them at once. */
const BYTES_A_STATEMENT = 1_000_000;

/** A machine's clock may be ahead of this one by so much. */
const CLOCK_MILLISECONDS = 3_600_000;

const MANIFEST = /^manifests\/([a-z0-9-]+)\/(\d{8}-\d{6}F(?:_\d{8}-\d{6}[DI])?)\.json$/;

/** @typedef {{ read: number, refused: number, failed: number }} Reading */

/** @typedef {{ key: string, size: number, sha256: string }} Envelope */

/**
 * @param {string} key
 * @returns {{ group: string, run: string } | null} whose manifest lies there
 */
export function manifestAt(key) {
  const [, group, run] = MANIFEST.exec(key) ?? [];
  return group === undefined || run === undefined ? null : { group, run };
}

/**
 * Reads every manifest that is not known yet, each group's in the order in which its runs began.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {Date} time
 * @param {string[]} [groups] all by default
 * @returns {Promise<Reading>}
 */
export async function readManifests(env, db, time, groups) {
  const keys = await importKeys(env.MANIFEST_KEYS);
  await enrol(db, env.COPIES, time);
  const total = { read: 0, refused: 0, failed: 0 };
  for (const group of groups ?? (await groupsOf(env))) {
    try {
      const unknown = (await unknownRuns(env, db, group)).map((run) => `manifests/${group}/${run}.json`);
      await db.prepare(CLOSE_GONE).bind(time.toISOString(), `manifests/${group}/`, JSON.stringify(unknown)).run();
      for (const key of unknown) {
        const doubt = await readOne(env, db, keys, key, time);
        total[doubt === null ? "read" : "refused"] += 1;
        if (doubt !== null) await open(db, { ...doubt, store: "primary", key }, time).run();
      }
      await close(db, { kinds: ["unread"], key: `manifests/${group}/` }, "read", time).run();
    } catch (error) {
      // One group's trouble is not the others'.
      logFailure("manifests not read", { group, error: failureName(error) });
      total.failed += 1;
      const detail = `its manifests could not be read (${failureName(error)})`;
      await open(db, { kind: "unread", store: "primary", key: `manifests/${group}/`, detail }, time).run();
    }
  }
  return total;
}

/** Whoever took away a manifest that was not believed has answered what was said of it. */
const CLOSE_GONE = `
  UPDATE findings SET closed_at = ?1, outcome = 'gone'
  WHERE closed_at IS NULL AND kind IN ('refused', 'clock') AND instr(key, ?2) = 1
    AND key NOT IN (SELECT value FROM json_each(?3))`;

/**
 * @param {Env} env
 * @returns {Promise<string[]>} those that are backed up, and those that once were
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
 * @returns {Promise<string[]>} oldest first
 */
async function unknownRuns(env, db, group) {
  const { results } = await db.prepare("SELECT run FROM manifests WHERE grp = ?").bind(group).run();
  const known = new Set(results.map(({ run }) => run));
  const prefix = `manifests/${group}/`;
  /** @type {string[]} */
  const found = [];
  for await (const { objects } of r2Pages(env.COPY_PRIMARY, { prefix, delimiter: "/" })) {
    found.push(...objects.map(({ key }) => manifestAt(key)?.run ?? ""));
  }
  return found.filter((run) => run !== "" && !known.has(run)).sort((a, b) => begun(a).localeCompare(begun(b)));
}

/**
 * Reads one manifest, from whichever store has one that is believed.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {ReadonlyMap<string, CryptoKey>} keys
 * @param {string} key
 * @param {Date} time
 * @returns {Promise<{ kind: "refused" | "clock", detail: string } | null>} null when it is known now, otherwise why not
 */
export async function readOne(env, db, keys, key, time) {
  /** @type {ManifestRefused | undefined} */
  let refusal;
  for (const store of storesOf(env)) {
    try {
      const bytes = await readBytes(store, key);
      if (bytes === null) continue;
      const manifest = await readManifest(bytes, keys, key);
      if (Date.parse(manifest.finishedAt) > time.getTime() + CLOCK_MILLISECONDS) {
        const detail = `it ends at ${manifest.finishedAt}, in the future, and is not counted until then. Check the clocks of the group's machines (chronyc tracking)`;
        return { kind: "clock", detail };
      }
      const sha256 = hex(await crypto.subtle.digest("SHA-256", bytes));
      await record(db, manifest, { key, size: bytes.length, sha256 }, env.ROTATION, time);
      return null;
    } catch (error) {
      // Another copy may be believed; where a store fails, so that nobody knows, the next look decides.
      if (!(error instanceof ManifestRefused)) throw error;
      refusal ??= error;
    }
  }
  const why = refusal === undefined ? "it is not there any more" : `${refusal.reason}: ${refusal.message}`;
  const detail = `${why}. Nothing that it lists counts as a backup; find out who wrote it, and take it away`;
  return { kind: "refused", detail };
}

/**
 * @param {Store} store
 * @param {string} key
 * @returns {Promise<Uint8Array | null>}
 */
async function readBytes(store, key) {
  const content = await store.get(key);
  if (content === null) return null;
  if (content.size > LIMIT_BYTES) {
    await content.body.cancel();
    throw new ManifestRefused("envelope", `it has more than ${LIMIT_BYTES} bytes`);
  }
  const bytes = new Uint8Array(await new Response(content.body).arrayBuffer());
  if (bytes.length !== content.size) throw new Refused("GET", 200);
  return bytes;
}

/**
 * @param {D1Database} db
 * @param {Manifest} manifest
 * @param {Envelope} envelope as it is stored
 * @param {Rotation} rotation
 * @param {Date} time
 */
async function record(db, manifest, envelope, rotation, time) {
  const { group, run } = manifest;
  const at = time.toISOString();
  /** @type {(Envelope & { kind: string, class: string, storedAt: string, history?: number, segment?: string })[]} */
  const rows = [
    ...manifest.objects.map((object) => ({
      ...object,
      class: object.kind === "index" ? "manifests" : "hourly",
      storedAt: new Date(object.storedAt).toISOString(),
      ...(object.kind === "wal" ? placeOfWal(object.key) : null),
    })),
    { ...envelope, kind: "manifest", class: "manifests", storedAt: new Date(manifest.finishedAt).toISOString() },
  ];
  const hourly = new Date(time.getTime() - days(rotation, "hourly") * DAY).toISOString();
  // What is entered without its manifest, because this ends in the midst of it, is entered again with it.
  for (const json of chunks(rows, BYTES_A_STATEMENT)) {
    await db.batch([
      db.prepare(INSERT_OBJECTS).bind(json, group, run, at, hourly),
      db.prepare(INSERT_COPIES).bind(json, at),
      db.prepare(OPEN_CONFLICTS).bind(json, at),
      db.prepare(CLOSE_STRAYS).bind(json, at),
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
    db.prepare(PLACE_MANIFESTS).bind(group),
    ...(await chainFindings(db, manifest, envelope.key, rotation, time)),
    close(db, { kinds: ["refused", "clock"], key: envelope.key }, "resolved", time),
  ]);
}

/**
 * A listed object stays as it was listed first; it is looked at as soon as possible. What is older than its class when it is
 * listed, because this database was made anew, may be long gone: age-out says first whether anything needs it.
 */
const INSERT_OBJECTS = `
  INSERT OR IGNORE INTO objects
    (key, grp, class, run, manifest, kind, size, sha256, stored_at, history, segment, listed_at, check_after, due_at)
  SELECT value->>'key', ?2, value->>'class', ?3, ?3, value->>'kind', value->>'size', value->>'sha256',
    value->>'storedAt', value->>'history', value->>'segment', ?4, ?4,
    CASE WHEN value->>'class' = 'hourly' AND value->>'storedAt' <= ?5 THEN ?4 END
  FROM json_each(?1)`;

/** Also for the object that was listed before by a manifest that was not read to its end. */
const INSERT_COPIES = `
  INSERT OR IGNORE INTO object_copies (key, copy, since)
  SELECT value->>'key', copies.name, ?2 FROM json_each(?1), copies WHERE removed_at IS NULL`;

const OPEN_CONFLICTS = `
  INSERT INTO findings (kind, store, key, detail, found_at, seen_at)
  SELECT 'conflict', 'primary', objects.key,
    'two signed manifests name different bytes for it; the first one counts. Find out which machine overwrote it', ?2, ?2
  FROM json_each(?1) JOIN objects ON objects.key = value->>'key'
  WHERE objects.sha256 <> value->>'sha256'
  ON CONFLICT DO NOTHING`;

const CLOSE_STRAYS = `
  UPDATE findings SET closed_at = ?2, outcome = 'listed'
  WHERE closed_at IS NULL AND kind IN ('extra', 'unlisted') AND key IN (SELECT value->>'key' FROM json_each(?1))`;

const INSERT_MANIFEST = `
  INSERT INTO manifests
    (grp, run, kind, started_at, finished_at, sha256, previous, depends_on, wal_first, wal_last, read_at)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING`;

/**
 * Runs that follow each other closely leave the first segment to the manifest before, or even to the next. A database that
 * was made anew begins its segments anew: one of an older history than the run's own is another's.
 */
const PLACE_MANIFESTS = `
  UPDATE manifests SET history = (
    SELECT MAX(history) FROM objects WHERE grp = ?1 AND class = 'hourly' AND segment = wal_first
      AND history >= COALESCE(
        (SELECT MAX(own.history) FROM objects AS own WHERE own.grp = ?1 AND own.manifest = manifests.run), 0))
  WHERE grp = ?1 AND history IS NULL`;

/**
 * @param {D1Database} db
 * @param {Manifest} manifest
 * @param {string} key
 * @param {Rotation} rotation
 * @param {Date} time
 * @returns {Promise<D1PreparedStatement[]>} what to say of the one before it, and of a gap that this one fills
 */
async function chainFindings(db, { group, run, previous }, key, rotation, time) {
  const healed = db
    .prepare(
      `UPDATE findings SET closed_at = ?1, outcome = 'resolved' WHERE closed_at IS NULL AND kind = 'chain' AND key IN (
         SELECT 'manifests/' || grp || '/' || run || '.json' FROM manifests WHERE grp = ?2 AND previous = ?3)`,
    )
    .bind(time.toISOString(), group, run);
  if (previous === null) return [healed];
  const before = "SELECT sha256 FROM manifests WHERE grp = ? AND run = ?";
  const known = await db.prepare(before).bind(group, previous.run).first("sha256");
  // Before a group's first one there was none, and old ones age out: gaps are left when this database is made anew.
  const isFirst = (await db.prepare("SELECT 1 FROM manifests WHERE grp = ? LIMIT 1").bind(group).first()) === null;
  const isOld = timeOf(previous.run).getTime() + (days(rotation, "hourly") + 1) * DAY <= time.getTime();
  const gone = known === null && (isFirst || isOld);
  if (gone || known === previous.sha256) return [healed];
  const detail =
    known === null
      ? `the manifest before it, ${previous.run}, is not there. Bring it back from a copy`
      : `it names another manifest before it (${previous.run}) than was read. Find out who changed that one`;
  return [healed, open(db, { kind: "chain", store: "primary", key, detail }, time)];
}

/**
 * @param {readonly object[]} rows
 * @param {number} size
 * @returns {string[]} JSON arrays of up to so many bytes each
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
