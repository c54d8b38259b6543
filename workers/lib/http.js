/** Public HTTP responses: uncached, from read-only paths, and with JSON errors that reveal no internals. */

import { failureName, logFailure } from "./log.js";

const SHARED_HEADERS = {
  "cache-control": "no-store",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

const NOTHING_LOADS = "default-src 'none'; frame-ancestors 'none'";

/**
 * @param {unknown} body
 * @param {number} [status]
 * @param {Record<string, string>} [headers]
 * @returns {Response}
 */
export function json(body, status = 200, headers = {}) {
  return new Response(`${JSON.stringify(body)}\n`, {
    status,
    headers: {
      ...SHARED_HEADERS,
      "content-security-policy": NOTHING_LOADS,
      "content-type": "application/json; charset=utf-8",
      ...headers,
    },
  });
}

/**
 * @param {string | null} body
 * @param {string} type
 * @param {Record<string, string>} headers replace the default ones; an HTML page sets its own `content-security-policy`
 * @param {number} [status]
 * @returns {Response}
 */
export function text(body, type, headers, status = 200) {
  return new Response(body, {
    status,
    headers: {
      ...SHARED_HEADERS,
      "content-security-policy": NOTHING_LOADS,
      "content-type": `${type}; charset=utf-8`,
      ...headers,
    },
  });
}

/** @returns {Response} */
export function notFound() {
  return json({ error: "not found" }, 404);
}

/**
 * Answers a GET or HEAD request with the page of its path. Any other path gets 404, any other method 405, a failure 500.
 *
 * @param {Request} request
 * @param {Record<string, () => Promise<Response>>} pages by exact path
 * @returns {Promise<Response>}
 */
export async function route(request, pages) {
  const path = new URL(request.url).pathname;
  const page = pages[path];
  if (page === undefined) return notFound();
  if (request.method !== "GET" && request.method !== "HEAD") {
    return json({ error: "method not allowed" }, 405, { allow: "GET, HEAD" });
  }
  try {
    const response = await page();
    return request.method === "HEAD" ? new Response(null, response) : response;
  } catch (error) {
    logFailure("request failed", { path, error: failureName(error) });
    return json({ error: "internal error" }, 500);
  }
}
