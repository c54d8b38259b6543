/** The rotation policy (docs/retention.md): which class keeps which backup, and which backups of a group are still needed. Pure. */

/** @typedef {"daily" | "monthly" | "yearly"} PromotedClass */

/**
 * @typedef {object} Rotation the binding ROTATION
 * @property {number} pointInTimeDays length of the window in which any point in time can be restored
 * @property {number} minimumFulls number of full backups of each group that are kept regardless of their age
 * @property {Record<string, number>} keepDays retention in days, by class
 */

/**
 * @typedef {object} Run a backup run
 * @property {string} run pgBackRest's label
 * @property {"full" | "incremental"} kind
 * @property {string} finishedAt ISO 8601
 * @property {string[]} dependsOn labels of all runs that a restore of this one needs
 * @property {number | null} history the N of the archive `17-N`; null while no manifest lists its first WAL segment
 * @property {string} walFirst first WAL segment that a restore needs
 * @property {string} walLast last WAL segment that a consistent restore needs
 */

export const DAY = 86_400_000;

/** Digits of the label's date that identify a period of the class: a day, a month, a year. */
const PERIOD_DIGITS = { daily: 8, monthly: 6, yearly: 4 };

export const PROMOTED = /** @type {PromotedClass[]} */ (Object.keys(PERIOD_DIGITS));

/**
 * Returns the classes that a full backup is promoted to: each class keeps the first full backup of its day, month or year.
 *
 * @param {Run} full
 * @param {readonly { run: string, classes: readonly string[] }[]} decided other full backups of the group, with their classes
 * @param {Rotation} rotation
 * @param {Date} time
 * @returns {PromotedClass[]} without the classes in which the backup would already have expired
 */
export function classesOf(full, decided, rotation, time) {
  return PROMOTED.filter((name) => {
    const period = periodOf(full.run, name);
    const taken = decided.some(({ run, classes }) => run.startsWith(period) && classes.includes(name));
    return !taken && !hasExpired(full.finishedAt, daysKept(rotation, name), time);
  });
}

/**
 * @param {string} run label
 * @param {PromotedClass} name of a class
 * @returns {string} the class's period that the run belongs to: digits of its date
 */
export function periodOf(run, name) {
  return run.slice(0, PERIOD_DIGITS[name]);
}

/**
 * Returns the runs of a group that must be kept in the hourly class.
 *
 * @param {readonly Run[]} runs of one group
 * @param {ReadonlySet<string>} doubtful labels of the runs that lost an object: they do not count as restorable
 * @param {Rotation} rotation
 * @param {Date} time
 * @returns {NeededRuns}
 */
export function neededRuns(runs, doubtful, rotation, time) {
  const sound = runs.filter(({ run, dependsOn }) => ![run, ...dependsOn].some((label) => doubtful.has(label)));
  const anchor = newestFirst(sound).find(({ finishedAt }) => hasExpired(finishedAt, rotation.pointInTimeDays, time));
  // Keep damaged full backups in addition: a partial restore from them may be the only possibility left.
  const fulls = [...newestFulls(sound, rotation), ...newestFulls(runs, rotation)];
  return {
    kept: withDependencies([...unexpired(runs, rotation, time), ...fulls, ...(anchor ? [anchor] : [])]),
    anchor,
  };
}

/**
 * Returns the runs that must be kept of a group that is no longer backed up. Only their age counts: such a group has no
 * point-in-time window and no minimum of full backups, so that all of its backups expire.
 *
 * @param {readonly Run[]} runs
 * @param {Rotation} rotation
 * @param {Date} time
 * @returns {NeededRuns}
 */
export function neededRunsOfRemovedGroup(runs, rotation, time) {
  const kept = withDependencies(unexpired(runs, rotation, time));
  return { kept, anchor: newestFirst(runs.filter(({ run }) => kept.has(run))).at(-1) ?? AFTER_ALL_WAL };
}

/**
 * @typedef {object} NeededRuns
 * @property {Set<string>} kept labels of the runs that have not expired, the newest full backups, the run at the start of the
 *   point-in-time window, and the runs that these depend on
 * @property {Pick<Run, "history" | "walFirst"> | undefined} anchor the run at the start of the point-in-time window: WAL
 *   before its first segment is not needed. Without an anchor all WAL is needed
 */

/** A position after every possible WAL segment. */
const AFTER_ALL_WAL = { run: "", history: Number.MAX_SAFE_INTEGER, walFirst: "" };

/**
 * @param {readonly Run[]} runs
 * @returns {Run[]}
 */
