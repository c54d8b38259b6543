/** Bounded concurrency. */

/**
 * Does `work` for every item, so many at a time. Each item is taken when there is room for it, so that whoever fills the
 * list, or looks at a clock in `work`, is heard until the end.
 *
 * @template T
 * @param {Iterable<T>} items
 * @param {number} atOnce
 * @param {(item: T) => Promise<unknown>} work
 * @throws what `work` throws first; what is under way then goes on unheard, and nothing more is begun
 */
export async function inLanes(items, atOnce, work) {
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
  await Promise.all(Array.from({ length: atOnce }, lane));
}
