/** Who calls, by a bearer token, of which a Worker knows the SHA-256 alone. */

import { unhex, utf8 } from "./bytes.js";

const BEARER = /^Bearer +(\S+)$/i;
const SHA256 = /^[0-9a-f]{64}$/;

/**
 * Compares with every holder's digest, in constant time each, so that the time taken tells nothing.
 *
 * @param {Request} request
 * @param {ReadonlyMap<string, Uint8Array>} digests by holder
 * @returns {Promise<string | undefined>} whose token came with the request
 */
export async function holderOf(request, digests) {
  const token = BEARER.exec(request.headers.get("authorization") ?? "")?.[1];
  if (token === undefined) return undefined;
  const digest = await crypto.subtle.digest("SHA-256", utf8(token));
  /** @type {string | undefined} */
  let found;
  for (const [holder, expected] of digests) {
    if (crypto.subtle.timingSafeEqual(digest, expected)) found = holder;
  }
  return found;
}

/**
 * @param {unknown} text hexadecimal
 * @param {string} binding where it comes from
 * @returns {Uint8Array} for `holderOf`
 * @throws {Error} without the text, which is nobody's to read
 */
export function digestOf(text, binding) {
  if (typeof text !== "string" || !SHA256.test(text)) throw new TypeError(`${binding} holds what is no SHA-256`);
  return unhex(text);
}
