/** Renders ninety days of a component, as a strip of bars and as text. Pure. */

import { HISTORY_DAYS } from "../model.js";
import { DAY_MINUTES, percent } from "../uptime.js";
import { counted, duration, plain } from "./html.js";

/** @import { Day } from "../model.js" */

/**
 * How a day is drawn; `none`: most of it is unknown, `gaps`: more minutes are unknown than usual
 *
 * @typedef {"ok" | "degraded" | "down" | "gaps" | "none"} DayState
 */

/**
 * A single failing sample may be a network problem of the probe and opens no incident. So one minute down is amber, two
 * are red, and one degraded minute is not drawn.
 */
const CONFIRMED_MINUTES = 2;

/** Cloudflare sometimes skips a cron call. From this number of missing minutes a day on, the gap is shown. */
const GAP_MINUTES = 15;

/** If there are more bad days, only their number is shown. */
const LISTED_DAYS = 3;

/** Order of drawing: later states cover earlier ones. */
const DRAWN = /** @type {const} */ (["none", "gaps", "ok", "degraded", "down"]);

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/**
 * @param {Day | undefined} day undefined if nothing was recorded
 * @param {number} minutes number of minutes of the day that are over
 * @returns {DayState} the worst recorded state
 */
export function dayState(day, minutes) {
  if (day === undefined) return "none";
  if (day.down >= CONFIRMED_MINUTES) return "down";
  if (day.down > 0 || day.degraded >= CONFIRMED_MINUTES) return "degraded";
  const unknown = minutes - day.ok - day.degraded;
  if (unknown > minutes / 2) return "none";
  return unknown < GAP_MINUTES ? "ok" : "gaps";
}

/**
 * @param {readonly Day[]} days oldest first; days without samples are absent
 * @param {Date} now
 * @returns {string} an SVG of one unit a day, today at the right. States differ in height and in colour; `summary` gives
 *   the same information as text.
 */
export function strip(days, now) {
  const states = lastDays(days, now).map(({ day, minutes }) => dayState(day, minutes));
  // Bad days are drawn over the known days, so that the path of known days has few parts and compresses well.
  const known = states.map((state) => (state === "none" || state === "gaps" ? state : "ok"));
  const paths = DRAWN.map((state) => [state, runs(state === "ok" ? known : states, state)])
    .filter(([, path]) => path !== "")
    .map(([state, path]) => `<path${state === "ok" ? "" : ` class=${state}`} d="${path}"/>`);
  return `<svg viewBox="0 -6 ${HISTORY_DAYS} 12" preserveAspectRatio=none role=none>${paths.join("")}</svg>`;
}

/**
 * @param {readonly DayState[]} states
 * @param {DayState} drawn
 * @returns {string} an SVG path through the days of that state: `M0 0h42m1 0h47`
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
 * @returns {{ figure: string, rest: string }} uptime of known minutes (`99.981 %`); bad days and unknown time
 */
export function summary(days, now) {
  const [down, known] = days.reduce(([a, b], day) => [a + day.down, b + day.down + day.ok + day.degraded], [0, 0]);
  const share = percent(known - down, known);
  if (share === null) return { figure: "", rest: "Nothing recorded yet" };

  const all = lastDays(days, now).map((one) => ({ ...one, state: dayState(one.day, one.minutes) }));
  const over = all.reduce((sum, { minutes }) => sum + minutes, 0);
  const bad = badDays(days, now);
  const dark = all.some(({ state }) => state === "none" || state === "gaps");
  const named = bad.length > LISTED_DAYS ? "" : `: ${bad.map(trouble).join(", ")}`;
  const parts = [
    ...(bad.length > 0 ? [`${counted(bad.length, "bad day")}${named}`] : []),
    ...(dark ? [`${duration(over - known)} unknown`] : []),
  ];
  return { figure: `${plain(share.slice(0, -1))} %`, rest: parts.map((part) => `; ${part}`).join("") };
}

/**
 * @param {readonly Day[]} days
 * @param {Date} now
 * @returns {Day[]} the days that are drawn as down or degraded, the latest first
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
  const problem = down > 0 ? `${duration(down)} down` : `${duration(degraded)} degraded`;
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${problem}`;
}

/**
 * @param {readonly Day[]} days
 * @param {Date} now
 * @returns {{ day: Day | undefined, minutes: number }[]} one for each day, oldest first, with its number of past minutes
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