function newestFirst(runs) {
  return [...runs].sort((one, other) => startOf(other.run).localeCompare(startOf(one.run)));
}

/**
 * @param {readonly Run[]} runs
 * @param {Rotation} rotation
 * @returns {Run[]} the full backups that are kept regardless of their age
 */
function newestFulls(runs, rotation) {
  return newestFirst(runs.filter(({ kind }) => kind === "full")).slice(0, rotation.minimumFulls);
}

/**
 * @param {readonly Run[]} runs
 * @param {Rotation} rotation
 * @param {Date} time
 * @returns {Run[]} the runs within the hourly class's retention
 */
function unexpired(runs, rotation, time) {
  return runs.filter(({ finishedAt }) => !hasExpired(finishedAt, daysKept(rotation, "hourly"), time));
}

/**
 * @param {readonly Run[]} wanted
 * @returns {Set<string>} labels of these runs and of their dependencies. `dependsOn` is already transitive
 */
function withDependencies(wanted) {
  return new Set(wanted.flatMap(({ run, dependsOn }) => [run, ...dependsOn]));
}

/**
 * @param {string} since ISO 8601
 * @param {number} days
 * @param {Date} time
 * @returns {boolean} whether so many days have passed
 */
function hasExpired(since, days, time) {
  return Date.parse(since) + days * DAY <= time.getTime();
}

/**
 * @param {Rotation} rotation
 * @param {string} name of a class
 * @returns {number} its retention in days
 * @throws {RangeError} when the binding ROTATION lacks the class, so that nothing is deleted by a wrong limit
 */
export function daysKept(rotation, name) {
  const kept = rotation.keepDays[name];
  if (kept === undefined) {
    throw new RangeError(`the binding ROTATION has no keepDays.${name}; run pulumi up to bind it again`);
  }
  return kept;
}

/**
 * @param {string} run label
 * @returns {string} start time as in the label, `YYYYMMDD-HHMMSS`: sorts by time
 */
export function startOf(run) {
  return run.slice(-16, -1);
}

/**
 * @param {string} run label
 * @returns {Date} start time
 */
export function startTimeOf(run) {
  return new Date(startOf(run).replace(/(....)(..)(..)-(..)(..)(..)/, "$1-$2-$3T$4:$5:$6Z"));
}

/**
 * Counts the WAL segments from `first` to `last`, both included.
 *
 * @param {string} first
 * @param {string} last of the same or a later timeline
 * @returns {number}
 */
export function segmentsBetween(first, last) {
  return segmentNumber(last) - segmentNumber(first) + 1;
}

/**
 * Returns the position of a WAL segment in all WAL, regardless of its timeline. With segments of 16 MiB, the last eight digits
 * of a name count from 0 to 255, and then the eight digits before them increase by one.
 *
 * @param {string} name
 * @returns {number}
 */
export function segmentNumber(name) {
  return Number.parseInt(name.slice(8, 16), 16) * 256 + Number.parseInt(name.slice(16), 16);
}

/**
 * @param {string} segment
 * @returns {string} its timeline: eight hexadecimal digits
 */
export function timelineOf(segment) {
  return segment.slice(0, 8);
}

/**
 * Returns the position of a WAL file in the archive.
 *
 * @param {string} key such as `hourly/archive/GROUP/17-1/0000000100000000/0000000100000000000000A1-….zst`
 * @returns {{ history: number, segment: string } | null} `history` is the N of `17-N`. `segment` sorts in the order of WAL:
 *   a segment has its name; a file that belongs to a segment (such as `.backup`) sorts directly after it; a timeline's history
 *   file sorts after the timeline's segments. Null for any other file
 */
export function walPosition(key) {
  const parts = key.split("/");
  const history = Number(/-(\d+)$/.exec(parts[3] ?? "")?.[1]);
  const name = parts.at(-1) ?? "";
  const segment = /^[0-9A-F]{24}/.exec(name)?.[0];
  const timeline = /^([0-9A-F]{8})\.history/.exec(name)?.[1];
  if (!Number.isInteger(history)) return null;
  if (segment !== undefined) return { history, segment: name.charAt(24) === "-" ? segment : `${segment}.` };
  return timeline === undefined ? null : { history, segment: timelineFilePosition(timeline) };
}

/**
 * @param {string} timeline eight hexadecimal digits
 * @returns {string} position of the timeline's history file: after every segment of the timeline
 */
export function timelineFilePosition(timeline) {
  return `${timeline}${"F".repeat(16)}~`;
}
