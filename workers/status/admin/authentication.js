/** Who calls: an operator by a bearer token, of which this Worker knows the SHA-256 alone. */

import { unhex, utf8 } from "../../lib/bytes.js";
import { Refusal } from "./refusal.js";

/** @import { Env } from "../env.js" */

const BEARER = /^Bearer +(\S+)$/i;
const SHA256 = /^[0-9a-f]{64}$/;
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
  const operators = operatorsOf(env.OPERATORS);
  const token = BEARER.exec(request.headers.get("authorization") ?? "")?.[1];
  const operator = token === undefined ? undefined : await holderOf(token, operators);
  if (operator === undefined) {
    throw new Refusal(401, "an operator's token is needed", {}, { "www-authenticate": "Bearer" });
  }
  return operator;
}

/**
 * Compares with every operator's digest, in constant time each, so that the time taken tells nothing.
 *
 * @param {string} token
 * @param {ReadonlyMap<string, Uint8Array>} operators
 * @returns {Promise<string | undefined>}
 */
async function holderOf(token, operators) {
  const digest = await crypto.subtle.digest("SHA-256", utf8(token));
  /** @type {string | undefined} */
  let holder;
  for (const [operator, expected] of operators) {
    if (crypto.subtle.timingSafeEqual(digest, expected)) holder = operator;
  }
  return holder;
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
  return new Map(Object.entries(operators).map(([operator, digest]) => [operator, bytesOf(digest)]));
}

/**
 * @param {unknown} digest
 * @returns {Uint8Array}
 */
function bytesOf(digest) {
  if (typeof digest !== "string" || !SHA256.test(digest)) throw new TypeError("OPERATORS holds what is no SHA-256");
  return unhex(digest);
}
