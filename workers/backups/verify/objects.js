/** One object: what it is in each store, by every byte, and made right where a good copy is left. */

import { failureName, logFailure } from "../../lib/log.js";
import { close, open } from "../findings.js";
import { LARGEST_PUT } from "../stores.js";
import { inspect, NotThere, transfer } from "../transfer.js";

/** @import { Store } from "../stores.js" */

/**
 * @typedef {object} Listed
 * @property {string} key
 * @property {number} size
 * @property {string} sha256
 * @property {string | null} source
 * @property {string} listed_at
 * @property {Map<string, { since: string, verifiedAt: string | null }>} copies by name: since when it is to be there, and when
 *   its bytes were last found right there; also a copy that is listed no more and of which it is not forgotten
 */

/**
 * @typedef {object} Look at an object in one store
 * @property {Store} store
 * @property {"good" | "missing" | "damaged" | "failed"} state `failed`: the store does not say
 * @property {string | null} unrepaired why it is still wrong; null when it is right now
 */

/** @typedef {{ checked: number, bytes: number, repaired: number, placed: number, wrong: number, waiting: number, failed: number }} Counts */

const MINUTE = 60_000;

/** So that an object that waits a day for its turn is still looked at within a week. */
const AGAIN = 6 * 24 * 60 * MINUTE;

/** What could not be put right now may be able to be soon. */
const SOON = 10 * MINUTE;

/** An event brings a new object to the copies; it may be on its way for so long. */
const ON_ITS_WAY = 3 * MINUTE;

const IN_A_MOMENT = 1 * MINUTE;

/**
 * @param {D1Database} db
 * @param {Store[]} stores the primary first
 * @param {Listed} object
 * @param {Date} time
 * @param {Counts} counts
 */
export async function verifyObject(db, stores, object, time, counts) {
  const looks = await Promise.all(stores.map((store) => lookAt(store, object)));
  counts.checked += 1;
  // What is missing, or of another size, is not read.
  counts.bytes += object.size * looks.filter(({ state }) => state === "good").length;
  counts.failed += looks.filter(({ state }) => state === "failed").length;
  if (isOnItsWay(object, looks, time)) {
    counts.waiting += 1;
    for (const look of looks) if (look.state === "missing") look.unrepaired = "it is on its way";
    await db.batch(remembered(db, object, looks, time, IN_A_MOMENT));
    return;
  }
  const wrong = looks.filter(({ state }) => state === "missing" || state === "damaged");
  if (wrong.length > 0) {
    const sources = await sourcesOf(db, object, looks);
    for (const look of wrong) look.unrepaired = await repair(sources, look.store, object);
  }
  const isPlaced = (/** @type {Look} */ look) => look.state === "missing" && isToBePlaced(object, look.store.name);
  const repaired = wrong.filter(({ unrepaired }) => unrepaired === null);
  counts.placed += repaired.filter(isPlaced).length;
  counts.repaired += repaired.filter((look) => !isPlaced(look)).length;
  counts.wrong += wrong.length - repaired.length;
  const right = looks.every(({ state, unrepaired }) => state !== "failed" && unrepaired === null);
  await db.batch([
    ...looks.flatMap((look) => (isPlaced(look) && look.unrepaired === null ? [] : said(db, object, look, time))),
    ...saidOfAll(db, object, looks, time),
    ...remembered(db, object, looks, time, right ? AGAIN : SOON),
  ]);
}

/**
 * @param {Store} store
 * @param {Listed} object
 * @returns {Promise<Look>}
 */
async function lookAt(store, object) {
  try {
    return { store, state: await inspect(store, object.key, object), unrepaired: null };
  } catch (error) {
    logFailure("copy not read", { store: store.name, key: object.key, error: failureName(error) });
    return { store, state: "failed", unrepaired: null };
  }
}

/**
 * @param {Listed} object
 * @param {string} store
 * @returns {boolean} whether nobody but this Worker brings it there: it is of a class, or older than the copy
 */
function isToBePlaced({ source, listed_at, copies }, store) {
  const own = copies.get(store);
  const isNew = [...copies.values()].every(({ verifiedAt }) => verifiedAt === null);
  return (source !== null && isNew) || (own !== undefined && own.verifiedAt === null && own.since > listed_at);
}

/**
 * A new object that the primary has, and that copies have never had, is what an event is about to bring there.
 *
 * @param {Listed} object
 * @param {Look[]} looks
 * @param {Date} time
 * @returns {boolean}
 */
function isOnItsWay({ listed_at, copies }, [primary, ...others], time) {
  const missing = others.filter(({ state }) => state === "missing");
  return (
    time.getTime() - Date.parse(listed_at) < ON_ITS_WAY &&
    primary?.state === "good" &&
    missing.length > 0 &&
    missing.every(({ store }) => (copies.get(store.name)?.verifiedAt ?? null) === null) &&
    others.every(({ state }) => state !== "damaged")
  );
}

