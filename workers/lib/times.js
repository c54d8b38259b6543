/** The format of times in plain text. */

/**
 * @param {Date} time
 * @returns {string} `2026-11-24 10:01 UTC`
 */
export function stamp(time) {
  const iso = time.toISOString();
  return `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`;
}
