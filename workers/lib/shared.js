/** Work that requests of one isolate share, so that a crowd of readers asks what is behind it once and not once each. */

import { withTimeout } from "./timeout.js";

/**
 * Each forgets the results that are shared. Only tests call them, because one isolate serves many tests.
 *
 * @type {(() => void)[]}
 */
export const forgetting = [];

/**
 * @template T
 * @param {number} keep milliseconds from its beginning in which a result is given to others; 0 shares only what runs
 * @param {number} patience milliseconds after which nobody waits any longer for what another request began
 * @returns {(time: Date, context: Pick<ExecutionContext, "waitUntil">, work: () => Promise<T>) => Promise<T>}
 */
export function shared(keep, patience) {
  /** @type {{ began: number, running: boolean, result: Promise<T> } | undefined} */
  let latest;
  forgetting.push(() => {
    latest = undefined;
  });
  return async (time, context, work) => {
    const age = time.getTime() - (latest?.began ?? Number.POSITIVE_INFINITY);
    if (latest !== undefined && age >= 0 && age < (latest.running ? patience : keep)) {
      try {
        return await withTimeout(latest.result, patience);
      } catch {
        // The request that began it may have ended, and taken its connections along.
        return work();
      }
    }
    const begun = { began: time.getTime(), running: true, result: work() };
    const end = () => {
      begun.running = false;
    };
    const ended = begun.result.then(end, end);
    latest = begun;
    // Others wait for it, even when the reader who began it leaves.
    context.waitUntil(ended);
    return begun.result;
  };
}