/**
 * @param {D1Database} db
 * @param {Listed} object
 * @param {Look[]} looks
 * @returns {Promise<{ store: Store, key: string }[]>} good copies; without one, where the same bytes may lie under other
 *   names: what it was copied from, or what was copied from it
 */
async function sourcesOf(db, { key, sha256, size }, looks) {
  const good = looks.filter(({ state }) => state === "good").map(({ store }) => ({ store, key }));
  if (good.length > 0) return good;
  const { results } = await db
    .prepare(
      "SELECT key FROM objects WHERE sha256 = ?1 AND size = ?2 AND key <> ?3 ORDER BY source IS NOT NULL, key LIMIT 4",
    )
    .bind(sha256, size, key)
    .run();
  return results.flatMap((other) => looks.map(({ store }) => ({ store, key: String(other.key) })));
}

/**
 * @param {{ store: Store, key: string }[]} sources
 * @param {Store} store
 * @param {Listed} object
 * @returns {Promise<string | null>} null when it is right now, otherwise why not
 */
async function repair(sources, store, object) {
  if (object.size > LARGEST_PUT)
    return `it has ${object.size} bytes, more than can be written at once; copy it by hand`;
  let why = "no good copy is left";
  for (const source of sources) {
    try {
      await transfer(source, { store, key: object.key }, object);
      return null;
    } catch (error) {
      if (error instanceof NotThere) continue;
      logFailure("copy not repaired", { store: store.name, key: object.key, error: failureName(error) });
      why = `writing it failed (${failureName(error)}); where a lock refuses to overwrite, lift its rule until it is repaired`;
    }
  }
  return why;
}

/**
 * @param {D1Database} db
 * @param {Listed} object
 * @param {Look} look
 * @param {Date} time
 * @returns {D1PreparedStatement[]} what is found, and the end of what no longer is
 */
function said(db, { key, size }, { store: { name: store }, state, unrepaired }, time) {
  if (state === "failed") return [];
  if (state === "good")
    return [close(db, { kinds: ["missing", "damaged", "oversize"], key, store }, "right again", time)];
  const kind = state === "missing" && size > LARGEST_PUT ? "oversize" : state;
  const what = state === "missing" ? "it is not there" : "its bytes are not those that its manifest names";
  const kinds = /** @type {const} */ (["missing", "damaged", "oversize"]);
  return [
    close(db, { kinds: kinds.filter((other) => other !== kind), key, store }, `now ${kind}`, time),
    open(db, { kind, store, key, detail: unrepaired === null ? what : `${what}; ${unrepaired}` }, time),
    ...(unrepaired === null ? [close(db, { kinds: [kind], key, store }, "repaired", time)] : []),
  ];
}

/**
 * @param {D1Database} db
 * @param {Listed} object
 * @param {Look[]} looks
 * @param {Date} time
 * @returns {D1PreparedStatement[]} whether it is lost; nothing that a silent store, or one that is listed no more, may still have is
 */
function saidOfAll(db, { key, copies }, looks, time) {
  const isThere = looks.some(({ state, unrepaired }) => state !== "failed" && unrepaired === null);
  if (isThere) return [close(db, { kinds: ["lost"], key }, "found again", time)];
  const listed = new Set(looks.map(({ store }) => store.name));
  const isStranded = [...copies].some(([name, { verifiedAt }]) => !listed.has(name) && verifiedAt !== null);
  if (isStranded || looks.some(({ state }) => state === "failed")) return [];
  const detail = "no store has the bytes that its manifest names, under any name: what needs it cannot be restored";
  return [open(db, { kind: "lost", store: "primary", key, detail }, time)];
}

/**
 * @param {D1Database} db
 * @param {Listed} object
 * @param {Look[]} looks
 * @param {Date} time
 * @param {number} milliseconds until it is looked at again
 * @returns {D1PreparedStatement[]}
 */
function remembered(db, { key }, looks, time, milliseconds) {
  // What a store that failed has, nobody knows better than before.
  const seen = looks
    .filter(({ state }) => state !== "failed")
    .map(({ store, unrepaired }) => ({ copy: store.name, at: unrepaired === null ? time.toISOString() : null }));
  return [
    db
      .prepare("UPDATE objects SET check_after = ?2 WHERE key = ?1")
      .bind(key, new Date(time.getTime() + milliseconds).toISOString()),
    db.prepare(REMEMBER).bind(key, JSON.stringify(seen)),
  ];
}

const REMEMBER = `
  UPDATE object_copies SET verified_at = seen.value->>'at' FROM json_each(?2) AS seen
  WHERE object_copies.key = ?1 AND object_copies.copy = seen.value->>'copy'`;
