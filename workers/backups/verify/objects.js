/** Verifies one object in every store by its SHA-256, and repairs bad copies from a good one. */

import { failureName, logFailure } from "../../lib/log.js";
import { close, open } from "../findings.js";
import { isOversize, SourceMismatch } from "../stores/store.js";
import { inspect, transfer } from "../transfer.js";

/** @import { Store } from "../stores/store.js" */

/**
 * @typedef {object} CatalogueObject an object that is due for verification
 * @property {string} key
 * @property {number} size in bytes
 * @property {string} sha256 hexadecimal
 * @property {string | null} source key of the hourly object that was promoted to this one; null for an object of a machine
 * @property {string} listed_at time at which its manifest was read
 * @property {Map<string, { since: string, verifiedAt: string | null }>} copies by name: the time since which the object must be
 *   in that copy, and the time of its last successful verification there. It also has former copies that are still in the catalogue
 */

/**
 * @typedef {object} Inspection of an object in one store
 * @property {Store} store
 * @property {"good" | "missing" | "damaged" | "failed"} state `failed`: the store did not answer
 * @property {string | null} unrepaired why the object is still wrong there; null when it is good or repaired
 */

/**
 * @typedef {object} Counts of a run
 * @property {number} checked objects
 * @property {number} bytes read from all stores
 * @property {number} repaired missing or damaged copies that were repaired
 * @property {number} placed first copies that verification wrote
 * @property {number} wrong missing or damaged copies that could not be repaired
 * @property {number} waiting objects that wait for their event
 * @property {number} failed reads of a store that failed
 */

const MINUTE = 60_000;

/** A week, which is the promised interval, less a day for the queue. */
const RECHECK_INTERVAL = 6 * 24 * 60 * MINUTE;

/** Delay before an object that could not be repaired, or not be read, is verified again. */
const RETRY_INTERVAL = 10 * MINUTE;

/** Time in which an event normally brings a new object to the copies. Until then a missing copy is not wrong. */
const EVENT_LIMIT = 3 * MINUTE;

const EVENT_RECHECK_INTERVAL = 1 * MINUTE;

/**
 * Verifies one object in every store, repairs it, and records the results and findings.
 *
 * @param {D1Database} db
 * @param {Store[]} stores the primary first
 * @param {CatalogueObject} object
 * @param {Date} time
 * @param {Counts} counts updated
 */
export async function verifyObject(db, stores, object, time, counts) {
  const inspections = await Promise.all(stores.map((store) => inspectIn(store, object)));
  counts.checked += 1;
  // An object that is missing or has another size is not read.
  counts.bytes += object.size * inspections.filter(({ state }) => state === "good").length;
  counts.failed += inspections.filter(({ state }) => state === "failed").length;
  if (awaitsEvent(object, inspections, time)) {
    counts.waiting += 1;
    for (const inspection of inspections)
      if (inspection.state === "missing") inspection.unrepaired = "awaiting its event";
    await db.batch(recordStatements(db, object, inspections, time, EVENT_RECHECK_INTERVAL));
    return;
  }
  const wrong = inspections.filter(({ state }) => state === "missing" || state === "damaged");
  if (wrong.length > 0) {
    await repair(db, await sourcesOf(db, object, inspections), wrong, object);
  }
  const isPlaced = (/** @type {Inspection} */ inspection) =>
    inspection.state === "missing" && mustBePlaced(object, inspection.store.name);
  const repaired = wrong.filter(({ unrepaired }) => unrepaired === null);
  counts.placed += repaired.filter(isPlaced).length;
  counts.repaired += repaired.filter((inspection) => !isPlaced(inspection)).length;
  counts.wrong += wrong.length - repaired.length;
  const right = inspections.every(({ state, unrepaired }) => state !== "failed" && unrepaired === null);
  await db.batch([
    ...inspections.flatMap((inspection) =>
      isPlaced(inspection) && inspection.unrepaired === null ? [] : findingStatements(db, object, inspection, time),
    ),
    ...lossStatements(db, object, inspections, time),
    ...recordStatements(db, object, inspections, time, right ? RECHECK_INTERVAL : RETRY_INTERVAL),
  ]);
}

