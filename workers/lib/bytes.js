/** Encodings of bytes (UTF-8, base64, hexadecimal), and HMAC-SHA-256. */

/**
 * @param {string} text
 * @returns {Uint8Array} UTF-8
 */
export function utf8(text) {
  return new TextEncoder().encode(text);
}

/**
 * @param {Uint8Array} bytes a few kilobytes at most, because each byte becomes an argument of one call
 * @returns {string}
 */
export function base64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

/**
 * @param {string} text base64
 * @returns {Uint8Array}
 */
export function unbase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/**
 * @param {ArrayBuffer | Uint8Array} bytes
 * @returns {string} two lower-case digits for each byte
 */
export function hex(bytes) {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {string} text two hexadecimal digits for each byte, without separators
 * @returns {Uint8Array}
 */
export function unhex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

/**
 * @param {Uint8Array} secret
 * @param {string} text
 * @returns {Promise<Uint8Array>} HMAC-SHA-256, 32 bytes
 */
export async function hmac(secret, text) {
  const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, utf8(text)));
}
