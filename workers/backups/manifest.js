/** Reads the manifest of a backup run as docs/backup-manifest.md defines it, and believes nothing that is not. Pure. */

import { hex, utf8 } from "../lib/bytes.js";

const PAYLOAD_TYPE = "application/vnd.backbuild.backup-manifest+json";

/** An envelope of so many bytes, and what is made of it, fits into a Worker's memory. */
export const LIMIT_BYTES = 16 * 1_024 * 1_024;

/** The most that S3 takes in one object, in bytes. */
const LARGEST_OBJECT = 5 * 1_024 ** 4;

const LONGEST_KEY = 1_024;

const FIELDS = [
  "version",
  "group",
  "run",
  "kind",
  "startedAt",
  "finishedAt",
  "previous",
  "dependsOn",
  "wal",
  "objects",
];

const GROUP = /^[a-z0-9]+(-[a-z0-9]+)*$/;
const RUN = /^(\d{8}-\d{6}F)(_\d{8}-\d{6}[DI])?$/;
const SEGMENT = /^[0-9A-F]{24}$/;
const SHA256 = /^[0-9a-f]{64}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
const CONTROL = /\p{Cc}/u;

/** @typedef {"backup" | "wal" | "index"} ObjectKind */

/**
 * @typedef {object} ManifestObject
 * @property {string} key as in the bucket
 * @property {number} size in bytes
 * @property {string} sha256 64 hexadecimal digits
 * @property {ObjectKind} kind
 * @property {string} storedAt ISO 8601 in UTC, by the store's clock
 */

/**
 * @typedef {object} Manifest
 * @property {1} version
 * @property {string} group
 * @property {string} run pgBackRest's label
 * @property {"full" | "incremental"} kind
 * @property {string} startedAt ISO 8601 in UTC, as every time here
 * @property {string} finishedAt
 * @property {{ run: string, sha256: string } | null} previous the group's manifest before this one, and the SHA-256 of its envelope
 * @property {string[]} dependsOn the runs whose objects this one needs too, the full one first
 * @property {{ first: string, last: string }} wal the segments without which what it restores is not consistent
 * @property {ManifestObject[]} objects
 */

/** @typedef {"envelope" | "key" | "signature" | "version" | "place" | "content"} Reason why a manifest is not believed */

export class ManifestRefused extends Error {
  name = "ManifestRefused";

  /**
   * @param {Reason} reason
   * @param {string} message what is wrong, and where; what was read is quoted nowhere
   */
  constructor(reason, message) {
    super(message);
    this.reason = reason;
  }
}

/**
 * @param {readonly string[]} publicKeys Ed25519, base64: the stack's output `manifestPublicKeys`
 * @returns {Promise<ReadonlyMap<string, CryptoKey>>} by key id, for `readManifest`
 */
