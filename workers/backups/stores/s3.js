/** A copy in Amazon S3, or in a store with the same interface. */

import { hex, utf8 } from "../../lib/bytes.js";
import { now } from "../../lib/clock.js";
import { checksumOf, requestS3 } from "../../lib/s3.js";
import { elements, textOf, xml } from "../../lib/xml.js";
import { SOURCE_ETAG } from "../copies.js";
import { pages, StalledListing } from "../listing.js";
import { COMPLETE_MILLISECONDS, LARGEST_READ, SHA256, StoreError, timeoutOf } from "./store.js";

/** @import { Place } from "../../lib/s3.js" */
/** @import { Content, ListEntry, Sizes, Store } from "./store.js" */
/** @import { CopyBinding, Env } from "./stores.js" */

/**
 * @param {Env} env
 * @param {CopyBinding} copy
 * @param {Place} place
 * @param {Sizes} sizes
 * @returns {Store}
 */
export function s3Store(env, { name, lockMode = "" }, place, sizes) {
  const ask = (
    /** @type {Parameters<typeof requestS3>[1]} */ method,
    /** @type {string} */ key,
    /** @type {Parameters<typeof requestS3>[4]} */ request,
    size = 0,
  ) => requestS3(place, method, key, now(env), { signal: AbortSignal.timeout(timeoutOf(size)), ...request });
  const metadataOf = (/** @type {Content} */ { etag }, /** @type {string} */ sha256) => ({
    [`x-amz-meta-${SHA256}`]: sha256,
    ...(etag === undefined ? {} : { [`x-amz-meta-${SOURCE_ETAG}`]: etag }),
  });
  return {
    name,
    ...sizes,
    async head(key) {
      const response = await ask("HEAD", key, {});
      if (response.status === 404) return null;
      if (!response.ok) throw new StoreError("HEAD", response.status);
      return {
        size: Number(response.headers.get("content-length")),
        sha256: response.headers.get(`x-amz-meta-${SHA256}`) ?? undefined,
        sourceEtag: response.headers.get(`x-amz-meta-${SOURCE_ETAG}`) ?? undefined,
      };
    },
    async get(key) {
      // The size is not known before the response, so the timeout is that of the largest object.
      const response = await ask("GET", key, {}, LARGEST_READ);
      if (response.ok && response.body !== null) {
        return { body: response.body, size: Number(response.headers.get("content-length")) };
      }
      await response.body?.cancel();
      if (response.status === 404) return null;
      throw new StoreError("GET", response.status);
    },
    async put(key, content, sha256) {
      const headers = {
        ...checksums(sha256),
        ...metadataOf(content, sha256),
        ...lockOf(env, lockMode, key),
      };
      const response = await ask("PUT", key, { body: content.body, sha256, headers }, content.size);
      await response.body?.cancel();
      if (!response.ok) throw new StoreError("PUT", response.status);
    },
    async beginUpload(key, content, sha256) {
      const headers = {
        "x-amz-checksum-algorithm": "SHA256",
        ...metadataOf(content, sha256),
        ...lockOf(env, lockMode, key),
      };
      const response = await ask("POST", key, { query: { uploads: "" }, headers });
      const answer = await response.text();
      if (!response.ok) throw new StoreError("POST", response.status);
      return textOf(answer, "UploadId");
    },
    async putPart(key, upload, number, bytes, sha256) {
      const query = { partNumber: String(number), uploadId: upload };
      const response = await ask("PUT", key, { query, body: bytes, sha256, headers: checksums(sha256) }, bytes.length);
      await response.body?.cancel();
      const etag = response.headers.get("etag");
      if (!response.ok || etag === null) throw new StoreError("PUT", response.status);
      return etag;
    },
    async completeUpload(key, upload, parts) {
      const named = parts.map(
        ({ number, etag, sha256 }) =>
          `<Part><PartNumber>${number}</PartNumber><ETag>${xml(etag)}</ETag><ChecksumSHA256>${checksumOf(sha256)}</ChecksumSHA256></Part>`,
      );
      const body = utf8(`<CompleteMultipartUpload>${named.join("")}</CompleteMultipartUpload>`);
      const sha256 = hex(await crypto.subtle.digest("SHA-256", body));
      const headers = { "content-type": "application/xml" };
      const request = { query: { uploadId: upload }, body, sha256, headers };
      const response = await ask("POST", key, { ...request, signal: AbortSignal.timeout(COMPLETE_MILLISECONDS) });
      const answer = await response.text();
      // S3 sends the status before it has combined the parts, so an error may follow a 200.
      if (!response.ok || elements(answer, "Error").length > 0) throw new StoreError("POST", response.status);
    },
    async abortUpload(key, upload) {
      const response = await ask("DELETE", key, { query: { uploadId: upload } });
      await response.body?.cancel();
      if (!response.ok && response.status !== 404) throw new StoreError("DELETE", response.status);
    },
    async remove(keys) {
      const named = keys.map((key) => `<Object><Key>${xml(key)}</Key></Object>`).join("");
      const body = utf8(`<Delete><Quiet>true</Quiet>${named}</Delete>`);
      const sha256 = hex(await crypto.subtle.digest("SHA-256", body));
      const headers = { "content-type": "application/xml", ...checksums(sha256) };
      const response = await ask("POST", "", { query: { delete: "" }, body, sha256, headers });
      const answer = await response.text();
      if (!response.ok) throw new StoreError("POST", response.status);
      return elements(answer, "Error").map((error) => textOf(error, "Key"));
    },
    async list(after, prefix) {
      const start = { "list-type": "2", ...(prefix !== undefined && { prefix }) };
      /** @param {string | undefined} token */
      const page = async (token) => {
        const query = {
          ...start,
          ...(token === undefined && after !== undefined && { "start-after": after }),
          ...(token !== undefined && { "continuation-token": token }),
        };
        const response = await ask("GET", "", { query });
        const answer = await response.text();
        if (!response.ok) throw new StoreError("GET", response.status);
        const objects = elements(answer, "Contents").map((entry) => ({
          key: textOf(entry, "Key"),
          size: Number(textOf(entry, "Size")),
          uploaded: new Date(textOf(entry, "LastModified")),
        }));
        const more = textOf(answer, "IsTruncated") === "true";
        return { objects, more, next: more ? textOf(answer, "NextContinuationToken") : undefined };
      };
      const sizeOf = (/** @type {{ objects: ListEntry[] }} */ { objects }) => objects.length;
      for await (const { objects, more } of pages(page, ({ next }) => next, sizeOf)) {
        if (objects.length > 0 || !more) return { objects, more };
      }
      throw new StalledListing();
    },
  };
}

/**
 * Returns the checksum headers. S3 requires them for writes to a bucket with object lock.
 *
 * @param {string} sha256 hexadecimal
 * @returns {Record<string, string>} headers
 */
function checksums(sha256) {
  return { "x-amz-checksum-sha256": checksumOf(sha256), "x-amz-sdk-checksum-algorithm": "SHA256" };
}

/**
 * Returns the headers that lock an object for its class's retention. The default retention of a bucket is not enough: it is
 * the same for all classes, and a bucket outside Amazon may have none.
 *
 * @param {Env} env
 * @param {string} lockMode
 * @param {string} key
 * @returns {Record<string, string>} headers
 */
function lockOf(env, lockMode, key) {
  const [folder = ""] = key.split("/");
  const { keepDays } = env.ROTATION;
  const days = (Object.hasOwn(keepDays, folder) ? keepDays[folder] : keepDays.hourly) ?? 0;
  const until = new Date(now(env).getTime() + days * 86_400_000);
  return {
    "x-amz-object-lock-mode": lockMode,
    "x-amz-object-lock-retain-until-date": until.toISOString().replace(/\.\d+/, ""),
  };
}
