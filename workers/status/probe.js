/** One look at the API's health, from outside it. */

import { COMPONENTS } from "../lib/health.js";
import { failureName, logFailure } from "../lib/log.js";

/** @import { Component, ComponentHealth, Health, HealthReport } from "../lib/health.js" */

/** The report itself takes two seconds at most; the rest is for a slow way there. */
const PROBE_MILLISECONDS = 5_000;

/** The API is a component too: its own report cannot say that it is unreachable. */
/** @typedef {"api" | Component} ProbedComponent */

/**
 * @typedef {object} Probe
 * @property {boolean} answered whether a health report came back
 * @property {Health} status
 * @property {Record<ProbedComponent, ComponentHealth>} components
 */

/**
 * @param {string} url of the health report
 * @returns {Promise<Probe>} never rejects: no answer is an answer
 */
export async function probe(url) {
  try {
    const response = await fetch(url, {
      headers: { accept: "application/json" },
      redirect: "manual",
      signal: AbortSignal.timeout(PROBE_MILLISECONDS),
    });
    return read(await response.json(), response.ok);
  } catch (error) {
    logFailure("probe failed", { error: failureName(error) });
    return NO_ANSWER;
  }
}

/** @type {Probe} */
const NO_ANSWER = {
  answered: false,
  status: "down",
  components: { api: "down", edge: "unknown", database: "unknown", objectStorage: "unknown" },
};

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
  const components = { ...NO_ANSWER.components, api: /** @type {ComponentHealth} */ ("ok") };
  for (const name of COMPONENTS) components[name] = componentHealth(report.components?.[name]?.status);
  return { answered: true, status: ok ? report.status : "down", components };
}

/**
 * @param {unknown} value
 * @returns {ComponentHealth}
 */
function componentHealth(value) {
  return value === "ok" || value === "degraded" || value === "down" ? value : "unknown";
}
