/** Renders the last restore that a drill has verified. Pure. */

import { duration, escaped, stamp } from "./html.js";

/** @import { Restore } from "../model.js" */

/**
 * @param {Restore | null} restore null if no drill has verified one
 * @returns {string} HTML: a heading, and when, from which copy, how fast, and where it was tried
 */
export function lastRestore(restore) {
  const shown = restore === null ? "<p>No drill has verified a restore of the database yet.</p>" : article(restore);
  return `<h2>Last verified restore</h2>\n${shown}`;
}

/**
 * @param {Restore} restore
 * @returns {string}
 */
function article({ at, from, point, recoverySeconds, lossSeconds, stack, sandbox }) {
  const measured =
    lossSeconds === null
      ? `Into a second database, until its data could be read; it has the data until ${stamp(new Date(point))}`
      : `From the loss of the database until clients were served; ${lost(lossSeconds)}`;
  const figure = recoverySeconds === null ? "Recovery time not measured" : taken(recoverySeconds);
  const place = sandbox
    ? "the live sandbox on one computer, not on the real platform"
    : `the stack ${escaped(stack)} itself`;
  return `<article id=restore><h3>${stamp(new Date(at))}, from the copy ${escaped(from)}</h3>
<p class=figure>${figure}</p>
<p>${measured}. This was a drill on ${place}. <a href=/restore.json>Restore details</a></p>
</article>`;
}

/**
 * @param {number} seconds
 * @returns {string}
 */
function lost(seconds) {
  return seconds > 0 ? `the last ${taken(seconds)} of data were lost` : "no data were lost";
}

/**
 * @param {number} seconds
 * @returns {string} `24.8 s`, `3 min 26 s`, `2 h 5 min`: from a minute on rounded up, so that nothing looks faster
 */
function taken(seconds) {
  if (seconds < 60) return `${seconds} s`;
  const whole = Math.ceil(seconds);
  return whole < 3600 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : duration(Math.ceil(whole / 60));
}
