/** XML, as much of it as is needed here: text that stays text (https://www.w3.org/TR/xml/#charsets), and what S3 answers. Pure. */

/** No XML document may hold these, however they are written. */
const FORBIDDEN = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu;

/**
 * @param {string} text
 * @returns {string} safe in XML text and quoted attributes; what no document may hold is left out
 */
export function xml(text) {
  return text.replace(FORBIDDEN, "").replace(/[&<>"'\r]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** @type {Record<string, string>} */
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/**
 * @param {string} xml
 * @param {string} name
 * @returns {string[]} what is inside each element of that name; none of which holds another of it
 */
export function elements(xml, name) {
  return Array.from(
    xml.matchAll(new RegExp(`<${name}(?:\\s[^>]*)?>([^]*?)</${name}>`, "g")),
    ([, inside = ""]) => inside,
  );
}

/**
 * @param {string} xml
 * @param {string} name
 * @returns {string} of the first element of that name, decoded; empty without one
 */
export function textOf(xml, name) {
  const [inside = ""] = elements(xml, name);
  return inside.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (whole, decimal, hexadecimal, entity) => {
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    if (hexadecimal !== undefined) return String.fromCodePoint(Number.parseInt(hexadecimal, 16));
    return ENTITIES[entity] ?? whole;
  });
}
