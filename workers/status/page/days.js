/** Ninety days of a component, as a strip of bars and as words. Pure. */

import { HISTORY_DAYS } from "../model.js";
import { DAY_MINUTES, percent } from "../uptime.js";
import { counted, duration, plain } from "./html.js";

/** @import { Day } from "../model.js" */

/**
 * What a day is drawn as; `none`: most of it is not known, `gaps`: more of it is not than may be by chance
 *
 * @typedef {"ok" | "degraded" | "down" | "gaps" | "none"} DayState
 */

/**
 * One failing look may be the way there, and no incident is opened for it: so one minute down is amber, two are red,
 * and one degraded minute is not drawn.
 */
const BELIEVED_MINUTES = 2;

/** A cron call is left out now and then; this many in a day are more than that, and are said. */
const GAP_MINUTES = 15;

/** More bad days than these are only counted: a list of them would say less than the strip. */
const NAMED_DAYS = 3;

/** In this order, one over the other. */
const DRAWN = /** @type {const} */ (["none", "gaps", "ok", "degraded", "down"]);

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/**
 * @param {Day | undefined} day undefined when nothing of it was recorded
 * @param {number} minutes of the day that are over
 * @returns {DayState} the worst that was seen
 */
export function dayState(day, minutes) {
  if (day === undefined) return "none";
  if (day.down >= BELIEVED_MINUTES) return "down";
  if (day.down > 0 || day.degraded >= BELIEVED_MINUTES) return "degraded";
  const unknown = minutes - day.ok - day.degraded;
  if (unknown > minutes / 2) return "none";
  return unknown < GAP_MINUTES ? "ok" : "gaps";
}

/**
 * @param {readonly Day[]} days oldest first; days without samples are absent
 * @param {Date} now
 * @returns {string} an SVG of one unit a day, today at its right; states differ in height as well as in colour. What it
 *   shows, `summary` says in words beside it.
 */
export function strip(days, now) {
  const states = lastDays(days, now).map(({ day, minutes }) => dayState(day, minutes));
  // Trouble is drawn over the days that are known: their run is seldom broken, and strips look alike to a compressor.
  const known = states.map((state) => (state === "none" || state === "gaps" ? state : "ok"));
  const paths = DRAWN.map((state) => [state, runs(state === "ok" ? known : states, state)])
    .filter(([, path]) => path !== "")
    .map(([state, path]) => `<path${state === "ok" ? "" : ` class=${state}`} d="${path}"/>`);
  return `<svg viewBox="0 -6 ${HISTORY_DAYS} 12" preserveAspectRatio=none role=none>${paths.join("")}</svg>`;
}

/**
 * @param {readonly DayState[]} states
 * @param {DayState} drawn
 * @returns {string} a path along the middle, through the days of that state: `M0 0h42m1 0h47`
 */
function runs(states, drawn) {
  let path = "";
  let drawnTo = 0;
  for (let from = states.indexOf(drawn); from >= 0; from = states.indexOf(drawn, drawnTo)) {
    const end = states.findIndex((state, day) => day > from && state !== drawn);
    const to = end < 0 ? states.length : end;
    path += path === "" ? `M${from} 0h${to - from}` : `m${from - drawnTo} 0h${to - from}`;
    drawnTo = to;
  }
  return path;
}

/**
 * @param {readonly Day[]} days
 * @param {Date} now
 * @returns {{ figure: string, rest: string }} `99.981 %` of known minutes, and what was bad or is not known
 */
export function summary(days, now) {
  const [down, known] = days.reduce(([a, b], day) => [a + day.down, b + day.down + day.ok + day.degraded], [0, 0]);
  const share = percent(known - down, known);
  if (share === null) return { figure: "", rest: "Nothing recorded yet" };

  const all = lastDays(days, now).map((one) => ({ ...one, state: dayState(one.day, one.minutes) }));
  const over = all.reduce((sum, { minutes }) => sum + minutes, 0);
  const bad = badDays(days, now);
  const dark = all.some(({ state }) => state === "none" || state === "gaps");
  const named = bad.length > NAMED_DAYS ? "" : `: ${bad.map(trouble).join(", ")}`;
  const parts = [
    ...(bad.length > 0 ? [`${counted(bad.length, "bad day")}${named}`] : []),
    ...(dark ? [`${duration(over - known)} unknown`] : []),
  ];
  return { figure: `${plain(share.slice(0, -1))} %`, rest: parts.map((part) => `; ${part}`).join("") };
}

/**
 * @param {readonly Day[]} days
 * @param {Date} now
 * @returns {Day[]} those on which something was seen to be down or degraded, the latest first
 */
export function badDays(days, now) {
  return lastDays(days, now)
    .flatMap(({ day, minutes }) => (day && ["down", "degraded"].includes(dayState(day, minutes)) ? [day] : []))
    .reverse();
}

/**
 * @param {Day} day
 * @returns {string} `3 Oct 12 min down`
 */
export function trouble({ day, down, degraded }) {
  const date = new Date(day * DAY_MINUTES * 60_000);
  const what = down > 0 ? `${duration(down)} down` : `${duration(degraded)} degraded`;
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${what}`;
}

/**
 * @param {readonly Day[]} days
 * @param {Date} now
 * @returns {{ day: Day | undefined, minutes: number }[]} one a day, oldest first, with how many of its minutes are over
 */
function lastDays(days, now) {
  const minute = Math.floor(now.getTime() / 60_000);
  const today = Math.floor(minute / DAY_MINUTES);
  const byNumber = new Map(days.map((day) => [day.day, day]));
  return Array.from({ length: HISTORY_DAYS }, (_, index) => {
    const number = today - HISTORY_DAYS + 1 + index;
    return { day: byNumber.get(number), minutes: number === today ? minute % DAY_MINUTES : DAY_MINUTES };
  });
}
