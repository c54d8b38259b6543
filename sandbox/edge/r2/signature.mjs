/** Verifies Signature Version 4 of requests: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */

import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { R2Error } from "./errors.mjs";

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 +Credential=([^/]+)\/([^,]+), *SignedHeaders=([^,]+), *Signature=([0-9a-f]{64})$/;

/** The clocks of client and server may differ by this much. */
const SKEW_MILLISECONDS = 15 * 60_000;

const refused = (code, message, status = 403) => new R2Error(status, code, 10035, message);

/**
 * Returns the id of the access key that has signed a request; throws if the signature is missing or wrong.
 *
 * @param {{ method: string, url: string, headers: Record<string, string> }} request `url`: path and query as they were sent
 * @param {(id: string) => string | undefined} secretOf returns the secret of an access key
 * @param {number} now milliseconds
 */
export function signerOf({ method, url, headers }, secretOf, now) {
  const found = AUTHORIZATION.exec(headers.authorization ?? "");
  if (found === null) throw refused("AccessDenied", "The request has no header with a signature of version 4.");
  const [, id, scope, names, signature] = found;
  const secret = secretOf(id);
  if (secret === undefined) throw refused("InvalidAccessKeyId", "No API token has this access key.");
  const stamp = headers["x-amz-date"] ?? "";
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(stamp) ?? [];
  if (!(Math.abs(Date.UTC(year, month - 1, day, hour, minute, second) - now) <= SKEW_MILLISECONDS)) {
    throw refused(
      "RequestTimeTooSkewed",
      "x-amz-date is missing, or differs from this computer's clock by over 15 minutes.",
    );
  }
  const expected = sign(secret, scope, stamp, canonical(method, url, headers, names.split(";")));
  if (!timingSafeEqual(Buffer.from(signature), Buffer.from(expected))) {
    throw refused(
      "SignatureDoesNotMatch",
      "The signature is not that of this request with the secret of this access key.",
    );
  }
  return id;
}

function canonical(method, url, headers, names) {
  const [path, query = ""] = url.split("?");
  const pairs = query.split("&").filter((pair) => pair !== "");
  const search = pairs
    .map((pair) => (pair.includes("=") ? pair : `${pair}=`))
    .sort()
    .join("&");
  const signed = names.map((name) => `${name}:${(headers[name] ?? "").trim().replace(/ +/g, " ")}`);
  return [method, path, search, ...signed, "", names.join(";"), headers["x-amz-content-sha256"] ?? ""].join("\n");
}

function sign(secret, scope, stamp, request) {
  const hmac = (key, text) => createHmac("sha256", key).update(text).digest();
  const key = scope.split("/").reduce(hmac, `AWS4${secret}`);
  const text = ["AWS4-HMAC-SHA256", stamp, scope, createHash("sha256").update(request).digest("hex")].join("\n");
  return hmac(key, text).toString("hex");
}
