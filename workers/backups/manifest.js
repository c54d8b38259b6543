/** Reads and validates the signed manifest of a backup run (docs/backup-manifest.md). Pure. */

import { hex, utf8 } from "../lib/bytes.js";

const PAYLOAD_TYPE = "application/vnd.backbuild.backup-manifest+json";

/** The largest envelope. Envelope and parsed manifest fit into the 128 MB of a Cloudflare Worker. */
export const LIMIT_BYTES = 16 * 1_024 * 1_024;

/** S3's limit for one object, in bytes. */
const LARGEST_OBJECT = 5 * 1_024 ** 4;

/** S3's limit for a key, in bytes of UTF-8. */
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

/** A field that older machines do not write. */
const POINTS = "points";

const GROUP = /^[a-z0-9]+(-[a-z0-9]+)*$/;
const RUN = /^(\d{8}-\d{6}F)(_\d{8}-\d{6}[DI])?$/;
const SEGMENT = /^[0-9A-F]{24}$/;
const SHA256 = /^[0-9a-f]{64}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
const POINT = /^backbuild-\d{8}T\d{6}Z$/;
const CONTROL = /\p{Cc}/u;

/** @typedef {"backup" | "wal" | "index"} ObjectKind */

/**
 * @typedef {object} ManifestObject
 * @property {string} key in the bucket
 * @property {number} size in bytes
 * @property {string} sha256 64 hexadecimal digits
 * @property {ObjectKind} kind
 * @property {string} storedAt ISO 8601 in UTC; Last-Modified of the object in the store
 */

/** @typedef {{ name: string, segments: Record<string, string> }} Point a named restore point, with the last WAL segment that a restore to it needs, by group */

/**
 * @typedef {object} Manifest
 * @property {1} version
 * @property {string} group
 * @property {string} run pgBackRest's label
 * @property {"full" | "incremental"} kind
 * @property {string} startedAt ISO 8601 in UTC
 * @property {string} finishedAt ISO 8601 in UTC
 * @property {{ run: string, sha256: string } | null} previous the group's manifest before this one, and the SHA-256 of its envelope
 * @property {string[]} dependsOn the runs whose objects a restore of this one also needs, the full backup first
 * @property {{ first: string, last: string }} wal first and last WAL segment that a consistent restore needs
 * @property {ManifestObject[]} objects
 * @property {Point[]} [points] the restore points that were made since the group's manifest before this one
 */

/** @typedef {"envelope" | "key" | "signature" | "version" | "place" | "content"} Reason the part of a manifest that is invalid */

export class InvalidManifest extends Error {
  name = "InvalidManifest";

  /**
   * @param {Reason} reason
   * @param {string} message names what is wrong, and the field; it never quotes the manifest, which is untrusted text
   */
  constructor(reason, message) {
    super(message);
    this.reason = reason;
  }
}

/**
 * @param {readonly string[]} publicKeys the binding MANIFEST_KEYS: Ed25519 keys in base64, also in the output `manifestPublicKeys`
 * @returns {Promise<ReadonlyMap<string, CryptoKey>>} by key id, for `readManifest`
 * @throws {TypeError} when a key is malformed
 */
