/** Brings one object of the primary to its copies. Listed bytes are proven on their way; a listed copy is never made worse. */

import { forEachConcurrently } from "../../lib/concurrency.js";
import { manifestAt, readManifests } from "../catalogue.js";
import { isCopy } from "../copies.js";
import { close, open } from "../findings.js";
import { copiesOf, LARGEST_PUT, PRIMARY, storesOf } from "../stores.js";
import { digestOf, inspect, NotThere, transfer } from "../transfer.js";

/** @import { Env } from "../catalogue.js" */
/** @import { Store } from "../stores.js" */
/** @import { Expected } from "../transfer.js" */

/** Each is two streams, and a Worker has six connections. */
const AT_ONCE = 3;

/**
 * Events come at least once and in any order, so what counts is the object as it is now.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {string} key
 * @param {Date} time
 * @returns {Promise<boolean>} whether anything was copied
 * @throws what the stores throw: then it is to be tried again
 */
export async function replicate(env, db, key, time) {
  const copied = await bring(env, db, key, time);
  await close(db, { kinds: ["undelivered"], key }, copied ? "copied" : "nothing to do", time).run();
  return copied;
}

/**
 * @param {Env} env
 * @param {D1Database} db
 * @param {string} key
 * @param {Date} time
 * @returns {Promise<boolean>}
 */
async function bring(env, db, key, time) {
  const source = await env.COPY_PRIMARY.head(key);
  if (source === null) return false;
  const manifest = manifestAt(key);
  let listed = await listing(db, key);
  if (listed === null && manifest !== null) {
    await readManifests(env, db, time, [manifest.group]);
    listed = await listing(db, key);
    // A manifest that is not believed is said to be so, and stays where it is.
    if (listed === null) return false;
  }
  if (source.size > LARGEST_PUT) {
    const detail = `it has ${source.size} bytes, more than can be written at once; copy it by hand, and keep such objects smaller`;
    await open(db, { kind: "oversize", store: "primary", key, detail }, time).run();
    return false;
  }
  const expected = listed;
  if (expected !== null) await checkSoon(db, source, time);
  return expected === null
    ? follow(env, db, source, time)
    : each(copiesOf(env), (store) => prove(env, db, store, key, expected, time));
}

/**
 * Whoever wrote it since it was last found right may have written something else.
 *
 * @param {D1Database} db
 * @param {R2Object} source
 * @param {Date} time
 */
async function checkSoon(db, { key, uploaded }, time) {
  await db
    .prepare(`UPDATE objects SET check_after = MIN(check_after, ?2)
       WHERE key = ?1 AND (SELECT verified_at FROM object_copies WHERE key = ?1 AND copy = ?4) < ?3`)
    .bind(key, time.toISOString(), uploaded.toISOString(), PRIMARY)
    .run();
}

/**
 * @param {D1Database} db
 * @param {string} key
 * @returns {Promise<Expected | null>} the bytes that a manifest names
 */
function listing(db, key) {
  return db.prepare("SELECT size, sha256 FROM objects WHERE key = ?").bind(key).first();
}

/**
 * @param {Env} env
 * @param {D1Database} db
 * @param {Store} store
 * @param {string} key
 * @param {Expected} listed
 * @param {Date} time
 * @returns {Promise<boolean>}
 */
async function prove(env, db, store, key, listed, time) {
  const copy = await store.head(key);
  if (copy !== null && copy.size === listed.size && copy.sha256 === listed.sha256) return false;
  const [primary] = storesOf(env);
  try {
    await transfer({ store: primary, key }, { store, key }, listed);
    return true;
  } catch (error) {
    // Either the way there failed, or these are not the listed bytes. The latter is verify's to repair.
    const state = error instanceof NotThere ? "damaged" : await inspect(primary, key, listed);
    if (state === "good") throw error;
    const detail = "its bytes are not those that its manifest names; it was not copied";
    await open(db, { kind: "damaged", store: "primary", key, detail }, time).run();
    await db.prepare("UPDATE objects SET check_after = ? WHERE key = ?").bind(time.toISOString(), key).run();
    return false;
  }
}

/**
 * What no manifest lists yet is what the primary has: the backup tool may write it anew until its run has ended.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {R2Object} source
 * @param {Date} time
 * @returns {Promise<boolean>}
 */
function follow(env, db, source, time) {
  const { key } = source;
  const [primary] = storesOf(env);
  /** @type {Promise<string> | undefined} */
  let sha256;
  /** @type {Promise<Expected | null> | undefined} */
  let unread;
  return each(copiesOf(env), async (store) => {
    const copy = await store.head(key);
    if (isCopy(source, copy)) return false;
    if (copy !== null) {
      // Before it is overwritten, no manifest may be left unread that would say which of the two is right.
      unread ??= readBefore(env, db, key, time);
      const listed = await unread;
      if (listed !== null) return prove(env, db, store, key, listed, time);
    }
    sha256 ??= sha256Of(env.COPY_PRIMARY, source);
    const expected = { size: source.size, sha256: await sha256 };
    await transfer({ store: primary, key, etag: source.etag }, { store, key }, expected);
    return true;
  });
}

/**
 * @param {Env} env
 * @param {D1Database} db
 * @param {string} key
 * @param {Date} time
 * @returns {Promise<Expected | null>}
 */
async function readBefore(env, db, key, time) {
  const { failed } = await readManifests(env, db, time, [groupOf(key)]);
  if (failed > 0) throw new Error("manifests not read");
  return listing(db, key);
}

/**
 * Each with a stream of its own: one that fails takes nothing from the others, and the next attempt finds it done.
 *
 * @param {Store[]} stores
 * @param {(store: Store) => Promise<boolean>} work
 * @returns {Promise<boolean>} whether any did something
 */
async function each(stores, work) {
  let [did, failures] = [false, /** @type {unknown[]} */ ([])];
  await forEachConcurrently(stores, AT_ONCE, async (store) => {
    try {
      if (await work(store)) did = true;
    } catch (error) {
      failures = [...failures, error];
    }
  });
  if (failures.length > 0) throw failures[0];
  return did;
}

/**
 * The store's own checksum where it has one; else (a multipart upload carries none) from the bytes.
 *
 * @param {R2Bucket} bucket
 * @param {R2Object} source
 * @returns {Promise<string>} hexadecimal
 */
async function sha256Of(bucket, source) {
  const known = source.checksums.toJSON().sha256;
  if (known !== undefined) return known;
  const object = await bucket.get(source.key, { onlyIf: { etagMatches: source.etag } });
  if (object === null || !("body" in object)) throw new Error("the object has changed");
  return digestOf(object.body, object.size);
}

/**
 * @param {string} key
 * @returns {string} the group that it belongs to
 */
function groupOf(key) {
  const parts = key.split("/");
  return parts[parts[0] === "hourly" ? 2 : 1] ?? "";
}
