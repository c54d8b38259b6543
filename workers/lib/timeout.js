/** Waiting with an end: a check that hangs must not hang its report. */

export class TimedOut extends Error {
  name = "TimedOut";
}

/** Counts the time of limits. Tests put a clock of their own in its place, because workerd's cannot be set. */
export const limits = {
  /**
   * @param {() => void} over called when the time is over
   * @param {number} milliseconds
   * @returns {() => void} calls it off
   */
  start(over, milliseconds) {
    const timer = setTimeout(over, milliseconds);
    return () => clearTimeout(timer);
  },

  /**
   * @param {number} milliseconds of a limit that a server counts
   * @returns {number} what to tell it
   */
  told(milliseconds) {
    return milliseconds;
  },
};

/**
 * Waits for `work` at most `milliseconds`; afterwards its outcome, even a failure, is ignored.
 *
 * @template T
 * @param {Promise<T>} work
 * @param {number} milliseconds
 * @returns {Promise<T>}
 * @throws {TimedOut} when the time is over first
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
