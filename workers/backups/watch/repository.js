/** What is newest in a pgBackRest repository, read from the names of its folders, not by listing every object. */

import { r2Pages } from "../listing.js";

/** Where the machines write: the class of the rotation that holds increments and WAL. */
const REPOSITORY = "hourly/";

/** A backup's folder: a full one, or a differential or incremental one behind the full one it depends on. */
const LABEL = /^(\d{8}-\d{6}F)(?:_(\d{8}-\d{6})[DI])?$/;

const STARTED = /^(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)$/;

const SEGMENT = /\/[0-9A-F]{24}-[0-9a-f]{40}(?:\.\w+)?$/;

/**
 * @typedef {object} Archive what a group has in the primary bucket; null where there is none
 * @property {Date | null} full when the newest complete full backup was complete
 * @property {Date | null} backup the same of any kind: a full one also holds what an increment would
 * @property {Date | null} first when the oldest backup that is there was started
 * @property {Date | null} wal when the newest WAL segment was stored
 * @property {string | null} settled key of the newest WAL segment of those stored before a given time
 */

/**
 * @param {R2Bucket} bucket
 * @param {string} stanza a group's
 * @param {Date} before
 * @returns {Promise<Archive>}
 */
export async function readArchive(bucket, stanza, before) {
  const [backups, wal] = await Promise.all([newestBackups(bucket, stanza), newestWal(bucket, stanza, before)]);
  return { ...backups, ...wal };
}

/**
 * A backup's manifest is written last, so its time is when the backup was complete.
 *
 * @param {R2Bucket} bucket
 * @param {string} stanza
 */
async function newestBackups(bucket, stanza) {
  const base = `${REPOSITORY}backup/${stanza}/`;
  const labels = (await folders(bucket, base)).filter((name) => LABEL.test(name));
  labels.sort((one, other) => started(other).localeCompare(started(one)));
  return {
    full: await firstComplete(bucket, base, labels.filter(isFull)),
    backup: await firstComplete(bucket, base, labels),
    first: timeOf(labels.at(-1)),
  };
}

/**
 * @param {R2Bucket} bucket
 * @param {string} stanza
 * @param {Date} before
 */
async function newestWal(bucket, stanza, before) {
  const base = `${REPOSITORY}archive/${stanza}/`;
  // Named VERSION-N, where N grows with every upgrade or rebuild of the database.
  const [database] = (await folders(bucket, base)).filter((name) => /-\d+$/.test(name)).sort(byHistory);
  const [newest, previous] =
    database === undefined ? [] : (await folders(bucket, `${base}${database}/`)).sort().reverse();
  const segments = await segmentsIn(bucket, `${base}${database}/`, newest);
  const settledIn = (/** @type {R2Object[]} */ those) => those.filter(({ uploaded }) => uploaded <= before);
  // A folder that has just been begun holds nothing older.
  const settled = settledIn(segments);
  if (settled.length === 0) settled.push(...settledIn(await segmentsIn(bucket, `${base}${database}/`, previous)));
  return { wal: latest(segments)?.uploaded ?? null, settled: latest(settled)?.key ?? null };
}

/**
 * @param {R2Bucket} bucket
 * @param {string} base
 * @param {string | undefined} folder
 * @returns {Promise<R2Object[]>}
 */
async function segmentsIn(bucket, base, folder) {
  if (folder === undefined) return [];
  const found = [];
  for await (const { objects } of r2Pages(bucket, { prefix: `${base}${folder}/` })) found.push(...objects);
  return found.filter(({ key }) => SEGMENT.test(key));
}

/**
 * @param {R2Object[]} objects
 * @returns {R2Object | undefined}
 */
function latest(objects) {
  return objects.toSorted((one, other) => Number(one.uploaded) - Number(other.uploaded)).at(-1);
}

/**
 * @param {string} label
 * @returns {boolean}
 */
function isFull(label) {
  return label.endsWith("F");
}

/**
 * @param {string} label
 * @returns {string} when the backup was started, in a form that sorts by time
 */
function started(label) {
  const [, full = "", increment] = LABEL.exec(label) ?? [];
  return increment ?? full.slice(0, -1);
}

/**
 * @param {string | undefined} label
 * @returns {Date | null} null also for digits that are no time
 */
function timeOf(label = "") {
  const time = new Date(started(label).replace(STARTED, "$1-$2-$3T$4:$5:$6Z"));
  return Number.isNaN(time.getTime()) ? null : time;
}

/**
 * @param {string} one
 * @param {string} other
 * @returns {number} newest first
 */
function byHistory(one, other) {
  return Number(other.split("-").at(-1)) - Number(one.split("-").at(-1));
}

/**
 * @param {R2Bucket} bucket
 * @param {string} base
 * @param {string[]} labels newest first
 * @returns {Promise<Date | null>}
 */
async function firstComplete(bucket, base, labels) {
  for (const label of labels) {
    const manifest = await bucket.head(`${base}${label}/backup.manifest`);
    if (manifest !== null) return manifest.uploaded;
  }
  return null;
}

/**
 * @param {R2Bucket} bucket
 * @param {string} prefix ends with a slash
 * @returns {Promise<string[]>} names of the folders directly below it
 */
async function folders(bucket, prefix) {
  const names = [];
  for await (const { delimitedPrefixes } of r2Pages(bucket, { prefix, delimiter: "/" })) {
    names.push(...delimitedPrefixes.map((path) => path.slice(prefix.length, -1)));
  }
  return names;
}
