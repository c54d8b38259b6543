/** The status Worker: looks at the API from outside, now and every minute, and says what it sees. */

import { now } from "../lib/clock.js";
import { html, json, route } from "../lib/http.js";
import { read, record } from "./history.js";
import { render } from "./page.js";
import { probe } from "./probe.js";

/** @import { Health } from "../lib/health.js" */

/**
 * @typedef {object} Env
 * @property {D1Database} DB
 * @property {string} HEALTH_URL of the API's health report
 * @property {string} CONTACT e-mail address for questions about availability
 * @property {string} PLATFORM display name
 * @property {string} [CLOCK] only in tests
 */

const REFRESH_SECONDS = 60;

/** Statuspage's indicators and descriptions, which its clients expect word for word. */
/** @type {Record<Health, { indicator: string, description: string }>} */
const STATUSPAGE = {
  ok: { indicator: "none", description: "All Systems Operational" },
  degraded: { indicator: "minor", description: "Partially Degraded Service" },
  down: { indicator: "critical", description: "Major Service Outage" },
};

/**
 * @param {Env} env
 * @returns {Promise<Response>}
 */
async function page(env) {
  const time = now(env);
  const [seen, history] = await Promise.all([probe(env.HEALTH_URL), read(env.DB, time)]);
  const nonce = crypto.randomUUID();
  const body = render({ platform: env.PLATFORM, contact: env.CONTACT, nonce, time, probe: seen, history });
  return html(body, {
    "content-security-policy": [
      "default-src 'none'",
      `style-src 'nonce-${nonce}'`,
      "img-src data:",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join("; "),
    // Reloads without JavaScript.
    refresh: String(REFRESH_SECONDS),
  });
}

/**
 * @param {Env} env
 * @param {URL} url
 * @returns {Promise<Response>} Statuspage's `status.json`
 */
async function statusJson(env, url) {
  const { status } = await probe(env.HEALTH_URL);
  const page = {
    id: url.hostname,
    name: env.PLATFORM,
    url: url.origin,
    time_zone: "Etc/UTC",
    updated_at: now(env).toISOString(),
  };
  return json({ page, status: STATUSPAGE[status] }, 200, { "access-control-allow-origin": "*" });
}

/** @satisfies {ExportedHandler<Env>} */
export default {
  fetch(request, env) {
    const url = new URL(request.url);
    return route(request, { "/": () => page(env), "/api/v2/status.json": () => statusJson(env, url) });
  },

  async scheduled(controller, env) {
    await record(env.DB, new Date(controller.scheduledTime), await probe(env.HEALTH_URL));
  },
};
