/** Compares the metadata of an object and its copy. Pure. */

/** Metadata key of a copy: the etag of its source object. */
export const SOURCE_ETAG = "source-etag";

/**
 * @typedef {object} Copy metadata of an object in a store
 * @property {number} size in bytes
 * @property {string | undefined} sha256 hexadecimal; undefined when the object was uploaded without one
 * @property {string | undefined} sourceEtag etag of the source object at the time of copying
 */

/**
 * Returns whether the metadata shows that an object is a current copy of another one. It does not read the bytes.
 *
 * It compares the SHA-256 if the source has one. A multipart upload has none, and its etag depends on its parts; then it
 * compares the etag of the source that the copy recorded.
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
