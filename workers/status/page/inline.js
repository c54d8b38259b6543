/** Style and script as the page holds them: what is for people who read the source is left out. */

import { live } from "./live.js";
import { STYLE } from "./style.js";

export const CSS = STYLE.trim()
  .replace(/\s*([{};,>]|:(?= ))\s*/g, "$1")
  .replaceAll(";}", "}");

/** Comments go, what cannot be assigned, and the space around marks; strings, templates and patterns stay as they are. */
const source = `(${live})()`
  .replace(/\/\*.*?\*\//gs, "")
  .replace(/^ *\/\/.*$/gm, "")
  .replace(/\bconst /g, "let ")
  .replace(/"[^"]*"|`[^`]*`|\/\S+\/|\s*([=<>?:&|,;{}()+-])\s*/g, (found, mark) => mark ?? found);

/** Names of the script's own constants and variables, which are shortened; words of its templates are none of them. */
const names = new Set([...source.matchAll(/\blet (\w+)(?==| of)/g)].map(([, name]) => `${name}`));
const letters = new Map([...names].map((name, index) => [name, `$${index.toString(36)}`]));

export const SCRIPT = source.replace(/"[^"]*"|\/\S+\/|(?<!\w|[^.]\.)\w+/g, (found) => letters.get(found) ?? found);
