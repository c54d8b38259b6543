/** Style and script as the page holds them: what is for people who read the source is left out. */

import { live } from "./live.js";
import { STYLE } from "./style.js";

export const CSS = STYLE.trim()
  .replace(/\s*([{};,>]|:(?= ))\s*/g, "$1")
  .replaceAll(";}", "}");

/** Comments go, and the space around marks; strings, templates and patterns stay as they are. */
export const SCRIPT = `(${live})()`
  .replace(/\/\*.*?\*\//gs, "")
  .replace(/^ *\/\/.*$/gm, "")
  .replace(/"[^"]*"|`[^`]*`|\/\S+\/|\s*([=<>?:&|,;{}()])\s*/g, (found, mark) => mark ?? found);
