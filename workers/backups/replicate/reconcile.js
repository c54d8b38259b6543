/** Compares what all stores list, a part at a time, and copies what no event told of. */

import { utf8 } from "../../lib/bytes.js";
import { failureName, logFailure } from "../../lib/log.js";
import { manifestAt, readOne } from "../catalogue.js";
import { COPIES_OF_OBJECT } from "../enrolment.js";
import { close, open } from "../findings.js";
import { Stalled } from "../listing.js";
import { importKeys } from "../manifest.js";
import { lastDetail } from "../runs.js";
import { copiesOf, storesOf } from "../stores.js";
import { replicate } from "./objects.js";

/** @import { Env } from "../catalogue.js" */
/** @import { Result } from "../runs.js" */
/** @import { Listed, Store } from "../stores.js" */

/** The next invocation comes in five minutes, and goes on where this one stops. */
const BUDGET_MILLISECONDS = 240_000;

/** So that an invocation stays below the calls that it may make: a page is one to each store, and each copy some more. */
const LISTS = 600;

/** An event may be on its way for so long. */
const ON_ITS_WAY = 60_000;

/** A run's objects are listed once it has ended. */
const UNLISTED_MILLISECONDS = 26 * 3_600_000;

/** What the backup tool rewrites with every run, so that no manifest lists it; each run's has a copy of them. */
const REWRITTEN = /^hourly\/(backup\/[^/]+\/backup\.info|archive\/[^/]+\/archive\.info)(\.copy)?$/;

/** @typedef {{ key: string, at: (Listed | undefined)[] }} Row of one key, what each store lists */

/**
 * @typedef {object} Progress
 * @property {number} compared keys
 * @property {number} copied though an event should have brought them
 * @property {number} placed in a copy that was added since
 * @property {number} failed
 * @property {number} extra
 * @property {number} unlisted
 * @property {boolean} complete whether the end was reached
 * @property {string | null} continueAfter
 * @property {string} since when this pass over all keys began
 */

/**
 * @param {Env} env
 * @param {D1Database} db
 * @param {Date} time
 * @returns {Promise<Result>}
 */
export async function reconcile(env, db, time) {
  const last = /** @type {Progress | null} */ (await lastDetail(db, "replicate"));
  const going = last !== null && last.continueAfter !== null;
  /** @type {Progress} */
  const progress = {
    compared: 0,
    copied: 0,
    placed: 0,
    failed: 0,
    extra: 0,
    unlisted: 0,
    complete: false,
    continueAfter: going ? last.continueAfter : null,
    since: going ? last.since : time.toISOString(),
  };
  await retryUndelivered(env, db, time);
  const end = Date.now() + BUDGET_MILLISECONDS;
  for (let page = 0; page < LISTS / env.COPIES.length && !progress.complete && Date.now() < end; page++) {
    if (!(await comparePage(env, db, time, progress))) break;
  }
  // A stray, or a stalled list, that this whole pass has not met is gone.
  if (progress.complete) await db.prepare(CLOSE_GONE).bind(time.toISOString(), progress.since).run();
  return { outcome: progress.failed + progress.copied > 0 ? "alarm" : "ok", detail: progress };
}

/**
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

const CLOSE_GONE = `
  UPDATE findings SET closed_at = ?1, outcome = 'gone'
  WHERE closed_at IS NULL AND kind IN ('extra', 'unlisted', 'stalled') AND seen_at < ?2`;

/**
 * @param {Env} env
 * @param {D1Database} db
 * @param {Date} time
 * @param {Progress} progress
 * @returns {Promise<boolean>} false when it came no further: the next invocation tries again
 */
