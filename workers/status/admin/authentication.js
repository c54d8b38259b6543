/** Authenticates operators by bearer tokens. This Worker knows only the tokens' SHA-256. */

import { digestOf, holderOf } from "../../lib/bearer.js";
import { HttpError } from "./http-error.js";

/** @import { Env } from "../env.js" */

const LIMIT_SECONDS = 60;

/**
 * Counts the call, then returns its operator. Over the rate limit a token is not checked.
 *
 * @param {Request} request
 * @param {Env} env
 * @returns {Promise<string>}
 * @throws {HttpError} 429 or 401
 * @throws {Error} if OPERATORS is invalid
 */
export async function authenticated(request, env) {
  const { success } = await env.ADMIN_LIMIT.limit({ key: request.headers.get("cf-connecting-ip") ?? "" });
  if (!success) {
    throw new HttpError(429, "too many calls; try again in a minute", {}, { "retry-after": String(LIMIT_SECONDS) });
  }
  const operator = await holderOf(request, operatorsOf(env.OPERATORS));
  if (operator === undefined) {
    throw new HttpError(401, "an operator's token is needed", {}, { "www-authenticate": "Bearer" });
  }
  return operator;
}

/**
 * @param {string} text JSON, digests in hexadecimal by operator
 * @returns {Map<string, Uint8Array>}
 * @throws {Error} without the text, which is confidential
 */
function operatorsOf(text) {
  /** @type {unknown} */
  const operators = JSON.parse(text);
  if (typeof operators !== "object" || operators === null || Array.isArray(operators)) {
    throw new TypeError("OPERATORS is not an object");
  }
  return new Map(Object.entries(operators).map(([operator, digest]) => [operator, digestOf(digest, "OPERATORS")]));
}
