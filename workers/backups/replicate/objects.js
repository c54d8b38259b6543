/**
 * Copies one object of the primary to the other copies. If a manifest lists the object, only bytes with the listed SHA-256 are
 * copied, so that a damaged primary never replaces a good copy.
 */

import { forEachConcurrently } from "../../lib/concurrency.js";
import { manifestAt, readManifests } from "../catalogue.js";
import { isCopy } from "../copies.js";
import { close, open } from "../findings.js";
import { isOversize, PRIMARY, SourceMismatch } from "../stores/store.js";
import { copiesOf, storesOf } from "../stores/stores.js";
import { digestOf, inspect, transfer } from "../transfer.js";

/** @import { Env } from "../catalogue.js" */
/** @import { Copy } from "../copies.js" */
/** @import { Store } from "../stores/store.js" */
/** @import { Expected } from "../transfer.js" */

/** Copies written at once from one read: a Cloudflare Worker has six connections. */
const PARALLEL_COPIES = 5;

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
  if (isOversize(source.size)) {
    const detail = `the object has ${source.size} bytes, too many to read it within one invocation; copy it by hand, and reduce pgBackRest's bundle and segment sizes`;
    await open(db, { kind: "oversize", store: "primary", key, detail }, time).run();
    return false;
  }
  if (listed !== null) await verifyIfRewritten(db, source, time);
  const copying = new Copying(env, db, source, time);
  return copying.run(listed);
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

/** @typedef {{ store: Store, copy: Copy | null }} Found the metadata of an object in one copy; null: it is not there */

/** The copying of one object. A failure in one copy does not affect the others: the next attempt skips those that succeeded. */
class Copying {
  #copied = false;

  /** @type {unknown[]} */
  #failures = [];

  /**
   * @param {Env} env
   * @param {D1Database} db
   * @param {R2Object} source
   * @param {Date} time
   */
  constructor(env, db, source, time) {
    this.env = env;
    this.db = db;
    this.source = source;
    this.time = time;
  }

  /**
   * @param {Expected | null} listed
   * @returns {Promise<boolean>} whether any copy was written
   * @throws the first failure, after everything possible was copied
   */
  async run(listed) {
    const found = await this.#find();
    if (listed === null) await this.#copyUnlisted(found);
    else await this.#copyListed(found, listed);
    if (this.#failures.length > 0) throw this.#failures[0];
    return this.#copied;
  }

  /** @returns {Promise<Found[]>} for each copy that answers */
  async #find() {
    /** @type {Found[]} */
    const found = [];
    await forEachConcurrently(copiesOf(this.env), PARALLEL_COPIES, async (store) => {
      try {
        found.push({ store, copy: await store.head(this.source.key) });
      } catch (error) {
        this.#failures.push(error);
      }
    });
    return found;
  }

  /**
   * Copies an object that a manifest lists. If the primary's bytes do not match the manifest, it copies nothing, opens a finding and
   * makes the object due for verification, which repairs the primary.
   *
   * @param {Found[]} found
   * @param {Expected} listed
   */
  async #copyListed(found, listed) {
    const { key } = this.source;
    const behind = found.filter(({ copy }) => copy?.size !== listed.size || copy.sha256 !== listed.sha256);
    const errors = await this.#send(behind, listed);
    if (errors.length === 0) return;
    // Either the stores failed, or the primary is damaged.
    const [primary] = storesOf(this.env);
    const isMismatch = errors.some((error) => error instanceof SourceMismatch);
    // The bytes of an object that is copied in parts were compared already.
    const isGood =
      !isMismatch && (listed.size > primary.largestPut || (await inspect(primary, key, listed)) === "good");
    if (isGood) {
      this.#failures.push(...errors);
      return;
    }
    const detail = "checksum mismatch: the bytes are not those in the manifest; the object was not copied";
    await open(this.db, { kind: "damaged", store: "primary", key, detail }, this.time).run();
    await this.db.prepare("UPDATE objects SET check_after = ? WHERE key = ?").bind(this.time.toISOString(), key).run();
  }

  /**
   * Copies an object that no manifest lists yet. The primary counts as correct, because pgBackRest may rewrite the object until
   * its run ends.
   *
   * @param {Found[]} found
   */
  async #copyUnlisted(found) {
    let behind = found.filter(({ copy }) => !isCopy(this.source, copy));
    if (behind.some(({ copy }) => copy !== null)) {
      // Before a copy is overwritten, read new manifests: one of them may show that the copy is right, and not the primary.
      try {
        const listed = await listingAfterReading(this.env, this.db, this.source.key, this.time);
        if (listed !== null) return await this.#copyListed(found, listed);
      } catch (error) {
        this.#failures.push(error);
        behind = behind.filter(({ copy }) => copy === null);
      }
    }
    if (behind.length === 0) return;
    const sha256 = await sha256Of(this.env, this.db, this.source);
    this.#failures.push(...(await this.#send(behind, { size: this.source.size, sha256 }, this.source.etag)));
  }

  /**
   * @param {Found[]} behind
   * @param {Expected} expected
   * @param {string} [etag] metadata of the copies
   * @returns {Promise<unknown[]>} the errors of the copies that were not written
   */
  async #send(behind, expected, etag) {
    const { key } = this.source;
    const [primary] = storesOf(this.env);
    /** @type {unknown[]} */
    const errors = [];
    for (let first = 0; first < behind.length; first += PARALLEL_COPIES) {
      const to = behind.slice(first, first + PARALLEL_COPIES).map(({ store }) => ({ store, key }));
      try {
        for (const result of await transfer(
          { store: primary, key, ...(etag !== undefined && { etag }) },
          to,
          expected,
          this.db,
        )) {
          if (result.status === "rejected") errors.push(result.reason);
          else this.#copied = true;
        }
      } catch (error) {
        errors.push(error);
      }
    }
    return errors;
  }
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
 * Returns the SHA-256 in the object's metadata, or else (machines upload without one) computes it from the bytes. That of an object
 * which is copied in parts is recorded, so that a later attempt need not compute it again.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {R2Object} source
 * @returns {Promise<string>} hexadecimal
 */
async function sha256Of(env, db, { key, etag, size, checksums }) {
  const inParts = size > storesOf(env)[0].largestPut;
  const known =
    checksums.toJSON().sha256 ??
    (inParts
      ? await db.prepare("SELECT sha256 FROM digests WHERE key = ? AND etag = ?").bind(key, etag).first("sha256")
      : null);
  if (known !== null) return String(known);
  const object = await env.COPY_PRIMARY.get(key, { onlyIf: { etagMatches: etag } });
  if (object === null || !("body" in object))
    throw new Error("the object was rewritten meanwhile; the retry reads it again");
  const sha256 = await digestOf(object.body, object.size);
  if (inParts) await db.prepare("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)").bind(key, etag, sha256).run();
  return sha256;
}

/**
 * @param {string} key
 * @returns {string} name of its group
 */
function groupOf(key) {
  const parts = key.split("/");
  return parts[parts[0] === "hourly" ? 2 : 1] ?? "";
}
