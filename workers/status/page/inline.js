/** Minifies style and script for the page. */

import { live } from "./live.js";
import { STYLE } from "./style.js";

export const CSS = STYLE.trim()
  .replace(/\s*([{};,>]|:(?= ))\s*/g, "$1")
  .replaceAll(";}", "}");

/**
 * Removes comments and spaces around punctuation, and replaces `const` by `let`. Strings, templates and regular
 * expressions stay unchanged.
 */
const source = `(${live})()`
  .replace(/\/\*.*?\*\//gs, "")
  .replace(/^ *\/\/.*$/gm, "")
  .replace(/\bconst /g, "let ")
  .replace(/"[^"]*"|`[^`]*`|\/\S+\/|\s*([=<>?:&|,;{}()+-])\s*/g, (found, mark) => mark ?? found);

/** The names of the script's variables, which are shortened. Texts in templates must not contain them. */
const names = new Set([...source.matchAll(/\blet (\w+)(?==| of)/g)].map(([, name]) => `${name}`));
const letters = new Map([...names].map((name, index) => [name, `$${index.toString(36)}`]));

export const SCRIPT = source.replace(/"[^"]*"|\/\S+\/|(?<!\w|[^.]\.)\w+/g, (found) => letters.get(found) ?? found);
