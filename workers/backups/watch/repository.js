/** Finds the newest backups and WAL in a pgBackRest repository by the names of its folders, without listing every object. */

import { r2Pages } from "../listing.js";

/** Path of the repository that the machines write: the hourly class. */
const REPOSITORY = "hourly/";

/** Name of a backup's folder: `20261123-013005F` for a full backup, `20261123-013005F_20261123-023005I` for one that depends on it. */
const LABEL = /^(\d{8}-\d{6}F)(?:_(\d{8}-\d{6})[DI])?$/;

const STARTED = /^(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)$/;

const SEGMENT = /\/[0-9A-F]{24}-[0-9a-f]{40}(?:\.\w+)?$/;

/**
 * @typedef {object} Archive a group's backups and WAL in the primary bucket; null where there is none
 * @property {Date | null} full completion time of the newest complete full backup
 * @property {Date | null} backup completion time of the newest complete backup of any kind
 * @property {Date | null} first start time of the oldest backup
 * @property {Date | null} wal upload time of the newest WAL segment
 * @property {string | null} settled key of the newest WAL segment that was uploaded before a given time
 */

/**
 * @param {R2Bucket} bucket
 * @param {string} stanza name of the group
 * @param {Date} before time for `settled`
 * @returns {Promise<Archive>}
 */
export async function readArchive(bucket, stanza, before) {
  const [backups, wal] = await Promise.all([newestBackups(bucket, stanza), newestWal(bucket, stanza, before)]);
  return { ...backups, ...wal };
}

/**
 * Finds the newest complete backups. pgBackRest writes `backup.manifest` last, so its upload time is the completion time.
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
  // The folder's name is VERSION-N. N increases with every upgrade or rebuild of the database.
  const [database] = (await folders(bucket, base)).filter((name) => /-\d+$/.test(name)).sort(byHistory);
  const [newest, previous] =
    database === undefined ? [] : (await folders(bucket, `${base}${database}/`)).sort().reverse();
  const segments = await segmentsIn(bucket, `${base}${database}/`, newest);
  const settledIn = (/** @type {R2Object[]} */ those) => those.filter(({ uploaded }) => uploaded <= before);
  // If the newest folder was just created, the segments from before that time are in the previous folder.
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
 * @returns {string} start time of the backup, `YYYYMMDD-HHMMSS`: sorts by time
 */
function started(label) {
  const [, full = "", increment] = LABEL.exec(label) ?? [];
  return increment ?? full.slice(0, -1);
}

/**
 * @param {string | undefined} label
 * @returns {Date | null} start time of the backup; null without a label, or when its digits are not a valid time
 */
function timeOf(label = "") {
  const time = new Date(started(label).replace(STARTED, "$1-$2-$3T$4:$5:$6Z"));
  return Number.isNaN(time.getTime()) ? null : time;
}

/**
 * Compares two folder names VERSION-N.
 *
 * @param {string} one
 * @param {string} other
 * @returns {number} sorts the highest N first
 */
function byHistory(one, other) {
  return Number(other.split("-").at(-1)) - Number(one.split("-").at(-1));
}

/**
 * @param {R2Bucket} bucket
 * @param {string} base
 * @param {string[]} labels newest first
 * @returns {Promise<Date | null>} completion time of the first backup that is complete
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
