/** When a copy counts as a copy. Pure. */

/** Custom metadata of a copy: the etag of what it was copied from. */
export const SOURCE_ETAG = "source-etag";

/**
 * Compares what the stores know about the two objects, not their bytes: by SHA-256 where the source has one; else (a
 * multipart upload carries no checksum, and its etag depends on its parts) by the etag that the copy was made from.
 *
 * @param {R2Object} source
 * @param {R2Object} copy
 * @returns {boolean}
 */
export function isCopy(source, copy) {
  if (source.size !== copy.size) return false;
  const { sha256 } = source.checksums.toJSON();
  if (sha256 !== undefined) return copy.checksums.toJSON().sha256 === sha256;
  return copy.customMetadata?.[SOURCE_ETAG] === source.etag;
}
