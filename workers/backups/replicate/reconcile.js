/** Reconciliation: compares the listings of all stores, page by page, and copies objects whose event did not arrive. */

import { utf8 } from "../../lib/bytes.js";
import { failureName, logFailure } from "../../lib/log.js";
import { manifestAt, recordManifest } from "../catalogue.js";
import { COPIES_OF_OBJECT } from "../copy-list.js";
import { close, open } from "../findings.js";
import { StalledListing } from "../listing.js";
import { importKeys } from "../manifest.js";
import { lastDetail } from "../runs.js";
import { copiesOf, storesOf } from "../stores/stores.js";
import { transfer } from "../transfer.js";
import { replicate } from "./objects.js";

/** @import { Env } from "../catalogue.js" */
/** @import { Result } from "../runs.js" */
/** @import { ListEntry, Store } from "../stores/store.js" */

/** Time for one invocation. The next invocation, five minutes later, continues. */
const BUDGET_MILLISECONDS = 240_000;

/**
 * Limit of list calls in one invocation: a page takes one for each store. Cloudflare limits all calls of an invocation, and each
 * copied object takes further calls.
 */
const LIST_CALLS = 600;

/** Time in which an event normally arrives. Younger objects are not copied by reconciliation. */
const EVENT_MILLISECONDS = 60_000;

/** Age from which an object must be in a manifest: longer than a run, whose manifest is written at its end. */
const UNLISTED_MILLISECONDS = 26 * 3_600_000;

/** Files that pgBackRest rewrites with every run. Manifests do not list them; they list a copy of them for each run. */
const REWRITTEN = /^hourly\/(backup\/[^/]+\/backup\.info|archive\/[^/]+\/archive\.info)(\.copy)?$/;

/** @typedef {{ key: string, at: (ListEntry | undefined)[] }} Row one key, and its entry in the listing of each store */

/**
 * @typedef {object} Progress
 * @property {number} compared number of keys
 * @property {number} copied objects whose event did not arrive
 * @property {number} placed objects copied to a copy that was added later
 * @property {number} failed objects, or pages, that could not be compared
 * @property {number} extra objects with this finding
 * @property {number} unlisted objects with this finding
 * @property {boolean} complete whether this invocation reached the last key
 * @property {string | null} continueAfter key after which the next invocation continues; null: at the first key
 * @property {string} since time at which this pass over all keys began
 */

/**
 * Compares as many keys as the budget of one invocation allows.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {Date} time
 * @returns {Promise<Result>}
 */
export async function reconcile(env, db, time) {
  const last = /** @type {Progress | null} */ (await lastDetail(db, "replicate"));
  const continues = last !== null && last.continueAfter !== null;
  /** @type {Progress} */
  const progress = {
    compared: 0,
    copied: 0,
    placed: 0,
    failed: 0,
    extra: 0,
    unlisted: 0,
    complete: false,
    continueAfter: continues ? last.continueAfter : null,
    since: continues ? last.since : time.toISOString(),
  };
  await retryUndelivered(env, db, time);
  const end = Date.now() + BUDGET_MILLISECONDS;
  for (let page = 0; page < LIST_CALLS / env.COPIES.length && !progress.complete && Date.now() < end; page++) {
    if (!(await comparePage(env, db, time, progress))) break;
  }
  // The pass is complete, so a finding that it did not see again is resolved.
  if (progress.complete) await db.prepare(CLOSE_RESOLVED).bind(time.toISOString(), progress.since).run();
  return { outcome: progress.failed + progress.copied > 0 ? "alarm" : "ok", detail: progress };
}

/**
 * Tries again to copy the objects whose event went to the dead-letter queue.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {Date} time
 */
async function retryUndelivered(env, db, time) {
  const { results } = await db.prepare(UNDELIVERED).run();
  for (const { key } of results) {
    await replicate(env, db, String(key), time).catch((error) => {
      logFailure("object not replicated", { key, error: failureName(error) });
    });
  }
}

const UNDELIVERED =
  "SELECT key FROM findings WHERE closed_at IS NULL AND kind = 'undelivered' ORDER BY seen_at LIMIT 20";

const CLOSE_RESOLVED = `
  UPDATE findings SET closed_at = ?1, outcome = 'gone'
  WHERE closed_at IS NULL AND kind IN ('extra', 'unlisted', 'stalled') AND seen_at < ?2`;

/**
 * Compares the next page, and updates `progress`.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {Date} time
 * @param {Progress} progress
 * @returns {Promise<boolean>} false when a listing does not continue; the next invocation tries again
 */
