/** Probes all components from outside. */

import { forEachConcurrently } from "../lib/concurrency.js";
import { COMPONENTS } from "../lib/health.js";
import { failureName, logFailure } from "../lib/log.js";

/** @import { ComponentHealth, Health, HealthReport } from "../lib/health.js" */
/** @import { Component } from "./model.js" */

/** The API's report takes two seconds at most; the rest is for a slow network. */
const PROBE_MILLISECONDS = 5_000;

/** Cloudflare Workers may open six connections; one remains for the database. */
const PARALLEL_PROBES = 5;

/**
 * @typedef {object} Probe
 * @property {boolean} answered whether the API returned a health report
 * @property {Health} status of the platform, as customers experience it
 * @property {Record<string, ComponentHealth>} components by id
 * @property {string[]} pending ids of components that had not answered before the timeout
 */

/**
 * Requests the API's health report, and the URL of each added component.
 *
 * @param {string} healthUrl of the API's report
 * @param {readonly Component[]} components those with a `url` are probed directly
 * @param {number} timeout milliseconds for all probes; components without an answer by then are pending
 * @returns {Promise<Probe>} never rejects
 */
export async function probe(healthUrl, components, timeout) {
  const end = AbortSignal.timeout(timeout);
  const added = components.filter(({ url }) => url !== undefined);
  /** @type {Record<string, ComponentHealth>} */
  const states = Object.fromEntries(added.map(({ id }) => [id, "unknown"]));
  const pending = new Set([...Object.keys(NO_ANSWER.components), ...Object.keys(states)]);
  let report = NO_ANSWER;
  const requests = [
    async () => {
      report = await requestReport(healthUrl);
      for (const id of Object.keys(report.components)) pending.delete(id);
    },
    ...added.map(({ id, url }) => async () => {
      states[id] = (await answers(/** @type {string} */ (url))) ? "ok" : "down";
      pending.delete(id);
    }),
  ];
  const sent = forEachConcurrently(requests, PARALLEL_PROBES, async (send) => {
    if (!end.aborted) await send();
  });
  await Promise.race([sent, new Promise((resolve) => end.addEventListener("abort", resolve))]);
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
async function requestReport(url) {
  try {
    const response = await request(url);
    return read(await response.json(), response.ok);
  } catch (error) {
    logFailure("probe failed", { error: failureName(error) });
    return NO_ANSWER;
  }
}

/**
 * @param {string} url
 * @returns {Promise<boolean>} whether it answers with a 2xx status
 */
async function answers(url) {
  try {
    const response = await request(url);
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
function request(url) {
  return fetch(url, {
    headers: { accept: "application/json" },
    redirect: "manual",
    signal: AbortSignal.timeout(PROBE_MILLISECONDS),
  });
}

/**
 * Takes only known fields and values from a report, so that nothing else can reach the page.
 *
 * @param {unknown} body
 * @param {boolean} ok whether the HTTP status was 2xx
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
