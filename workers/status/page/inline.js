/** Style and script as the page holds them: what is for people who read the source is left out. */

import { live } from "./live.js";
import { STYLE } from "./style.js";

export const CSS = STYLE.replace(/\s*([{};,>]|:(?= )|$)\s*/g, "$1").replaceAll(";}", "}");

/** Comments and indents; a line's end goes where it surely ends nothing. */
export const SCRIPT = `(${live})()`
  .replace(/\/\*.*?\*\/ ?/gs, "")
  .replace(/^ *\/\/.*$/gm, "")
  .replace(/\s*\n\s*/g, "\n")
  .replace(/(?<=[{(,;])\n|\n(?=[})])/g, "");
