/** Renders a month's uptime: the target, the remaining downtime, unknown minutes and credits. Pure. */

import { counted, plain } from "./html.js";

/** @import { Statement } from "../uptime.js" */

/**
 * @param {Statement} statement
 * @returns {string}
 */
export function monthArticle({ month, complete, minutes, uptimePercent, atLeastPercent, ...promise }) {
  const name = monthName(month);
  const [state, word] =
    promise.met === null ? ["unknown", "unknown"] : promise.met ? ["ok", "met"] : ["down", "missed"];
  const figure = uptimePercent === null ? "No known minute" : `${plain(uptimePercent)} %`;
  const sentences = [budget(promise)];
  if (promise.met === false) {
    sentences.push(credit(promise.creditPercent, complete));
  }
  if (minutes.unknown > 0) {
    sentences.push(
      `${counted(minutes.unknown, "minute")} ${minutes.unknown === 1 ? "is" : "are"} unknown; if all were down, uptime would be ${plain(atLeastPercent ?? "0.0")} %.`,
    );
  }
  if (minutes.excused > 0) {
    sentences.push(
      `${counted(minutes.excused, "minute")} of announced maintenance ${minutes.excused === 1 ? "is" : "are"} not counted.`,
    );
  }
  const target = `Target ${plain(promise.targetPercent)} %${uptimePercent === null ? "" : `: <b class=${state}>${word}${complete ? "" : " so far"}</b>`}`;
  return `<article id=m-${month}><h3>${name}${complete ? "" : " so far"}</h3>
<p class=figure>${figure}</p>
<p>${target}. ${sentences.join(" ")} <a href=/sla/${month}.json>Details of ${name}</a></p>
</article>`;
}

/**
 * @param {string} month `2026-11`
 * @returns {string} `November 2026`
 */
export function monthName(month) {
  return new Date(`${month}-01T00:00:00Z`).toLocaleDateString("en", {
    month: "long",
    year: "numeric",
    timeZone: "UTC",
  });
}

/**
 * @param {number} percent of the month's fee
 * @param {boolean} complete whether the month is over; before that, no credit is due
 * @returns {string}
 */
function credit(percent, complete) {
  if (percent === 0) return complete ? "No credit is due." : "No credit would be due if the month ended now.";
  const credited = `credited ${percent} % of the month’s fee`;
  return complete ? `Customers are ${credited}.` : `Customers would be ${credited} if the month ended now.`;
}

/**
 * @param {Pick<Statement, "budgetMinutes" | "leftMinutes">} promise
 * @returns {string}
 */
function budget({ budgetMinutes, leftMinutes }) {
  const allowed = `${plain(budgetMinutes)} allowed minutes of downtime`;
  if (leftMinutes.startsWith("-")) return `The ${allowed} are exceeded by ${plain(leftMinutes.slice(1))}.`;
  return `${plain(leftMinutes)} of ${allowed} are left.`;
}
