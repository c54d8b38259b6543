/** XML's small word (https://www.w3.org/TR/xml/#charsets): text that stays text. Pure. */

/** No XML document may hold these, however they are written. */
const FORBIDDEN = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu;

/**
 * @param {string} text
 * @returns {string} safe in XML text and quoted attributes; what no document may hold is left out
 */
export function xml(text) {
  return text.replace(FORBIDDEN, "").replace(/[&<>"'\r]/g, (character) => `&#${character.charCodeAt(0)};`);
}
