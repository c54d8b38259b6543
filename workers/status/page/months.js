/** The SLA's months in words: uptime against its target, what is left to lose, and what was not known. Pure. */

import { counted, plain } from "./html.js";

/** @import { Statement } from "../uptime.js" */

/**
 * @param {Statement} statement
 * @returns {string}
 */
export function monthArticle({ month, complete, minutes, uptimePercent, atLeastPercent, ...promise }) {
  const name = monthName(month);
  const [state, word] =
    promise.met === null ? ["unknown", "not known"] : promise.met ? ["ok", "met"] : ["down", "missed"];
  const figure = uptimePercent === null ? "No minute known" : `${plain(uptimePercent)} %`;
  const sentences = [budget(promise)];
  if (promise.met === false) {
    sentences.push(credit(promise.creditPercent, complete));
  }
  if (minutes.unknown > 0) {
    sentences.push(
      `${counted(minutes.unknown, "minute")} ${minutes.unknown === 1 ? "is" : "are"} not known; were all of them down, uptime would be ${plain(atLeastPercent ?? "0.0")} %.`,
    );
  }
  if (minutes.excused > 0) {
    sentences.push(`${counted(minutes.excused, "minute")} of announced maintenance do not count.`);
  }
  const target = `Target ${plain(promise.targetPercent)} %${uptimePercent === null ? "" : `: <b class=${state}>${word}${complete ? "" : " so far"}</b>`}`;
  return `<article id=m-${month}><h3>${name}${complete ? "" : " so far"}</h3>
<p class=figure>${figure}</p>
<p>${target}. ${sentences.join(" ")} <a href=/sla/${month}.json>How ${name} was counted</a></p>
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
 * @param {boolean} complete whether the month is over: until then, nothing is owed yet
 * @returns {string}
 */
function credit(percent, complete) {
  if (percent === 0) return complete ? "No credit is due." : "No credit would be due, if the month ended now.";
  const what = `credited ${percent} % of the month’s fee`;
  return complete ? `Customers are ${what}.` : `Customers would be ${what}, if the month ended now.`;
}

/**
 * @param {Pick<Statement, "budgetMinutes" | "leftMinutes">} promise
 * @returns {string}
 */
function budget({ budgetMinutes, leftMinutes }) {
  const whole = `${plain(budgetMinutes)} minutes that may be down`;
  if (leftMinutes.startsWith("-")) return `The ${whole} are overspent by ${plain(leftMinutes.slice(1))}.`;
  return `Of the ${whole}, ${plain(leftMinutes)} are left.`;
}
