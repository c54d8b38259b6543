/** Timeouts. */

export class TimedOut extends Error {
  name = "TimedOut";
}

/** The timers of timeouts. Tests replace these functions, because workerd's clock cannot be set. */
export const limits = {
  /**
   * Starts a timer.
   *
   * @param {() => void} onTimeout
   * @param {number} milliseconds
   * @returns {() => void} cancels the timer
   */
  start(onTimeout, milliseconds) {
    const timer = setTimeout(onTimeout, milliseconds);
    return () => clearTimeout(timer);
  },

  /**
   * Returns the timeout to send to a server that enforces it itself.
   *
   * @param {number} milliseconds
   * @returns {number} milliseconds
   */
  forServer(milliseconds) {
    return milliseconds;
  },
};

/**
 * Waits for `work` for at most `milliseconds`. It does not cancel `work`; a later result or error is ignored.
 *
 * @template T
 * @param {Promise<T>} work
 * @param {number} milliseconds
 * @returns {Promise<T>}
 * @throws {TimedOut}
 */
export async function withTimeout(work, milliseconds) {
  const end = Promise.withResolvers();
  const stop = limits.start(() => end.reject(new TimedOut(`no answer within ${milliseconds} ms`)), milliseconds);
  try {
    return await Promise.race([work, end.promise]);
  } finally {
    stop();
  }
}
