/** Authentication by bearer token. A Cloudflare Worker stores only the SHA-256 of each token. */

import { unhex, utf8 } from "./bytes.js";

const BEARER = /^Bearer +(\S+)$/i;
const SHA256 = /^[0-9a-f]{64}$/;

/**
 * Returns the holder of the request's bearer token.
 *
 * It compares with the digest of every holder, each in constant time, so that the duration reveals nothing.
 *
 * @param {Request} request
 * @param {ReadonlyMap<string, Uint8Array>} digests SHA-256 of each token, by holder
 * @returns {Promise<string | undefined>} undefined without a token, or with an unknown one
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
 * Decodes the SHA-256 of a token from a binding.
 *
 * @param {unknown} text 64 lower-case hexadecimal digits
 * @param {string} binding name of the binding, for the error
 * @returns {Uint8Array} for `holderOf`
 * @throws {TypeError} when the text is not a SHA-256. The message does not quote the text: it may be a secret
 */
export function digestOf(text, binding) {
  if (typeof text !== "string" || !SHA256.test(text)) {
    throw new TypeError(
      `the binding ${binding} is not a SHA-256 in lower-case hexadecimal; run pulumi up to bind it again`,
    );
  }
  return unhex(text);
}
