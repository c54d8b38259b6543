/** The clock of the Cloudflare Workers: no other module reads the current time. */

/**
 * @param {{ CLOCK?: string }} env `CLOCK` (ISO 8601) replaces the clock with a fixed time. Only tests bind it, because
 *   workerd's own clock cannot be set
 * @returns {Date}
 */
export function now(env) {
  return env.CLOCK === undefined ? new Date() : new Date(env.CLOCK);
}