/**
 * @param {Store} store
 * @param {CatalogueObject} object
 * @returns {Promise<Inspection>}
 */
async function inspectIn(store, object) {
  try {
    return { store, state: await inspect(store, object.key, object), unrepaired: null };
  } catch (error) {
    logFailure("copy not read", { store: store.name, key: object.key, error: failureName(error) });
    return { store, state: "failed", unrepaired: null };
  }
}

/**
 * @param {CatalogueObject} object
 * @param {string} store
 * @returns {boolean} whether verification has to write the first copy there. No event causes it if the object is promoted, or
 *   if the copy was added after the object was listed
 */
function mustBePlaced({ source, listed_at, copies }, store) {
  const own = copies.get(store);
  const isNew = [...copies.values()].every(({ verifiedAt }) => verifiedAt === null);
  return (source !== null && isNew) || (own !== undefined && own.verifiedAt === null && own.since > listed_at);
}

/**
 * Returns whether an object is new, good in the primary, and missing only in copies that never had it: its event, which causes
 * the copying, probably has not been handled yet.
 *
 * @param {CatalogueObject} object
 * @param {Inspection[]} inspections
 * @param {Date} time
 * @returns {boolean}
 */
function awaitsEvent({ listed_at, copies }, [primary, ...others], time) {
  const missing = others.filter(({ state }) => state === "missing");
  return (
    time.getTime() - Date.parse(listed_at) < EVENT_LIMIT &&
    primary?.state === "good" &&
    missing.length > 0 &&
    missing.every(({ store }) => (copies.get(store.name)?.verifiedAt ?? null) === null) &&
    others.every(({ state }) => state !== "damaged")
  );
}

/**
 * @param {D1Database} db
 * @param {CatalogueObject} object
 * @param {Inspection[]} inspections
 * @returns {Promise<{ store: Store, key: string }[]>} the good copies; without any, objects with the same content under other
 *   keys in all stores: the source of its promotion, or the objects promoted from it
 */
async function sourcesOf(db, { key, sha256, size }, inspections) {
  const good = inspections.filter(({ state }) => state === "good").map(({ store }) => ({ store, key }));
  if (good.length > 0) return good;
  const { results } = await db
    .prepare(
      "SELECT key FROM objects WHERE sha256 = ?1 AND size = ?2 AND key <> ?3 ORDER BY source IS NOT NULL, key LIMIT 4",
    )
    .bind(sha256, size, key)
    .run();
  return results.flatMap((other) => inspections.map(({ store }) => ({ store, key: String(other.key) })));
}

/**
 * Repairs an object from the first source that is good, and sets `unrepaired` of the stores where that failed.
 *
 * @param {D1Database} db
 * @param {{ store: Store, key: string }[]} sources
 * @param {Inspection[]} wrong
 * @param {CatalogueObject} object
 */
async function repair(db, sources, wrong, object) {
  for (const inspection of wrong) inspection.unrepaired = NO_SOURCE;
  if (isOversize(object.size)) {
    for (const inspection of wrong)
      inspection.unrepaired = `the object has ${object.size} bytes, too many to read it within one invocation; copy it by hand`;
    return;
  }
  for (const source of sources) {
    const left = wrong.filter(({ unrepaired }) => unrepaired !== null);
    for (let first = 0; first < left.length; first += PARALLEL_REPAIRS) {
      await repairFrom(db, source, left.slice(first, first + PARALLEL_REPAIRS), object);
    }
  }
}

const NO_SOURCE = "there is no good copy to repair it from";

/** Two objects are verified at once (index.js): each has a read and these writes, and a Cloudflare Worker has six connections. */
const PARALLEL_REPAIRS = 2;

/**
 * @param {D1Database} db
 * @param {{ store: Store, key: string }} source
 * @param {Inspection[]} wrong
 * @param {CatalogueObject} object
 */
