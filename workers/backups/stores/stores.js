/** The stores of the copies behind one interface: R2 buckets in several jurisdictions, Amazon S3, and S3-compatible stores. */

import { r2Store } from "./r2.js";
import { s3Store } from "./s3.js";

/** @import { Place } from "../../lib/s3.js" */
/** @import { Rotation } from "../rotation.js" */
/** @import { Sizes, Store } from "./store.js" */

/**
 * @typedef {object} CopyBinding a copy, as in the setting `backups.copies`; only kind `s3` has the optional fields
 * @property {string} name
 * @property {"r2" | "s3"} kind
 * @property {string} [bucket]
 * @property {string} [region]
 * @property {string} [lockMode]
 * @property {string} [endpoint] origin of a store other than Amazon's
 */

/**
 * @typedef {object} Env the bindings of the copies: `COPY_NAME` is the R2 bucket of the copy `name`; the secrets
 *   `COPY_NAME_ACCESS_KEY_ID` and `COPY_NAME_SECRET_ACCESS_KEY` are the keys of a copy in S3
 * @property {CopyBinding[]} COPIES the primary first
 * @property {R2Bucket} COPY_PRIMARY
 * @property {Rotation} ROTATION
 * @property {string} [CLOCK] only in tests
 * @property {{ put: number, part: number }} [SIZES] only in tests: limits instead of LARGEST_PUT and PART_BYTES
 */

/** The largest object that one `put` copies, in bytes. R2 and S3 limit a PUT to 5 GiB; this leaves a margin. */
const LARGEST_PUT = 4.9 * 1_024 ** 3;

/** Each part is in memory once for the read and once for each copy: with two copies, 48 MiB of a Cloudflare Worker's 128 MB. */
const PART_BYTES = 16 * 1_024 ** 2;

/**
 * @param {Env} env
 * @returns {[Store, ...Store[]]} the stores of all copies, the primary first
 */
export function storesOf(env) {
  const stores = env.COPIES.map((copy) =>
    copy.kind === "r2"
      ? r2Store(copy.name, bindingOf(env, copy), sizesOf(env))
      : s3Store(env, copy, placeOf(env, copy), sizesOf(env)),
  );
  return /** @type {[Store, ...Store[]]} */ (stores);
}

/**
 * @param {Env} env
 * @returns {Store[]} the stores of all copies except the primary
 */
export function copiesOf(env) {
  return storesOf(env).slice(1);
}

/**
 * @param {Env} env
 * @param {CopyBinding} copy
 * @param {string} [suffix] of the binding's name
 * @returns {any} value of a copy's binding
 */
function bindingOf(env, { name }, suffix = "") {
  const binding = `COPY_${name.toUpperCase()}${suffix}`;
  const value = /** @type {Record<string, any>} */ (/** @type {unknown} */ (env))[binding];
  if (value === undefined) {
    throw new TypeError(
      `the binding COPIES lists the copy ${name}, but ${binding} is not bound; run pulumi up to bind it`,
    );
  }
  return value;
}

/**
 * @param {Env} env
 * @param {CopyBinding} copy
 * @returns {Place}
 */
function placeOf(env, copy) {
  const { bucket = "", region = "", endpoint } = copy;
  const [accessKeyId, secretAccessKey] = [
    bindingOf(env, copy, "_ACCESS_KEY_ID"),
    bindingOf(env, copy, "_SECRET_ACCESS_KEY"),
  ];
  return { bucket, region, endpoint, accessKeyId, secretAccessKey };
}

/**
 * @param {Env} env
 * @returns {Sizes}
 */
function sizesOf({ SIZES }) {
  return { largestPut: SIZES?.put ?? LARGEST_PUT, partBytes: SIZES?.part ?? PART_BYTES };
}
