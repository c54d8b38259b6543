/** Waiting with an end: a check that hangs must not hang its report. */

export class TimedOut extends Error {
  name = "TimedOut";
}

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
  const timer = setTimeout(() => end.reject(new TimedOut(`no answer within ${milliseconds} ms`)), milliseconds);
  try {
    return await Promise.race([work, end.promise]);
  } finally {
    clearTimeout(timer);
  }
}