export async function importKeys(publicKeys) {
  const imported = publicKeys.map(async (text) => {
    const raw = decode(text);
    if (raw === null || raw.length !== 32) {
      throw new TypeError(
        "the binding MANIFEST_KEYS has a key that is not the base64 of 32 bytes; run pulumi up to bind it again",
      );
    }
    const id = hex(await crypto.subtle.digest("SHA-256", raw)).slice(0, 16);
    return /** @type {const} */ ([id, await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"])]);
  });
  return new Map(await Promise.all(imported));
}

/**
 * Verifies the signature of a manifest and validates its content.
 *
 * @param {Uint8Array} bytes the stored envelope (DSSE, in JSON)
 * @param {ReadonlyMap<string, CryptoKey>} keys see `importKeys`
 * @param {string} key of the object that holds the envelope
 * @returns {Promise<Manifest>}
 * @throws {InvalidManifest}
 */
export async function readManifest(bytes, keys, key) {
  const manifest = checked(json(await verified(bytes, keys), "content"));
  if (key !== `manifests/${manifest.group}/${manifest.run}.json`) {
    throw new InvalidManifest("place", "the manifest is of another group or run than its key");
  }
  return manifest;
}

/**
 * @param {Uint8Array} bytes
 * @param {ReadonlyMap<string, CryptoKey>} keys
 * @returns {Promise<Uint8Array>} the payload, signed by one of the keys
 */
async function verified(bytes, keys) {
  if (bytes.length > LIMIT_BYTES)
    throw new InvalidManifest("envelope", `the manifest has more than ${LIMIT_BYTES} bytes`);
  const envelope = fields(json(bytes, "envelope"), ["payload", "payloadType", "signatures"]);
  const [signature] =
    Array.isArray(envelope?.signatures) && envelope.signatures.length === 1 ? envelope.signatures : [];
  const { keyid, sig } = fields(signature, ["keyid", "sig"]) ?? {};
  const payload = decode(envelope?.payload);
  const signed = decode(sig);
  if (envelope?.payloadType !== PAYLOAD_TYPE || payload === null || signed === null || typeof keyid !== "string") {
    throw new InvalidManifest("envelope", "the object is not a DSSE envelope of a manifest with one signature");
  }
  const publicKey = keys.get(keyid);
  if (publicKey === undefined) throw new InvalidManifest("key", "the signing key is not in MANIFEST_KEYS");
  if (!(await crypto.subtle.verify("Ed25519", publicKey, signed, preAuthentication(payload)))) {
    throw new InvalidManifest("signature", "the signature does not match the payload");
  }
  return payload;
}

/**
 * Returns the bytes that a DSSE signature covers: DSSE's pre-authentication encoding of the payload.
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
 * @returns {Manifest} the same value, when it matches the format
 * @throws {InvalidManifest} that names the first wrong field
 */
function checked(given) {
  if (typeof given === "object" && given !== null && "version" in given && given.version !== 1) {
    throw new InvalidManifest("version", "the manifest's version is not 1; deploy Workers that support it");
  }
  const names = typeof given === "object" && given !== null && POINTS in given ? [...FIELDS, POINTS] : FIELDS;
  const manifest = /** @type {Manifest} */ (/** @type {unknown} */ (fields(given, names)));
  must(manifest !== null, "names of the fields");
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
  must(new Set(objects.map(({ key }) => key)).size === objects.length, "objects: duplicate key");
  if (manifest.points !== undefined) checkPoints(manifest.points);
  return manifest;
}

/** @param {Point[]} points */
function checkPoints(points) {
  must(Array.isArray(points), POINTS);
  for (const [index, point] of points.entries()) {
    const where = `${POINTS}[${index}]`;
    must(fields(point, ["name", "segments"]) !== null, where);
    const { name, segments } = point;
    must(matches(name, POINT) && isTime(timeOfPoint(name)), `${where}.name`);
    must(index === 0 || /** @type {Point} */ (points[index - 1]).name < name, `${where}: not sorted by name`);
    must(typeof segments === "object" && segments !== null && !Array.isArray(segments), `${where}.segments`);
    const listed = Object.entries(segments);
    must(listed.length > 0, `${where}.segments`);
    must(
      listed.every(([group, segment]) => matches(group, GROUP) && group.length <= 63 && matches(segment, SEGMENT)),
      `${where}.segments`,
    );
  }
}

/**
 * @param {string} name of a restore point, such as `backbuild-20261124T023000Z`
 * @returns {string} the time in it, as in manifests
 */
export function timeOfPoint(name) {
  return name.slice(-16).replace(/(....)(..)(..)T(..)(..)(..)Z/, "$1-$2-$3T$4:$5:$6Z");
}

/**
 * @param {ManifestObject} object
 * @param {string} where path of the object, for errors
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
 * @returns {key is string} whether it is well-formed Unicode, short enough, and has no empty, `.` or `..` segment
 */
function isKey(key) {
  if (typeof key !== "string" || !key.isWellFormed() || CONTROL.test(key)) return false;
  if (utf8(key).length > LONGEST_KEY) return false;
  return key.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/**
 * @param {unknown} previous
 * @param {string} run
 * @returns {boolean} whether it names a run that started before `run`, and a SHA-256
 */
function isPrevious(previous, run) {
  const given = fields(previous, ["run", "sha256"]);
  return (
    given !== null && matches(given.run, RUN) && startOf(given.run) < startOf(run) && matches(given.sha256, SHA256)
  );
}

/**
 * @param {unknown} dependsOn
 * @param {string} run
 * @returns {boolean} whether these are different runs that started before it; the first one is the full backup in its label
 */
function isDependencies(dependsOn, run) {
  if (!Array.isArray(dependsOn) || !dependsOn.every((one) => matches(one, RUN) && startOf(one) < startOf(run)))
    return false;
  const first = run.endsWith("F") ? undefined : run.slice(0, 16);
  return dependsOn[0] === first && new Set(dependsOn).size === dependsOn.length;
}

/**
 * @param {unknown} wal
 * @returns {boolean} whether it names two segments of one timeline, in order
 */
function isWal(wal) {
  const { first, last } = fields(wal, ["first", "last"]) ?? {};
  return matches(first, SEGMENT) && matches(last, SEGMENT) && first.slice(0, 8) === last.slice(0, 8) && first <= last;
}

/**
 * @param {string} run label
 * @returns {string} start time as in the label, `YYYYMMDD-HHMMSS`: sorts by time
 */
function startOf(run) {
  return run.slice(-16, -1);
}

/**
 * @param {unknown} value
 * @returns {value is string} whether it is an existing time in ISO 8601, UTC, with whole seconds
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
 * @returns {Record<string, unknown> | null} the same object; null unless it has exactly these fields
 */
function fields(given, names) {
  if (typeof given !== "object" || given === null || Array.isArray(given)) return null;
  const exact = Object.keys(given).length === names.length && names.every((name) => Object.hasOwn(given, name));
  return exact ? /** @type {Record<string, unknown>} */ (given) : null;
}

/**
 * @param {boolean} condition
 * @param {string} where path of the field
 * @returns {asserts condition}
 */
function must(condition, where) {
  if (!condition) throw new InvalidManifest("content", `the manifest does not match docs/backup-manifest.md: ${where}`);
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
    throw new InvalidManifest(reason, `the ${reason} is not JSON in UTF-8`);
  }
}

/**
 * @param {unknown} text
 * @returns {Uint8Array | null} null unless it is canonical base64, in which the same bytes have only one text
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
