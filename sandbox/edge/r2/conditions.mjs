/** Pure rules on one object: preconditions, byte ranges, bucket locks, and which events it causes. */

import { errors } from "./errors.mjs";

/**
 * Returns whether a request's preconditions hold, as R2 evaluates them.
 *
 * @param {any} only `etagMatches` and `etagDoesNotMatch`: lists of { type: "strong" | "weak" | "wildcard", value };
 *   `uploadedBefore`, `uploadedAfter`: milliseconds
 * @param {{ etag: string, uploaded: number } | undefined} object undefined if there is none
 */
export function holds(only, object) {
  if (only === undefined) return true;
  const { etagMatches, etagDoesNotMatch, uploadedBefore, uploadedAfter, secondsGranularity } = only;
  if (object === undefined) return etagMatches === undefined && uploadedAfter === undefined;
  const among = (list) => list.some(({ type, value }) => type === "wildcard" || value === object.etag);
  const time = (value) => (secondsGranularity ? Math.floor(Number(value) / 1_000) : Number(value));
  const matches = etagMatches === undefined || among(etagMatches);
  const differs = etagDoesNotMatch === undefined || !among(etagDoesNotMatch);
  const before = uploadedBefore === undefined || time(object.uploaded) < time(uploadedBefore);
  const after = uploadedAfter === undefined || time(object.uploaded) > time(uploadedAfter);
  return matches && differs && (before || etagMatches !== undefined) && (after || etagDoesNotMatch !== undefined);
}

/**
 * Returns the part of an object that a range names: its first byte and its length.
 *
 * @param {{ offset?: number | string, length?: number | string, suffix?: number | string } | undefined} range
 * @param {number} size of the object
 */
export function partOf(range, size) {
  if (range === undefined) return { offset: 0, length: size };
  const { offset, length, suffix } = Object.fromEntries(
    Object.entries(range).map(([name, value]) => [name, Number(value)]),
  );
  if (suffix !== undefined) {
    if (suffix <= 0) throw errors.badRange();
    return { offset: Math.max(size - suffix, 0), length: Math.min(suffix, size) };
  }
  const first = offset ?? 0;
  if (first >= size || length <= 0) throw errors.badRange();
  return { offset: first, length: Math.min(length ?? size, size - first) };
}

/**
 * Returns the range in an HTTP header, or undefined if the header is no range of bytes. Several ranges are not supported.
 *
 * @param {string | undefined} header
 */
export function rangeOf(header) {
  const found = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (found === null || found[0] === "bytes=-") return undefined;
  if (found[1] === "") return { suffix: Number(found[2]) };
  const offset = Number(found[1]);
  return found[2] === "" ? { offset } : { offset, length: Number(found[2]) - offset + 1 };
}

/**
 * Returns whether a bucket's lock rules forbid to delete or overwrite an object now.
 *
 * @param {{ prefix: string, condition: { type: string, maxAgeSeconds?: number, date?: string } }[]} locks
 * @param {{ key: string, uploaded: number }} object
 * @param {number} now milliseconds
 */
export function isLocked(locks, { key, uploaded }, now) {
  return locks.some(({ prefix, condition: { type, maxAgeSeconds, date } }) => {
    if (!key.startsWith(prefix)) return false;
    if (type === "Age") return now < uploaded + maxAgeSeconds * 1_000;
    return type === "Indefinite" || now < Date.parse(date);
  });
}

/**
 * Returns the queues that get an event of an action on a key.
 *
 * @param {{ queue: string, actions: string[], prefix: string, suffix: string }[]} events of the bucket
 * @param {string} action
 * @param {string} key
 */
export function queuesOf(events, action, key) {
  return events
    .filter(({ actions, prefix, suffix }) => actions.includes(action) && key.startsWith(prefix) && key.endsWith(suffix))
    .map(({ queue }) => queue);
}
