/** Shares the result of one operation between simultaneous requests to an isolate, so that many readers cause one operation. */

import { withTimeout } from "./timeout.js";

/**
 * Functions that clear the shared results. Only tests call them, because one isolate serves many tests.
 *
 * @type {(() => void)[]}
 */
export const resets = [];

/**
 * @template T
 * @param {number} keep how long a result is reused, in milliseconds after the operation started; 0: only running operations are
 *   shared
 * @param {number} timeout how long a request waits for an operation that another request started, in milliseconds; then it
 *   starts its own
 * @returns {(time: Date, context: Pick<ExecutionContext, "waitUntil">, work: () => Promise<T>) => Promise<T>} returns the
 *   shared result, or starts `work`
 */
export function shared(keep, timeout) {
  /** @type {{ began: number, running: boolean, result: Promise<T> } | undefined} */
  let latest;
  resets.push(() => {
    latest = undefined;
  });
  return async (time, context, work) => {
    const age = time.getTime() - (latest?.began ?? Number.POSITIVE_INFINITY);
    if (latest !== undefined && age >= 0 && age < (latest.running ? timeout : keep)) {
      try {
        return await withTimeout(latest.result, timeout);
      } catch {
        // The request that started it may have ended, which closes its connections.
        return work();
      }
    }
    const begun = { began: time.getTime(), running: true, result: work() };
    const end = () => {
      begun.running = false;
    };
    const ended = begun.result.then(end, end);
    latest = begun;
    // Other requests may wait for the result even after the client of this request disconnects.
    context.waitUntil(ended);
    return begun.result;
  };
}
