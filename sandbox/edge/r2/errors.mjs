/** The errors of R2: https://developers.cloudflare.com/r2/api/error-codes/ */

export class R2Error extends Error {
  /**
   * @param {number} status of the HTTP response
   * @param {string} code for clients of the S3 interface
   * @param {number} number for Cloudflare Workers
   * @param {string} message
   */
  constructor(status, code, number, message) {
    super(message);
    Object.assign(this, { status, code, number });
  }
}

export const errors = {
  badDigest: (/** @type {string} */ algorithm) =>
    new R2Error(400, "BadDigest", 10037, `The ${algorithm} checksum you specified did not match what we received.`),
  badRange: () => new R2Error(416, "InvalidRange", 10039, "The requested range is not satisfiable"),
  badUpload: () => new R2Error(500, "InternalError", 10048, "There was a problem with the multipart upload."),
  denied: (/** @type {string} */ message) => new R2Error(403, "AccessDenied", 10003, message),
  incomplete: () => new R2Error(400, "IncompleteBody", 10029, "The body has another length than Content-Length says."),
  invalid: (/** @type {string} */ message) => new R2Error(400, "InvalidArgument", 10029, message),
  locked: (/** @type {string} */ key) =>
    new R2Error(403, "ObjectLockedByBucketPolicy", 10069, `The object ${key} is locked by the bucket policy.`),
  noBucket: (/** @type {string} */ name) => new R2Error(404, "NoSuchBucket", 10006, `There is no bucket ${name} here.`),
  noKey: () => new R2Error(404, "NoSuchKey", 10007, "The specified key does not exist."),
  noPart: () => new R2Error(400, "InvalidPart", 10025, "One or more of the specified parts could not be found."),
  noUpload: () => new R2Error(404, "NoSuchUpload", 10024, "The specified multipart upload does not exist."),
  precondition: () =>
    new R2Error(412, "PreconditionFailed", 10031, "At least one of the pre-conditions you specified did not hold."),
  smallPart: () =>
    new R2Error(400, "EntityTooSmall", 10011, "Your proposed upload is smaller than the minimum allowed object size."),
  unsupported: (/** @type {string} */ what) =>
    new R2Error(501, "NotImplemented", 10029, `The sandbox's R2 does not support ${what}.`),
};