async function comparePage(env, db, time, progress) {
  const after = progress.continueAfter ?? undefined;
  const answers = await Promise.all(storesOf(env).map((store) => nextPage(db, time, store, after)));
  const pages = answers.filter((page) => page !== null);
  if (pages.length < answers.length) {
    progress.failed += 1;
    return false;
  }
  // Compare only up to the first page end among the stores with more pages: beyond it, some listing is incomplete.
  const limits = pages.filter(({ more }) => more).map(({ objects }) => objects.at(-1)?.key ?? "");
  const limit = limits.length === 0 ? undefined : limits.reduce((a, b) => (isBefore(a, b) ? a : b));
  const rows = joined(pages.map(({ objects }) => objects)).filter(
    ({ key }) => limit === undefined || !isBefore(limit, key),
  );
  const listed = await listedOf(db, rows);
  /** @type {string[]} */
  const due = [];
  for (const row of rows) {
    try {
      if (await compare(env, db, time, row, listed.get(row.key), progress)) due.push(row.key);
    } catch (error) {
      progress.failed += 1;
      logFailure("object not compared", { key: row.key, error: failureName(error) });
    }
  }
  // One statement for the page: if a store lost everything, these are all of its objects.
  if (due.length > 0) await db.prepare(VERIFY_SOON).bind(JSON.stringify(due), time.toISOString()).run();
  progress.compared += rows.length;
  progress.continueAfter = limit ?? null;
  progress.complete = limit === undefined;
  return true;
}

/**
 * @param {D1Database} db
 * @param {Date} time
 * @param {Store} store
 * @param {string | undefined} after
 * @returns {Promise<{ objects: ListEntry[], more: boolean } | null>} the next page; null, with a finding, when the listing stalled
 */
async function nextPage(db, time, store, after) {
  try {
    const page = await store.list(after);
    if (page.more && page.objects.at(-1)?.key === after) throw new StalledListing();
    return page;
  } catch (error) {
    if (!(error instanceof StalledListing)) throw error;
    logFailure("listing stalled", { store: store.name, after });
    const detail =
      "the store announces more objects but does not list them; objects after this key are not compared until it does";
    await open(db, { kind: "stalled", store: store.name, key: after ?? "", detail }, time).run();
    return null;
  }
}

/**
 * @param {ListEntry[][]} lists one listing for each store
 * @returns {Row[]} one row for each key, in the order of keys
 */
export function joined(lists) {
  /** @type {Map<string, Row>} */
  const rows = new Map();
  for (const [index, objects] of lists.entries()) {
    for (const object of objects) {
      const row = rows.get(object.key) ?? { key: object.key, at: lists.map(() => undefined) };
      row.at[index] = object;
      rows.set(object.key, row);
    }
  }
  return [...rows.values()].sort((a, b) => (isBefore(a.key, b.key) ? -1 : 1));
}

/** Surrogates: only with them does the order of JavaScript strings differ from the order of UTF-8 bytes, which stores use. */
const SURROGATES = /[\ud800-\udfff]/;

/**
 * @param {string} one
 * @param {string} other
 * @returns {boolean} whether a store lists the key `one` before the key `other`
 */
function isBefore(one, other) {
  if (!SURROGATES.test(one) && !SURROGATES.test(other)) return one < other;
  const [a, b] = [utf8(one), utf8(other)];
  const at = a.findIndex((byte, index) => byte !== b[index]);
  return at === -1 ? a.length < b.length : (a[at] ?? 0) < (b[at] ?? -1);
}

/**
 * @typedef {object} Known an object in the catalogue
 * @property {string | null} due_at planned time of its deletion
 * @property {string} listed_at time at which its manifest was read
 * @property {Map<string, { since: string, verifiedAt: string | null }>} copies by name: the time since which the object must be
 *   in that copy, and the time of its last successful verification there
 */

/**
 * @param {D1Database} db
 * @param {Row[]} rows
 * @returns {Promise<Map<string, Known>>} the objects that are in the catalogue, by key
 */
async function listedOf(db, rows) {
  const { results } = await db
    .prepare(LISTED)
    .bind(JSON.stringify(rows.map(({ key }) => key)))
    .run();
  return new Map(
    results.map(({ key, due_at, listed_at, copies }) => {
      const known = { due_at, listed_at, copies: new Map(Object.entries(JSON.parse(String(copies)))) };
      return [String(key), /** @type {Known} */ (/** @type {unknown} */ (known))];
    }),
  );
}

const LISTED = `
  SELECT key, due_at, listed_at, ${COPIES_OF_OBJECT} AS copies FROM objects WHERE key IN (SELECT value FROM json_each(?))`;

