/** Formats texts, times and durations as HTML. Pure. */

/**
 * @param {string} text
 * @returns {string} safe in HTML text and quoted attributes
 */
export function escaped(text) {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/**
 * @param {Date} time
 * @returns {string} `2026-11-24 10:00 UTC`; the page's script adds the reader's local time
 */
export function stamp(time) {
  const iso = time.toISOString();
  return `<time datetime="${iso.slice(0, 16)}Z">${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC</time>`;
}

/**
 * @param {Date} from
 * @param {Date} to
 * @returns {string} start and end; without the second date if it is the same
 */
export function stretch(from, to) {
  const sameDay = from.toISOString().slice(0, 10) === to.toISOString().slice(0, 10);
  const end = sameDay ? stamp(to).replace(/>\S+ /, ">") : stamp(to);
  return `${stamp(from)} – ${end}`;
}

/**
 * @param {number} minutes
 * @returns {string} `12 min`, `3 h 5 min`, `2 d 4 h`: the two largest units, truncated
 */
export function duration(minutes) {
  const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24, Math.floor(minutes) % 60];
  if (days > 0) return joined(`${days} d`, hours, "h");
  return hours > 0 ? joined(`${hours} h`, rest, "min") : `${rest} min`;
}

/**
 * @param {string} first
 * @param {number} value
 * @param {string} unit
 * @returns {string}
 */
function joined(first, value, unit) {
  return value === 0 ? first : `${first} ${value} ${unit}`;
}

/**
 * @param {number} count
 * @param {string} noun
 * @returns {string} `1 day`, `2 days`
 */
export function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/**
 * @param {string} decimal with a fraction: `99.9000`
 * @returns {string} without trailing zeros: `99.9`
 */
export function plain(decimal) {
  return decimal.replace(/\.?0+$/, "");
}
