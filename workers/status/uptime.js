/**
 * The calculation of uptime, as defined in docs/uptime.md. Pure. It uses integers only, so that every recomputation gives
 * exactly the same digits.
 */

export const MINUTE = 60_000;
export const DAY_MINUTES = 24 * 60;

/** 100 % in thousandths of a percent. In this unit every published target is an integer: 99.9 % is 99,900. */
const WHOLE = 100_000;

/**
 * @typedef {object} Agreement the uptime target and the service credits
 * @property {number} target uptime of a month, in thousandths of a percent
 * @property {{ below: number, credit: number }[]} credits `credit` percent of the month's fee if uptime is below
 *   `below` (thousandths of a percent); the largest applicable credit counts
 */

/**
 * @typedef {object} Minutes of a span; each minute is in exactly one of these
 * @property {number} up
 * @property {number} down
 * @property {number} unknown without a sample
 * @property {number} excused not up, during maintenance that was announced in time
 */

/**
 * @typedef {object} Span in minutes since 1970-01-01T00:00Z
 * @property {number} from the first counted minute
 * @property {number} to the first minute that is not counted (yet)
 * @property {number} end of the month, exclusive
 */

/**
 * @typedef {object} Statement one month's account
 * @property {string} month `2026-11`, UTC
 * @property {boolean} complete whether the month is over
 * @property {string} from ISO 8601: the first counted minute
 * @property {string} to ISO 8601: the first minute not counted
 * @property {Minutes} minutes
 * @property {string | null} uptimePercent up / (up + down), truncated to four digits; null without a known minute
 * @property {string | null} atLeastPercent the same if every unknown minute counts as down
 * @property {string} targetPercent
 * @property {boolean | null} met whether uptime reaches the target (so far); null if it does, but would not if every
 *   unknown minute had been down
 * @property {string} budgetMinutes minutes that the whole month may be down, truncated to two digits
 * @property {string} leftMinutes remaining budget; negative if it is exceeded
 * @property {number} creditPercent
 */

/**
 * @param {string} month `2026-11`
 * @param {number} since the first minute ever recorded
 * @param {number} horizon the first minute that is neither over nor recorded
 * @returns {Span | null} null if no minute of the month is counted
 */
export function spanOf(month, since, horizon) {
  const start = minuteOf(new Date(`${month}-01T00:00:00Z`));
  const next = new Date(`${month}-01T00:00:00Z`);
  next.setUTCMonth(next.getUTCMonth() + 1);
  const end = minuteOf(next);
  const span = { from: Math.max(start, since), to: Math.min(end, horizon), end };
  return span.from < span.to ? span : null;
}

/**
 * @param {string} month `2026-11`
 * @param {Span} span
 * @param {Minutes} minutes of the span
 * @param {Agreement} agreement
 * @returns {Statement}
 */
export function statement(month, span, minutes, { target, credits }) {
  const known = minutes.up + minutes.down;
  const budget = Math.floor(((span.end - span.from - minutes.excused) * (WHOLE - target)) / 1_000);
  const missed = credits.filter(({ below }) => isBelow(minutes.up, known, below)).map(({ credit }) => credit);
  return {
    month,
    complete: span.to === span.end,
    from: new Date(span.from * MINUTE).toISOString(),
    to: new Date(span.to * MINUTE).toISOString(),
    minutes,
    uptimePercent: percent(minutes.up, known),
    atLeastPercent: percent(minutes.up, known + minutes.unknown),
    targetPercent: decimal(target, 3),
    met: isMet(minutes, target),
    budgetMinutes: decimal(budget, 2),
    leftMinutes: decimal(budget - minutes.down * 100, 2),
    creditPercent: Math.max(0, ...missed),
  };
}

/**
 * @param {Minutes} minutes
 * @param {number} target thousandths of a percent
 * @returns {boolean | null} null if it depends on the unknown minutes
 */
function isMet({ up, down, unknown }, target) {
  if (isBelow(up, up + down, target)) return false;
  return up + down === 0 || isBelow(up, up + down + unknown, target) ? null : true;
}

/**
 * @param {Date} time
 * @returns {number} minutes since 1970-01-01T00:00Z, rounded down
 */
export function minuteOf(time) {
  return Math.floor(time.getTime() / MINUTE);
}

/**
 * @param {Date} time
 * @returns {string} `2026-11`
 */
export function monthOf(time) {
  return time.toISOString().slice(0, 7);
}

/**
 * @param {number} up
 * @param {number} known
 * @param {number} limit thousandths of a percent
 * @returns {boolean} whether up / known is below the limit; false without a known minute
 */
function isBelow(up, known, limit) {
  return up * WHOLE < limit * known;
}

/**
 * @param {number} part
 * @param {number} whole at most ten years of minutes, so that the product with a million is exact
 * @returns {string | null} percent truncated to four digits, so that 100 means every minute
 */
export function percent(part, whole) {
  return whole === 0 ? null : decimal(Math.floor((part * 1_000_000) / whole), 4);
}

/**
 * @param {number} value a whole number of 10^-digits
 * @param {number} digits
 * @returns {string}
 */
function decimal(value, digits) {
  const text = String(Math.abs(value)).padStart(digits + 1, "0");
  return `${value < 0 ? "-" : ""}${text.slice(0, -digits)}.${text.slice(-digits)}`;
}
