/** What is newest in a pgBackRest repository, read from the names of its folders, not by listing every object. */

/** Where the machines write: the class of the rotation that holds increments and WAL. */
const REPOSITORY = "hourly/";

/** A backup's folder: a full one, or a differential or incremental one behind the full one it depends on. */
const LABEL = /^(\d{8}-\d{6}F)(?:_(\d{8}-\d{6})[DI])?$/;

const SEGMENT = /\/[0-9A-F]{24}-[0-9a-f]{40}(?:\.\w+)?$/;

/**
 * @param {R2Bucket} bucket
 * @returns {Promise<string[]>} the stanzas, one a database group
 */
export function stanzas(bucket) {
  return folders(bucket, `${REPOSITORY}backup/`);
}

/**
 * A backup's manifest is written last, so its time is when the backup was complete.
 *
 * @param {R2Bucket} bucket
 * @param {string} stanza
 * @returns {Promise<{ full: Date | null, increment: Date | null }>} newest complete full backup, and newest complete
 *   backup of any kind: a full one also holds what an increment would
 */
export async function newestBackups(bucket, stanza) {
  const base = `${REPOSITORY}backup/${stanza}/`;
  const labels = (await folders(bucket, base)).filter((name) => LABEL.test(name));
  labels.sort((one, other) => started(other).localeCompare(started(one)));
  return {
    full: await firstComplete(bucket, base, labels.filter(isFull)),
    increment: await firstComplete(bucket, base, labels),
  };
}

/**
 * @param {R2Bucket} bucket
 * @param {string} stanza
 * @returns {Promise<Date | null>} when the newest WAL segment was stored
 */
export async function newestWal(bucket, stanza) {
  const base = `${REPOSITORY}archive/${stanza}/`;
  // Named VERSION-N, where N grows with every upgrade or rebuild of the database.
  const [database] = (await folders(bucket, base)).filter((name) => /-\d+$/.test(name)).sort(byHistory);
  if (database === undefined) return null;
  const [newest] = (await folders(bucket, `${base}${database}/`)).sort().reverse();
  if (newest === undefined) return null;
  // At most 256 segments with a few other files beside them: one page.
  const { objects } = await bucket.list({ prefix: `${base}${database}/${newest}/` });
  const times = objects.filter(({ key }) => SEGMENT.test(key)).map(({ uploaded }) => uploaded.getTime());
  return times.length > 0 ? new Date(Math.max(...times)) : null;
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
  return increment ?? full;
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
  /** @type {string | undefined} */
  let cursor;
  do {
    const page = await bucket.list({ prefix, delimiter: "/", cursor });
    names.push(...page.delimitedPrefixes.map((path) => path.slice(prefix.length, -1)));
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor !== undefined);
  return names;
}
