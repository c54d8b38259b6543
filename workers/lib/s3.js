/** Requests to Amazon S3 and S3-compatible stores, signed with Signature Version 4: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */

import { base64, hex, hmac, unhex, utf8 } from "./bytes.js";

/** @typedef {{ accessKeyId: string, secretAccessKey: string }} Keys */
/**
 * @typedef {{ region: string, bucket: string, endpoint?: string | undefined } & Keys} Place a bucket; `endpoint`: origin of a
 *   store other than Amazon's
 */

/** SHA-256 of an empty body. */
const EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/**
 * Sends a signed request.
 *
 * @param {Place} place
 * @param {"GET" | "HEAD" | "PUT" | "POST" | "DELETE"} method
 * @param {string} key of the object; empty for the bucket itself
 * @param {Date} time S3 rejects a signature whose time differs from its clock by more than 15 minutes
 * @param {{ query?: Record<string, string>, body?: BodyInit, sha256?: string, headers?: Record<string, string>,
 *   signal?: AbortSignal }} [request] `sha256`: of the body, in hexadecimal; S3 rejects a body that does not match
 * @returns {Promise<Response>} of any status; redirects are not followed
 */
export async function requestS3(place, method, key, time, request = {}) {
  const { query = {}, body, sha256 = EMPTY, headers = {}, signal } = request;
  const { origin, host, base } = addressOf(place);
  const path = `${base}/${key.split("/").map(encoded).join("/")}`;
  const search = Object.entries(query)
    .map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
    .sort()
    .join("&");
  const stamp = time.toISOString().replace(/[-:]|\.\d+/g, "");
  /** @type {Record<string, string>} */
  const signed = { ...headers, host, "x-amz-content-sha256": sha256, "x-amz-date": stamp };
  const authorization = await authorize(place, { method, path, search, headers: signed, sha256, stamp });
  const { host: _, ...sent } = signed;
  return fetch(`${origin}${path}${search === "" ? "" : `?${search}`}`, {
    method,
    headers: { ...sent, authorization },
    redirect: "manual",
    ...(body === undefined ? {} : { body }),
    ...(signal === undefined ? {} : { signal }),
  });
}

/**
 * @param {Place} place
 * @returns {{ origin: string, host: string, base: string }} `base`: prefix of every path. Amazon requires the bucket in the
 *   host name; another store may have no certificate for such host names, so there the bucket is in the path
 */
function addressOf({ bucket, region, endpoint }) {
  if (endpoint !== undefined) return { origin: endpoint, host: new URL(endpoint).host, base: `/${bucket}` };
  const host = `${bucket}.s3.${region}.amazonaws.com`;
  return { origin: `https://${host}`, host, base: "" };
}

/**
 * Signs a request with Signature Version 4.
 *
 * @param {Place} place
 * @param {{ method: string, path: string, search?: string, headers: Record<string, string>, sha256: string, stamp: string }}
 *   request `headers` in lower case, `search` sorted
 * @returns {Promise<string>} the Authorization header
 */
export async function authorize({ region, accessKeyId, secretAccessKey }, request) {
  const { method, path, search = "", headers, sha256, stamp } = request;
  const names = Object.keys(headers).sort();
  const canonical = [
    method,
    path,
    search,
    ...names.map((name) => `${name}:${headers[name]?.trim()}`),
    "",
    names.join(";"),
    sha256,
  ].join("\n");
  const day = stamp.slice(0, 8);
  const scope = `${day}/${region}/s3/aws4_request`;
  const digest = hex(await crypto.subtle.digest("SHA-256", utf8(canonical)));
  let key = utf8(`AWS4${secretAccessKey}`);
  for (const part of [day, region, "s3", "aws4_request"]) key = await hmac(key, part);
  const signature = hex(await hmac(key, ["AWS4-HMAC-SHA256", stamp, scope, digest].join("\n")));
  return `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
}

/**
 * @param {string} sha256 hexadecimal
 * @returns {string} base64, for S3's checksum headers
 */
export function checksumOf(sha256) {
  return base64(unhex(sha256));
}

/**
 * @param {string} segment of a path
 * @returns {string} percent-encoded as S3 requires: everything except letters, digits and `-._~`
 */
function encoded(segment) {
  return encodeURIComponent(segment).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
