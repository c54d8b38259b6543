/** When a copy counts as a copy. Pure. */

/** Metadata of a copy: the etag of what it was copied from. */
export const SOURCE_ETAG = "source-etag";

/**
 * @typedef {object} Copy what a store knows of an object
 * @property {number} size bytes
 * @property {string | undefined} sha256 hexadecimal; undefined when the store was never told
 * @property {string | undefined} sourceEtag of the object that it was copied from, at that time
 */

/**
 * Compares what the stores know about the two objects, not their bytes: by SHA-256 where the source has one; else (a
 * multipart upload carries no checksum, and its etag depends on its parts) by the etag that the copy was made from.
 *
 * @param {R2Object} source
 * @param {Copy | null} copy
 * @returns {boolean}
 */
export function isCopy(source, copy) {
  if (copy === null || source.size !== copy.size) return false;
  const { sha256 } = source.checksums.toJSON();
  return sha256 === undefined ? copy.sourceEtag === source.etag : copy.sha256 === sha256;
}