export async function importKeys(publicKeys) {
  const imported = publicKeys.map(async (text) => {
    const raw = decode(text);
    if (raw === null || raw.length !== 32) throw new TypeError("a public key must be the base64 of 32 bytes");
    const id = hex(await crypto.subtle.digest("SHA-256", raw)).slice(0, 16);
    return /** @type {const} */ ([id, await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"])]);
  });
  return new Map(await Promise.all(imported));
}

/**
 * @param {Uint8Array} bytes the envelope as it is stored
 * @param {ReadonlyMap<string, CryptoKey>} keys see `importKeys`
 * @param {string} key where it is stored
 * @returns {Promise<Manifest>}
 * @throws {ManifestRefused}
 */
export async function readManifest(bytes, keys, key) {
  const manifest = checked(json(await verified(bytes, keys), "content"));
  if (key !== `manifests/${manifest.group}/${manifest.run}.json`) {
    throw new ManifestRefused("place", "it is another run's, or another group's");
  }
  return manifest;
}

/**
 * @param {Uint8Array} bytes
 * @param {ReadonlyMap<string, CryptoKey>} keys
 * @returns {Promise<Uint8Array>} the payload that one of the keys has signed
 */
async function verified(bytes, keys) {
  if (bytes.length > LIMIT_BYTES) throw new ManifestRefused("envelope", `it has more than ${LIMIT_BYTES} bytes`);
  const envelope = fields(json(bytes, "envelope"), ["payload", "payloadType", "signatures"]);
  const [signature] =
    Array.isArray(envelope?.signatures) && envelope.signatures.length === 1 ? envelope.signatures : [];
  const { keyid, sig } = fields(signature, ["keyid", "sig"]) ?? {};
  const payload = decode(envelope?.payload);
  const signed = decode(sig);
  if (envelope?.payloadType !== PAYLOAD_TYPE || payload === null || signed === null || typeof keyid !== "string") {
    throw new ManifestRefused("envelope", "it is not an envelope of a manifest with one signature");
  }
  const publicKey = keys.get(keyid);
  if (publicKey === undefined) throw new ManifestRefused("key", "it is signed with a key that is not known");
  if (!(await crypto.subtle.verify("Ed25519", publicKey, signed, preAuthentication(payload)))) {
    throw new ManifestRefused("signature", "its signature is wrong");
  }
  return payload;
}

/**
 * What DSSE signs.
 *
 * @param {Uint8Array} payload
 * @returns {Uint8Array}
 */
function preAuthentication(payload) {
  const head = utf8(`DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${payload.length} `);
  const bytes = new Uint8Array(head.length + payload.length);
  bytes.set(head);
  bytes.set(payload, head.length);
  return bytes;
}

/**
 * @param {unknown} given
 * @returns {Manifest}
 */
function checked(given) {
  if (typeof given === "object" && given !== null && "version" in given && given.version !== 1) {
    throw new ManifestRefused("version", "its version is not 1, the one that is known here");
  }
  const manifest = /** @type {Manifest} */ (/** @type {unknown} */ (fields(given, FIELDS)));
  must(manifest !== null, "the fields");
  const { group, run, kind, startedAt, finishedAt, previous, dependsOn, wal, objects } = manifest;
  must(matches(group, GROUP) && group.length <= 63, "group");
  must(matches(run, RUN), "run");
  must(kind === (run.endsWith("F") ? "full" : "incremental"), "kind");
  must(isTime(startedAt), "startedAt");
  must(isTime(finishedAt) && startedAt <= finishedAt, "finishedAt");
  must(previous === null || isPrevious(previous, run), "previous");
  must(isDependencies(dependsOn, run), "dependsOn");
  must(isWal(wal), "wal");
  must(Array.isArray(objects) && objects.length > 0, "objects");
  for (const [index, object] of objects.entries()) checkObject(object, `objects[${index}]`, manifest);
  must(new Set(objects.map(({ key }) => key)).size === objects.length, "objects: a key stands there twice");
  return manifest;
}

/**
 * @param {ManifestObject} object
 * @param {string} where
 * @param {Manifest} manifest
 */
function checkObject(object, where, { group, run }) {
  must(fields(object, ["key", "size", "sha256", "kind", "storedAt"]) !== null, where);
  const { key, size, sha256, kind, storedAt } = object;
  /** @type {Record<string, string>} */
  const folders = {
    backup: `hourly/backup/${group}/`,
    wal: `hourly/archive/${group}/`,
    index: `manifests/${group}/${run}/`,
  };
  must(typeof kind === "string" && Object.hasOwn(folders, kind), `${where}.kind`);
  must(isKey(key) && key.startsWith(/** @type {string} */ (folders[kind])), `${where}.key`);
  must(Number.isInteger(size) && size >= 0 && !Object.is(size, -0) && size <= LARGEST_OBJECT, `${where}.size`);
  must(matches(sha256, SHA256), `${where}.sha256`);
  must(isTime(storedAt), `${where}.storedAt`);
}

/**
 * @param {unknown} key
 * @returns {key is string} a path without tricks
 */
function isKey(key) {
  if (typeof key !== "string" || !key.isWellFormed() || CONTROL.test(key)) return false;
  if (utf8(key).length > LONGEST_KEY) return false;
  return key.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/**
 * @param {unknown} previous
 * @param {string} run
 * @returns {boolean}
 */
function isPrevious(previous, run) {
  const given = fields(previous, ["run", "sha256"]);
  return given !== null && matches(given.run, RUN) && begun(given.run) < begun(run) && matches(given.sha256, SHA256);
}

/**
 * @param {unknown} dependsOn
 * @param {string} run
 * @returns {boolean} whether these are runs before it, the first of them the full one that its label names
 */
function isDependencies(dependsOn, run) {
  if (!Array.isArray(dependsOn) || !dependsOn.every((one) => matches(one, RUN) && begun(one) < begun(run)))
    return false;
  const first = run.endsWith("F") ? undefined : run.slice(0, 16);
  return dependsOn[0] === first && new Set(dependsOn).size === dependsOn.length;
}

/**
 * @param {unknown} wal
 * @returns {boolean} whether it goes from a segment to one of the same timeline that is not before it
 */
function isWal(wal) {
  const { first, last } = fields(wal, ["first", "last"]) ?? {};
  return matches(first, SEGMENT) && matches(last, SEGMENT) && first.slice(0, 8) === last.slice(0, 8) && first <= last;
}

/**
 * @param {string} run
 * @returns {string} when it began, in a form that sorts by time
 */
function begun(run) {
  return run.slice(-16, -1);
}

/**
 * @param {unknown} value
 * @returns {value is string} a time of the calendar
 */
function isTime(value) {
  if (!matches(value, TIME)) return false;
  const date = new Date(value);
  return !Number.isNaN(date.getTime()) && date.toISOString() === value.replace("Z", ".000Z");
}

/**
 * @param {unknown} value
 * @param {RegExp} pattern
 * @returns {value is string}
 */
function matches(value, pattern) {
  return typeof value === "string" && pattern.test(value);
}

/**
 * @param {unknown} given
 * @param {readonly string[]} names
 * @returns {Record<string, unknown> | null} an object that has these fields and no others
 */
function fields(given, names) {
  if (typeof given !== "object" || given === null || Array.isArray(given)) return null;
  const exact = Object.keys(given).length === names.length && names.every((name) => Object.hasOwn(given, name));
  return exact ? /** @type {Record<string, unknown>} */ (given) : null;
}

/**
 * @param {boolean} condition
 * @param {string} where
 * @returns {asserts condition}
 */
function must(condition, where) {
  if (!condition) throw new ManifestRefused("content", `not as the format has it: ${where}`);
}

/**
 * @param {Uint8Array} bytes
 * @param {Reason} reason
 * @returns {unknown}
 */
function json(bytes, reason) {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    throw new ManifestRefused(reason, "it is not JSON in UTF-8");
  }
}

/**
 * @param {unknown} text
 * @returns {Uint8Array | null} null unless it is base64 as everybody writes it: the same bytes have one text only
 */
function decode(text) {
  if (typeof text !== "string" || text.length % 4 !== 0 || /[^A-Za-z0-9+/=]/.test(text)) return null;
  try {
    const binary = atob(text);
    const tail = text.slice(-4);
    if (btoa(atob(tail)) !== tail) return null;
    const bytes = new Uint8Array(binary.length);
    for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index);
    return bytes;
  } catch {
    return null;
  }
}
