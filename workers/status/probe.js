/** One look at everything, from outside it. */

import { COMPONENTS } from "../lib/health.js";
import { inLanes } from "../lib/lanes.js";
import { failureName, logFailure } from "../lib/log.js";

/** @import { ComponentHealth, Health, HealthReport } from "../lib/health.js" */
/** @import { Component } from "./model.js" */

/** The API's report itself takes two seconds at most; the rest is for a slow way there. */
const PROBE_MILLISECONDS = 5_000;

/** Workers open six connections at once; this leaves one for the database beside the probe. */
const SIMULTANEOUS = 5;

/**
 * @typedef {object} Probe
 * @property {boolean} answered whether a health report came back
 * @property {Health} status of the platform: what a customer experiences
 * @property {Record<string, ComponentHealth>} components by id
 * @property {string[]} pending ids of those that had not answered when patience ended
 */

/**
 * Asks the API how it is, and each added component whether it answers.
 *
 * @param {string} healthUrl of the API's report
 * @param {readonly Component[]} components those with a `url` are asked themselves
 * @param {number} patience milliseconds in all; what has not answered by then is pending
 * @returns {Promise<Probe>} never rejects: no answer is an answer
 */
export async function probe(healthUrl, components, patience) {
  const end = AbortSignal.timeout(patience);
  const added = components.filter(({ url }) => url !== undefined);
  /** @type {Record<string, ComponentHealth>} */
  const states = Object.fromEntries(added.map(({ id }) => [id, "unknown"]));
  const pending = new Set([...Object.keys(NO_ANSWER.components), ...Object.keys(states)]);
  let report = NO_ANSWER;
  const questions = [
    async () => {
      report = await askReport(healthUrl);
      for (const id of Object.keys(report.components)) pending.delete(id);
    },
    ...added.map(({ id, url }) => async () => {
      states[id] = (await answers(/** @type {string} */ (url))) ? "ok" : "down";
      pending.delete(id);
    }),
  ];
  const asked = inLanes(questions, SIMULTANEOUS, async (ask) => {
    if (!end.aborted) await ask();
  });
  await Promise.race([asked, new Promise((resolve) => end.addEventListener("abort", resolve))]);
  const status = report.status === "ok" && Object.values(states).includes("down") ? "degraded" : report.status;
  return { ...report, status, components: { ...report.components, ...states }, pending: [...pending] };
}

/** @type {Probe} */
const NO_ANSWER = {
  answered: false,
  status: "down",
  components: { api: "down", ...Object.fromEntries(COMPONENTS.map((name) => [name, "unknown"])) },
  pending: [],
};

/**
 * @param {string} url
 * @returns {Promise<Probe>}
 */
async function askReport(url) {
  try {
    const response = await ask(url);
    return read(await response.json(), response.ok);
  } catch (error) {
    logFailure("probe failed", { error: failureName(error) });
    return NO_ANSWER;
  }
}

/**
 * @param {string} url
 * @returns {Promise<boolean>} whether it says that all is well
 */
async function answers(url) {
  try {
    const response = await ask(url);
    await response.body?.cancel();
    return response.ok;
  } catch (error) {
    logFailure("probe failed", { error: failureName(error) });
    return false;
  }
}

/**
 * @param {string} url
 * @returns {Promise<Response>}
 */
function ask(url) {
  return fetch(url, {
    headers: { accept: "application/json" },
    redirect: "manual",
    signal: AbortSignal.timeout(PROBE_MILLISECONDS),
  });
}

/**
 * Takes from a report only what is known here, so that nothing else can reach the page.
 *
 * @param {unknown} body
 * @param {boolean} ok whether the HTTP status said so
 * @returns {Probe}
 */
function read(body, ok) {
  const report = /** @type {Partial<HealthReport> | null} */ (body);
  if (report?.status !== "ok" && report?.status !== "degraded" && report?.status !== "down") return NO_ANSWER;
  /** @type {Record<string, ComponentHealth>} */
  const components = { api: "ok" };
  for (const name of COMPONENTS) components[name] = componentHealth(report.components?.[name]?.status);
  return { answered: true, status: ok ? report.status : "down", components, pending: [] };
}

/**
 * @param {unknown} value
 * @returns {ComponentHealth}
 */
function componentHealth(value) {
  return value === "ok" || value === "degraded" || value === "down" ? value : "unknown";
}
