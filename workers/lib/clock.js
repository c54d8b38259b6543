/** The only place a Worker asks for the time. */

/**
 * @param {{ CLOCK?: string }} env `CLOCK` (ISO 8601) stops the clock; only tests bind it, because workerd's own clock
 *   cannot be set.
 * @returns {Date}
 */
export function now(env) {
  return env.CLOCK === undefined ? new Date() : new Date(env.CLOCK);
}
