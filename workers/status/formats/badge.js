/** A badge for other web pages, in SVG 1.1 (https://www.w3.org/TR/SVG11/), to be used as an image. Pure. */

import { xml } from "../../lib/xml.js";
import { headline } from "../page/headline.js";
import { componentState, openIncidents } from "../page/state.js";

/** @import { Snapshot } from "../model.js" */

/**
 * White text has a contrast of at least 4.5:1 on each fill, and a light edge separates the badge from a dark page. The
 * shapes, 10 units wide and high, are those of the page, so that the state does not depend on colour alone.
 */
const WORDS = /** @type {const} */ ({
  operational: { fill: "#14713c", shape: "M1.2 5.4 4 8.2 8.8 2.2" },
  degraded: { fill: "#8a5300", shape: "M5 1.2 9.2 8.8H.8Z" },
  outage: { fill: "#b3261e", shape: "M1.5 1.5l7 7m0-7l-7 7" },
  maintenance: { fill: "#1a56b0", shape: "M5 .8 9.2 5 5 9.2.8 5Z" },
  unknown: { fill: "#566070", shape: "M1 5H9" },
});

const LABEL = "status";
const LABEL_FILL = "#3a424d";

/** In units; a badge is 20 units high. */
const PADDING = 7;
const SHAPE = 10;
const GAP = 5;

/** Approximate widths in Verdana at size 11; all other letters have 6.8. */
/** @type {[string, number][]} */
const LETTERS = [
  ["fijlrt", 4.3],
  ["cks", 5.8],
  ["mw", 10],
];

/**
 * @param {Snapshot} snapshot
 * @returns {string} a complete SVG document
 */
export function badge(snapshot) {
  const word = wordOf(snapshot);
  const { fill, shape } = WORDS[word];
  const title = xml(`${snapshot.platform} status: ${word}`);
  const [label, value] = [widthOf(LABEL), widthOf(word)];
  const divide = PADDING + label + PADDING;
  const start = divide + PADDING;
  const width = start + SHAPE + GAP + value + PADDING;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="20" viewBox="0 0 ${width} 20" role="img" aria-label="${title}">
<title>${title}</title>
<rect width="${width}" height="20" rx="4" fill="${LABEL_FILL}"/>
<path d="M${divide} 0H${width - 4}a4 4 0 0 1 4 4V16a4 4 0 0 1-4 4H${divide}Z" fill="${fill}"/>
<rect x=".5" y=".5" width="${width - 1}" height="19" rx="3.5" fill="none" stroke="#fff" stroke-opacity=".25"/>
<path d="${shape}" transform="translate(${start} 5)" fill="none" stroke="#fff" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,system-ui,sans-serif" font-size="11">
<text x="${PADDING}" y="14" textLength="${label}">${LABEL}</text>
<text x="${start + SHAPE + GAP}" y="14" textLength="${value}">${word}</text>
</g>
</svg>
`;
}

/**
 * @param {Snapshot} snapshot
 * @returns {keyof typeof WORDS} the headline in a word; `unknown` if no failure is known, but not everything is confirmed
 *   to work
 */
function wordOf(snapshot) {
  const { state } = headline(snapshot);
  if (state === "ok") return "operational";
  if (state === "down") return "outage";
  if (state === "maintenance") return "maintenance";
  const { components, probe } = snapshot;
  const wrong =
    (probe.status !== "ok" && !probe.pending.includes("api")) ||
    openIncidents(snapshot).some(({ impact }) => impact !== "none") ||
    components.some(({ id }) => ["degraded", "partial", "down"].includes(componentState(id, snapshot).state));
  return wrong ? "degraded" : "unknown";
}

/**
 * @param {string} text in lower case
 * @returns {number} width in units; the browser adjusts its font to it
 */
function widthOf(text) {
  const widths = [...text].map((letter) => LETTERS.find(([letters]) => letters.includes(letter))?.[1] ?? 6.8);
  return Math.round(widths.reduce((sum, width) => sum + width, 0));
}
