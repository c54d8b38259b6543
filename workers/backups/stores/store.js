/** What a store of a copy can do, the time that it may take, and its errors. */

/** @import { Copy } from "../copies.js" */

/** @typedef {{ largestPut: number, partBytes: number }} Sizes limits of a store, as in `Store` */

/** @typedef {{ number: number, etag: string, sha256: string }} Part of a multipart upload; `number` from 1 */

/**
 * @typedef {object} Content of an object
 * @property {ReadableStream} body
 * @property {number} size in bytes
 * @property {string} [etag] of the source object, if the source has no SHA-256; it becomes metadata of the copy
 * @property {Record<string, string>} [metadata]
 */

/** @typedef {{ key: string, size: number, uploaded: Date }} ListEntry an object in the listing of a store */

/**
 * @typedef {object} Store its methods throw when the store fails or does not answer in time
 * @property {string} name of the copy
 * @property {number} largestPut the largest object that `put` accepts, in bytes
 * @property {number} partBytes the size of each part of a multipart upload but the last, in bytes
 * @property {(key: string) => Promise<Copy | null>} head null when there is no such object
 * @property {(key: string) => Promise<Content | null>} get null when there is no such object
 * @property {(key: string, content: Content, sha256: string) => Promise<void>} put stores nothing if the SHA-256 does not match;
 *   the body must be a stream with a known length
 * @property {(key: string, content: Content, sha256: string) => Promise<string>} beginUpload begins a multipart upload with the
 *   metadata, and returns its id
 * @property {(key: string, upload: string, number: number, bytes: Uint8Array, sha256: string) => Promise<string>} putPart returns
 *   the part's etag
 * @property {(key: string, upload: string, parts: Part[]) => Promise<void>} completeUpload stores the object
 * @property {(key: string, upload: string) => Promise<void>} abortUpload
 * @property {(keys: string[]) => Promise<string[]>} remove deletes at most 1,000 objects; returns the keys that were not deleted
 * @property {(after: string | undefined, prefix?: string) => Promise<{ objects: ListEntry[], more: boolean }>} list returns
 *   the next objects by key: up to 1,000, and at least one while `more` is true. It throws `StalledListing` when the
 *   store repeats empty pages
 */

/** The name of the copy that machines write to. */
export const PRIMARY = "primary";

/** The largest object that can be read and hashed within the 15 minutes of one invocation, at 60 MiB/s. */
export const LARGEST_READ = 50 * 1_024 ** 3;

/** Metadata key of a copy that has no checksum of the store: its SHA-256, as it was compared before the upload was completed. */
export const SHA256 = "sha256";

/** Timeout of a call that transfers no object. */
export const CALL_MILLISECONDS = 30_000;

/** Timeout for combining the parts of an upload, which takes S3 some minutes if there are thousands. */
export const COMPLETE_MILLISECONDS = 300_000;

/** The slowest acceptable transfer, in bytes per millisecond (4 MiB/s); it determines the timeout of a transfer. */
const SLOWEST_BYTES_A_MILLISECOND = 4 * 1_024;

/**
 * @param {number} size of the transferred object, in bytes
 * @returns {number} timeout of the transfer, in milliseconds
 */
export function timeoutOf(size) {
  return CALL_MILLISECONDS + size / SLOWEST_BYTES_A_MILLISECOND;
}

/**
 * @param {number} size in bytes
 * @returns {boolean} whether an object is too large to be copied: one invocation cannot read and hash all of it
 */
export function isOversize(size) {
  return size > LARGEST_READ;
}

/**
 * Returns the time in which a destination must take the first bytes of an object that is copied to several at once. It is
 * shorter than `timeoutOf`, so that the others have time to complete after a slow one was given up.
 *
 * @param {number} bytes
 * @returns {number} milliseconds
 */
export function writeTimeoutOf(bytes) {
  return timeoutOf(bytes) - CALL_MILLISECONDS / 2;
}

/** An error response of a store. Its name has the method and the status, such as `GET 503`; it has no message. */
export class StoreError extends Error {
  /**
   * @param {string} method
   * @param {number} status
   */
  constructor(method, status) {
    super();
    this.name = `${method} ${status}`;
  }
}

/** The source object is missing, or has another size or other bytes than expected. */
export class SourceMismatch extends Error {
  name = "SourceMismatch";
}
