/**
 * Copies one object of the primary to the other copies. If a manifest lists the object, only bytes with the listed SHA-256 are
 * copied, so that a damaged primary never replaces a good copy.
 */

import { forEachConcurrently } from "../../lib/concurrency.js";
import { manifestAt, readManifests } from "../catalogue.js";
import { isCopy } from "../copies.js";
import { close, open } from "../findings.js";
import { copiesOf, LARGEST_PUT, PRIMARY, storesOf } from "../stores.js";
import { digestOf, inspect, SourceMismatch, transfer } from "../transfer.js";

/** @import { Env } from "../catalogue.js" */
/** @import { Store } from "../stores.js" */
/** @import { Expected } from "../transfer.js" */

/** Copies written at once: each takes two connections, and a Cloudflare Worker has six. */
const PARALLEL_COPIES = 3;

/**
 * Copies the present object of the primary to every copy that lacks it. It is idempotent and reads the object's present state,
 * because events arrive at least once and in any order.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {string} key
 * @param {Date} time
 * @returns {Promise<boolean>} whether it copied anything
 * @throws what the stores throw: then the caller must try again
 */
export async function replicate(env, db, key, time) {
  const copied = await copyToAll(env, db, key, time);
  await close(db, { kinds: ["undelivered"], key }, copied ? "copied" : "nothing to do", time).run();
  return copied;
}

/**
 * @param {Env} env
 * @param {D1Database} db
 * @param {string} key
 * @param {Date} time
 * @returns {Promise<boolean>} whether it copied anything
 */
async function copyToAll(env, db, key, time) {
  const source = await env.COPY_PRIMARY.head(key);
  if (source === null) return false;
  const manifest = manifestAt(key);
  let listed = await listing(db, key);
  if (listed === null && manifest !== null) {
    await readManifests(env, db, time, [manifest.group]);
    listed = await listing(db, key);
    // An invalid manifest is not copied; reading it opened a finding.
    if (listed === null) return false;
  }
  if (source.size > LARGEST_PUT) {
    const detail = `the object has ${source.size} bytes, too many for one PUT; copy it by hand, and reduce pgBackRest's bundle and segment sizes`;
    await open(db, { kind: "oversize", store: "primary", key, detail }, time).run();
    return false;
  }
  const expected = listed;
  if (expected !== null) await verifyIfRewritten(db, source, time);
  return expected === null
    ? copyUnlisted(env, db, source, time)
    : forEachStore(copiesOf(env), (store) => copyListed(env, db, store, key, expected, time));
}

/**
 * Makes a listed object due for verification if it was written again since its last verification in the primary.
 *
 * @param {D1Database} db
 * @param {R2Object} source
 * @param {Date} time
 */
async function verifyIfRewritten(db, { key, uploaded }, time) {
  await db
    .prepare(`UPDATE objects SET check_after = MIN(check_after, ?2)
       WHERE key = ?1 AND (SELECT verified_at FROM object_copies WHERE key = ?1 AND copy = ?4) < ?3`)
    .bind(key, time.toISOString(), uploaded.toISOString(), PRIMARY)
    .run();
}

/**
 * @param {D1Database} db
 * @param {string} key
 * @returns {Promise<Expected | null>} size and SHA-256 as a manifest lists them; null when no manifest lists the object
 */
function listing(db, key) {
  return db.prepare("SELECT size, sha256 FROM objects WHERE key = ?").bind(key).first();
}

/**
 * Copies an object that a manifest lists, unless the store has it. If the primary's bytes do not match the manifest, it copies
 * nothing, opens a finding and makes the object due for verification.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {Store} store
 * @param {string} key
 * @param {Expected} listed
 * @param {Date} time
 * @returns {Promise<boolean>} whether it copied the object
 */
async function copyListed(env, db, store, key, listed, time) {
  const copy = await store.head(key);
  if (copy !== null && copy.size === listed.size && copy.sha256 === listed.sha256) return false;
  const [primary] = storesOf(env);
  try {
    await transfer({ store: primary, key }, { store, key }, listed);
    return true;
  } catch (error) {
    // Either the transfer failed, or the primary is damaged; verification repairs a damaged primary.
    const state = error instanceof SourceMismatch ? "damaged" : await inspect(primary, key, listed);
    if (state === "good") throw error;
    const detail = "checksum mismatch: the bytes are not those in the manifest; the object was not copied";
    await open(db, { kind: "damaged", store: "primary", key, detail }, time).run();
    await db.prepare("UPDATE objects SET check_after = ? WHERE key = ?").bind(time.toISOString(), key).run();
    return false;
  }
}

/**
 * Copies an object that no manifest lists yet. The primary counts as correct, because pgBackRest may rewrite the object until
 * its run ends.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {R2Object} source
 * @param {Date} time
 * @returns {Promise<boolean>} whether it copied the object to any store
 */
function copyUnlisted(env, db, source, time) {
  const { key } = source;
  const [primary] = storesOf(env);
  /** @type {Promise<string> | undefined} */
  let sha256;
  /** @type {Promise<Expected | null> | undefined} */
  let latestListing;
  return forEachStore(copiesOf(env), async (store) => {
    const copy = await store.head(key);
    if (isCopy(source, copy)) return false;
    if (copy !== null) {
      // Before a copy is overwritten, read new manifests: one of them may show that the copy is right, and not the primary.
      latestListing ??= listingAfterReading(env, db, key, time);
      const listed = await latestListing;
      if (listed !== null) return copyListed(env, db, store, key, listed, time);
    }
    sha256 ??= sha256Of(env.COPY_PRIMARY, source);
    const expected = { size: source.size, sha256: await sha256 };
    await transfer({ store: primary, key, etag: source.etag }, { store, key }, expected);
    return true;
  });
}

/**
 * Reads the group's new manifests first.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {string} key
 * @param {Date} time
 * @returns {Promise<Expected | null>} as `listing`
 */
async function listingAfterReading(env, db, key, time) {
  const { failed } = await readManifests(env, db, time, [groupOf(key)]);
  if (failed > 0) throw new Error("the group's manifests could not be read; the retry reads them again");
  return listing(db, key);
}

/**
 * Calls `work` for every store, also after a failure: the next attempt then skips the stores that succeeded.
 *
 * @param {Store[]} stores
 * @param {(store: Store) => Promise<boolean>} work returns whether it copied the object
 * @returns {Promise<boolean>} whether any call copied the object
 * @throws the first error, after all calls have ended
 */
async function forEachStore(stores, work) {
  let [copied, failures] = [false, /** @type {unknown[]} */ ([])];
  await forEachConcurrently(stores, PARALLEL_COPIES, async (store) => {
    try {
      if (await work(store)) copied = true;
    } catch (error) {
      failures = [...failures, error];
    }
  });
  if (failures.length > 0) throw failures[0];
  return copied;
}

/**
 * Returns the SHA-256 in the object's metadata, or else (multipart uploads have none) computes it from the bytes.
 *
 * @param {R2Bucket} bucket
 * @param {R2Object} source
 * @returns {Promise<string>} hexadecimal
 */
async function sha256Of(bucket, source) {
  const known = source.checksums.toJSON().sha256;
  if (known !== undefined) return known;
  const object = await bucket.get(source.key, { onlyIf: { etagMatches: source.etag } });
  if (object === null || !("body" in object))
    throw new Error("the object was rewritten meanwhile; the retry reads it again");
  return digestOf(object.body, object.size);
}

/**
 * @param {string} key
 * @returns {string} name of its group
 */
function groupOf(key) {
  const parts = key.split("/");
  return parts[parts[0] === "hourly" ? 2 : 1] ?? "";
}