/**
 * Compares one key in all stores: opens findings or copies the object.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {Date} time
 * @param {Row} row
 * @param {Known | undefined} known undefined: no manifest lists the object
 * @param {Progress} progress
 * @returns {Promise<boolean>} whether the object must be verified soon: verification, not reconciliation, repairs a copy that was
 *   already verified once
 */
async function compare(env, db, time, { key, at }, known, progress) {
  const [source] = at;
  // Age-out is deleting the object.
  if (known?.due_at != null && known.due_at <= time.toISOString()) return false;
  if (source === undefined) {
    if (known === undefined) await onlyInCopies(env, db, time, key, at, progress);
    return known !== undefined;
  }
  const age = time.getTime() - source.uploaded.getTime();
  if (known === undefined && age > UNLISTED_MILLISECONDS && !REWRITTEN.test(key) && manifestAt(key) === null) {
    progress.unlisted += 1;
    const detail = `stored at ${source.uploaded.toISOString()}, but no manifest lists it; probably of a failed run. A lifecycle rule deletes it`;
    await open(db, { kind: "unlisted", store: "primary", key, detail }, time).run();
  }
  const behind = copiesOf(env)
    .filter((_, index) => at[index + 1]?.size !== source.size)
    .map(({ name }) => ({ store: name, was: known?.copies.get(name) }));
  if (age <= EVENT_MILLISECONDS || behind.length === 0) return false;
  if (behind.some(({ was }) => was !== undefined && was.verifiedAt !== null)) return true;
  if (!(await replicate(env, db, key, time))) return false;
  // For a copy that was added after the object was listed, there was no event to miss.
  const missed = behind.filter(({ was }) => known === undefined || was === undefined || was.since <= known.listed_at);
  progress[missed.length > 0 ? "copied" : "placed"] += 1;
  const detail = "the event of this object did not arrive; reconciliation copied it";
  await db.batch([
    ...missed.map(({ store }) => open(db, { kind: "missed", store, key, detail }, time)),
    close(db, { kinds: ["missed"], key }, "copied", time),
  ]);
  return false;
}

const VERIFY_SOON = `
  UPDATE objects SET check_after = ?2 WHERE check_after > ?2 AND key IN (SELECT value FROM json_each(?1))`;

/**
 * Handles an object that no manifest in the catalogue lists and that is in copies, but not in the primary: reads it if it is a
 * manifest, and restores it if it is one of pgBackRest's indexes.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {Date} time
 * @param {string} key
 * @param {(ListEntry | undefined)[]} at
 * @param {Progress} progress
 */
async function onlyInCopies(env, db, time, key, at, progress) {
  const isManifest = manifestAt(key) !== null;
  const problem = isManifest
    ? await recordManifest(env, db, await importKeys(env.MANIFEST_KEYS), key, time)
    : undefined;
  if (problem === null) return;
  if (REWRITTEN.test(key) && (await restoreIndex(env, db, key))) return;
  progress.extra += 1;
  const detail =
    problem?.detail ?? "the object is neither in the primary nor in any manifest; a lifecycle rule deletes it";
  const stores = storesOf(env).filter((_, index) => at[index] !== undefined);
  await db.batch(stores.map(({ name }) => open(db, { kind: "extra", store: name, key, detail }, time)));
}

/**
 * Restores an index that the primary lost, as the newest manifest of its group lists it. Without the index, a machine would begin a new
 * repository, whose WAL has the same names as that of the old one.
 *
 * @param {Env} env
 * @param {D1Database} db
 * @param {string} key
 * @returns {Promise<boolean>} false without a manifest of a group that is backed up, or without a good copy of the listed index
 */
async function restoreIndex(env, db, key) {
  const [, , group = "", file = ""] = key.split("/");
  if (!env.GROUPS.includes(group)) return false;
  const listed = await db
    .prepare(NEWEST_INDEX)
    .bind(group, `/${file.replace(/\.copy$/, "")}`)
    .first();
  if (listed === null) return false;
  const expected = { size: Number(listed.size), sha256: String(listed.sha256) };
  const [primary, ...others] = storesOf(env);
  // The machine may have written the index since the listing.
  if ((await primary.head(key)) !== null) return true;
  for (const store of [...others, primary]) {
    try {
      const [result] = await transfer({ store, key: String(listed.key) }, [{ store: primary, key }], expected, db);
      if (result?.status === "fulfilled") return true;
    } catch (error) {
      logFailure("index not restored", { store: store.name, key, error: failureName(error) });
    }
  }
  return false;
}

const NEWEST_INDEX = `
  SELECT key, size, sha256 FROM objects
  WHERE grp = ?1 AND class = 'manifests' AND kind = 'index' AND substr(key, -length(?2)) = ?2
  ORDER BY substr(run, -16) DESC LIMIT 1`;
