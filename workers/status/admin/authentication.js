/** Who calls: an operator by a bearer token, of which this Worker knows the SHA-256 alone. */

import { digestOf, holderOf } from "../../lib/bearer.js";
import { Refusal } from "./refusal.js";

/** @import { Env } from "../env.js" */

const LIMIT_SECONDS = 60;

/**
 * Counts the call, then names its operator. Whoever calls too often learns nothing about tokens.
 *
 * @param {Request} request
 * @param {Env} env
 * @returns {Promise<string>}
 * @throws {Refusal} 429 or 401
 * @throws {Error} when OPERATORS is not what it should be
 */
export async function authenticated(request, env) {
  const { success } = await env.ADMIN_LIMIT.limit({ key: request.headers.get("cf-connecting-ip") ?? "" });
  if (!success) {
    throw new Refusal(429, "too many calls; wait a minute", {}, { "retry-after": String(LIMIT_SECONDS) });
  }
  const operator = await holderOf(request, operatorsOf(env.OPERATORS));
  if (operator === undefined) {
    throw new Refusal(401, "an operator's token is needed", {}, { "www-authenticate": "Bearer" });
  }
  return operator;
}

/**
 * @param {string} text JSON, digests in hexadecimal by operator
 * @returns {Map<string, Uint8Array>}
 * @throws {Error} without the text, which is nobody's to read
 */
function operatorsOf(text) {
  /** @type {unknown} */
  const operators = JSON.parse(text);
  if (typeof operators !== "object" || operators === null || Array.isArray(operators)) {
    throw new TypeError("OPERATORS is not an object");
  }
  return new Map(Object.entries(operators).map(([operator, digest]) => [operator, digestOf(digest, "OPERATORS")]));
}
