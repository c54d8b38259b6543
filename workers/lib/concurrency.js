/** Bounded concurrency. */

/**
 * Calls `work` for every item, with at most `limit` calls at a time.
 *
 * An item is read from `items` only when its call can start, so items may be added meanwhile.
 *
 * @template T
 * @param {Iterable<T>} items
 * @param {number} limit
 * @param {(item: T) => Promise<unknown>} work
 * @throws the first error of `work`. No further calls start then; running calls continue, and their results are ignored
 */
export async function forEachConcurrently(items, limit, work) {
  const waiting = items[Symbol.iterator]();
  let failed = false;
  const lane = async () => {
    for (let next = waiting.next(); !next.done && !failed; next = waiting.next()) {
      try {
        await work(next.value);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: limit }, lane));
}