async function comparePage(env, db, time, progress) {
  const after = progress.continueAfter ?? undefined;
  const answers = await Promise.all(storesOf(env).map((store) => nextPage(db, time, store, after)));
  const pages = answers.filter((page) => page !== null);
  if (pages.length < answers.length) {
    progress.failed += 1;
    return false;
  }
  // Beyond the shortest list that goes on, some store has not said yet what it has.
  const limits = pages.filter(({ more }) => more).map(({ objects }) => objects.at(-1)?.key ?? "");
  const limit = limits.length === 0 ? undefined : limits.reduce((a, b) => (isBefore(a, b) ? a : b));
  const rows = joined(pages.map(({ objects }) => objects)).filter(
    ({ key }) => limit === undefined || !isBefore(limit, key),
  );
  const listed = await listedOf(db, rows);
  for (const row of rows) {
    try {
      await compare(env, db, time, row, listed.get(row.key), progress);
    } catch (error) {
      progress.failed += 1;
      logFailure("object not compared", { key: row.key, error: failureName(error) });
    }
  }
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
 * @returns {Promise<{ objects: Listed[], more: boolean } | null>} the next page; null where the store does not come to it
 */
async function nextPage(db, time, store, after) {
  try {
    const page = await store.list(after);
    if (page.more && page.objects.at(-1)?.key === after) throw new Stalled();
    return page;
  } catch (error) {
    if (!(error instanceof Stalled)) throw error;
    logFailure("list makes no progress", { store: store.name, after });
    const detail = "it says that there is more and lists none of it; nothing behind this key is compared until it does";
    await open(db, { kind: "stalled", store: store.name, key: after ?? "", detail }, time).run();
    return null;
  }
}

/**
 * @param {Listed[][]} lists
 * @returns {Row[]} by key
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

/** Where JavaScript's order of texts is another than that of their bytes in UTF-8, which stores list by. */
const PAIRS = /[\ud800-\udfff]/;

/**
 * @param {string} one
 * @param {string} other
 * @returns {boolean}
 */
function isBefore(one, other) {
  if (!PAIRS.test(one) && !PAIRS.test(other)) return one < other;
  const [a, b] = [utf8(one), utf8(other)];
  const at = a.findIndex((byte, index) => byte !== b[index]);
  return at === -1 ? a.length < b.length : (a[at] ?? 0) < (b[at] ?? -1);
}

/**
 * @typedef {object} Known of a listed object
 * @property {string | null} due_at when it is to go
 * @property {string} listed_at
 * @property {Map<string, { since: string, verifiedAt: string | null }>} copies by name: since when it is to be there, and when
 *   its bytes were last found right there
 */

/**
 * @param {D1Database} db
 * @param {Row[]} rows
 * @returns {Promise<Map<string, Known>>} those that manifests list, by key
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
 * @param {Env} env
 * @param {D1Database} db
 * @param {Date} time
 * @param {Row} row
 * @param {Known | undefined} known undefined: no manifest lists it
 * @param {Progress} progress
 */
async function compare(env, db, time, { key, at }, known, progress) {
  const [source] = at;
  // Age-out is at it.
  if (known?.due_at != null && known.due_at <= time.toISOString()) return;
  if (source === undefined) {
    await onlyInCopies(env, db, time, key, at, known !== undefined, progress);
    return;
  }
  const age = time.getTime() - source.uploaded.getTime();
  if (known === undefined && age > UNLISTED_MILLISECONDS && !REWRITTEN.test(key) && manifestAt(key) === null) {
    progress.unlisted += 1;
    const detail = `stored at ${source.uploaded.toISOString()}, and no manifest lists it; a run that failed leaves such things, and they expire`;
    await open(db, { kind: "unlisted", store: "primary", key, detail }, time).run();
  }
  const behind = copiesOf(env)
    .filter((_, index) => at[index + 1]?.size !== source.size)
    .map(({ name }) => ({ store: name, was: known?.copies.get(name) }));
  if (age <= ON_ITS_WAY || behind.length === 0) return;
  if (behind.some(({ was }) => was !== undefined && was.verifiedAt !== null)) {
    await verifySoon(db, key, time);
    return;
  }
  if (!(await replicate(env, db, key, time))) return;
  // Of an object that is older than the copy, no event could have come.
  const missed = behind.filter(({ was }) => known === undefined || was === undefined || was.since <= known.listed_at);
  progress[missed.length > 0 ? "copied" : "placed"] += 1;
  const detail = "no event brought it there; it was found by comparing lists";
  await db.batch([
    ...missed.map(({ store }) => open(db, { kind: "missed", store, key, detail }, time)),
    close(db, { kinds: ["missed"], key }, "copied", time),
  ]);
}

/**
 * What was right there once is verify's to judge, and to repair.
 *
 * @param {D1Database} db
 * @param {string} key
 * @param {Date} time
 */
async function verifySoon(db, key, time) {
  await db
    .prepare("UPDATE objects SET check_after = MIN(check_after, ?2) WHERE key = ?1")
    .bind(key, time.toISOString())
    .run();
}

/**
 * @param {Env} env
 * @param {D1Database} db
 * @param {Date} time
 * @param {string} key
 * @param {(Listed | undefined)[]} at
 * @param {boolean} isListed
 * @param {Progress} progress
 */
async function onlyInCopies(env, db, time, key, at, isListed, progress) {
  if (isListed) {
    await verifySoon(db, key, time);
    return;
  }
  const isManifest = manifestAt(key) !== null;
  const doubt = isManifest ? await readOne(env, db, await importKeys(env.MANIFEST_KEYS), key, time) : undefined;
  if (doubt === null) return;
  progress.extra += 1;
  const detail = doubt?.detail ?? "neither the primary nor any manifest has it; it expires by the bucket's rule";
  const stores = storesOf(env).filter((_, index) => at[index] !== undefined);
  await db.batch(stores.map(({ name }) => open(db, { kind: "extra", store: name, key, detail }, time)));
}
