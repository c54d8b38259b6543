/** Escapes text for XML (https://www.w3.org/TR/xml/#charsets), and reads the XML responses of S3. Pure; not a general parser. */

/** Characters that XML forbids, even when they are escaped. */
const FORBIDDEN = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu;

/**
 * @param {string} text
 * @returns {string} escaped for XML text and quoted attributes, without forbidden characters
 */
export function xml(text) {
  return text.replace(FORBIDDEN, "").replace(/[&<>"'\r]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** @type {Record<string, string>} */
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/**
 * @param {string} xml
 * @param {string} name
 * @returns {string[]} content of each element of that name; such elements must not be nested in each other
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
 * @returns {string} decoded text of the first element of that name; empty if there is none
 */
export function textOf(xml, name) {
  const [inside = ""] = elements(xml, name);
  return inside.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (whole, decimal, hexadecimal, entity) => {
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    if (hexadecimal !== undefined) return String.fromCodePoint(Number.parseInt(hexadecimal, 16));
    return ENTITIES[entity] ?? whole;
  });
}