async function repairFrom(db, source, wrong, object) {
  const to = wrong.map(({ store }) => ({ store, key: object.key }));
  /** @type {PromiseSettledResult<void>[]} */
  const results = await transfer(source, to, object, db).catch((reason) =>
    to.map(() => ({ status: "rejected", reason })),
  );
  for (const [index, result] of results.entries()) {
    const inspection = /** @type {Inspection} */ (wrong[index]);
    if (result.status === "fulfilled") {
      inspection.unrepaired = null;
    } else if (!(result.reason instanceof SourceMismatch)) {
      const error = failureName(result.reason);
      logFailure("copy not repaired", { store: inspection.store.name, key: object.key, error });
      inspection.unrepaired = `repair failed (${error}); if a lock rule forbids to overwrite the object, disable the rule until it is repaired`;
    }
  }
}

/**
 * @param {D1Database} db
 * @param {CatalogueObject} object
 * @param {Inspection} inspection
 * @param {Date} time
 * @returns {D1PreparedStatement[]} open and close the findings about an object in one store
 */
function findingStatements(db, { key, size }, { store: { name: store }, state, unrepaired }, time) {
  if (state === "failed") return [];
  if (state === "good")
    return [close(db, { kinds: ["missing", "damaged", "oversize"], key, store }, "verified again", time)];
  const kind = state === "missing" && isOversize(size) ? "oversize" : state;
  const what =
    state === "missing" ? "the object is missing" : "checksum mismatch: the bytes are not those in the manifest";
  const kinds = /** @type {const} */ (["missing", "damaged", "oversize"]);
  return [
    close(db, { kinds: kinds.filter((other) => other !== kind), key, store }, `now ${kind}`, time),
    open(db, { kind, store, key, detail: unrepaired === null ? what : `${what}; ${unrepaired}` }, time),
    ...(unrepaired === null ? [close(db, { kinds: [kind], key, store }, "repaired", time)] : []),
  ];
}

/**
 * @param {D1Database} db
 * @param {CatalogueObject} object
 * @param {Inspection[]} inspections
 * @param {Date} time
 * @returns {D1PreparedStatement[]} open or close the finding `lost`. An object is not lost while a store that did not answer,
 *   or a former copy, may still have it
 */
function lossStatements(db, { key, copies }, inspections, time) {
  const isGood = inspections.some(({ state, unrepaired }) => state !== "failed" && unrepaired === null);
  if (isGood) return [close(db, { kinds: ["lost"], key }, "found again", time)];
  const listed = new Set(inspections.map(({ store }) => store.name));
  const isStranded = [...copies].some(([name, { verifiedAt }]) => !listed.has(name) && verifiedAt !== null);
  if (isStranded || inspections.some(({ state }) => state === "failed")) return [];
  const detail =
    "no store has the bytes in the manifest, under any key: backups that need this object cannot be restored";
  return [open(db, { kind: "lost", store: "primary", key, detail }, time)];
}

/**
 * @param {D1Database} db
 * @param {CatalogueObject} object
 * @param {Inspection[]} inspections
 * @param {Date} time
 * @param {number} milliseconds until the next verification
 * @returns {D1PreparedStatement[]} record the time of this verification and of the next one
 */
function recordStatements(db, { key }, inspections, time, milliseconds) {
  // A store that did not answer keeps its earlier verification time.
  const seen = inspections
    .filter(({ state }) => state !== "failed")
    .map(({ store, unrepaired }) => ({ copy: store.name, at: unrepaired === null ? time.toISOString() : null }));
  return [
    db
      .prepare("UPDATE objects SET check_after = ?2 WHERE key = ?1")
      .bind(key, new Date(time.getTime() + milliseconds).toISOString()),
    db.prepare(SET_VERIFIED).bind(key, JSON.stringify(seen)),
  ];
}

const SET_VERIFIED = `
  UPDATE object_copies SET verified_at = seen.value->>'at' FROM json_each(?2) AS seen
  WHERE object_copies.key = ?1 AND object_copies.copy = seen.value->>'copy'`;
