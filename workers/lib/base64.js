/**
 * @param {Uint8Array} bytes a few kilobytes at most: each becomes an argument
 * @returns {string}
 */
export function base64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}
