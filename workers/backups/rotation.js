/** The rotation: which backups are kept in which class, and what of a group is needed at a time. Pure. */

/** @typedef {"daily" | "monthly" | "yearly"} PromotedClass */

/**
 * @typedef {object} Rotation as docs/retention.md has it
 * @property {number} pointInTimeDays how far back any point can be restored
 * @property {number} minimumFulls of each group that stay whatever their age
 * @property {Record<string, number>} keepDays by class
 */

/**
 * @typedef {object} Run
 * @property {string} run label
 * @property {"full" | "incremental"} kind
 * @property {string} finishedAt ISO 8601
 * @property {string[]} dependsOn
 * @property {number | null} history of its archive; null while its first WAL segment is in no manifest
 * @property {string} walFirst
 * @property {string} walLast
 */

export const DAY = 86_400_000;

/** How much of a label, which begins with the date, tells a class's periods apart. */
const PERIOD_DIGITS = { daily: 8, monthly: 6, yearly: 4 };

export const PROMOTED = /** @type {PromotedClass[]} */ (Object.keys(PERIOD_DIGITS));

/**
 * The first full backup of each day, month and year is kept in that class too.
 *
 * @param {Run} full
 * @param {readonly { run: string, classes: readonly string[] }[]} decided the group's other full backups
 * @param {Rotation} rotation
 * @param {Date} time
 * @returns {PromotedClass[]}
 */
export function classesOf(full, decided, rotation, time) {
  return PROMOTED.filter((name) => {
    const period = full.run.slice(0, PERIOD_DIGITS[name]);
    const taken = decided.some(({ run, classes }) => run.startsWith(period) && classes.includes(name));
    return !taken && !isOver(full.finishedAt, days(rotation, name), time);
  });
}

/**
 * @param {readonly Run[]} runs of one group
 * @param {ReadonlySet<string>} doubtful those of which something is lost: nothing rests on them
 * @param {Rotation} rotation
 * @param {Date} time
 * @returns {Needed}
 */
export function needed(runs, doubtful, rotation, time) {
  const sound = runs.filter(({ run, dependsOn }) => ![run, ...dependsOn].some((label) => doubtful.has(label)));
  const anchor = newestFirst(sound).find(({ finishedAt }) => isOver(finishedAt, rotation.pointInTimeDays, time));
  // Those of which something is lost stay beside the sound ones: they may be all that there is.
  const fulls = [...newestFulls(sound, rotation), ...newestFulls(runs, rotation)];
  return { kept: completed([...young(runs, rotation, time), ...fulls, ...(anchor ? [anchor] : [])]), anchor };
}

/**
 * The same of a group that is no longer backed up: no window moves on, and no newer backup comes, so all of it goes by age.
 *
 * @param {readonly Run[]} runs
 * @param {Rotation} rotation
 * @param {Date} time
 * @returns {Needed}
 */
export function neededOfRemoved(runs, rotation, time) {
  const kept = completed(young(runs, rotation, time));
  return { kept, anchor: newestFirst(runs.filter(({ run }) => kept.has(run))).at(-1) ?? END };
}

/**
 * @typedef {object} Needed
 * @property {Set<string>} kept every run that is young enough, the newest full ones, where the point-in-time window begins,
 *   and what these depend on
 * @property {Pick<Run, "history" | "walFirst"> | undefined} anchor WAL is needed from its first segment on, and all of it
 *   when there is no anchor
 */

/** Behind every WAL segment that there can be. */
const END = { run: "", history: Number.MAX_SAFE_INTEGER, walFirst: "" };

/**
 * @param {readonly Run[]} runs
 * @returns {Run[]}
 */
function newestFirst(runs) {
  return [...runs].sort((one, other) => begun(other.run).localeCompare(begun(one.run)));
}

/**
 * @param {readonly Run[]} runs
 * @param {Rotation} rotation
 * @returns {Run[]} as many as stay whatever their age
 */
function newestFulls(runs, rotation) {
  return newestFirst(runs.filter(({ kind }) => kind === "full")).slice(0, rotation.minimumFulls);
}

/**
 * @param {readonly Run[]} runs
 * @param {Rotation} rotation
 * @param {Date} time
 * @returns {Run[]}
 */
function young(runs, rotation, time) {
  return runs.filter(({ finishedAt }) => !isOver(finishedAt, days(rotation, "hourly"), time));
}

/**
 * @param {readonly Run[]} wanted
 * @returns {Set<string>} and what they depend on: a run names every one, so one step is all of them
 */
function completed(wanted) {
  return new Set(wanted.flatMap(({ run, dependsOn }) => [run, ...dependsOn]));
}

/**
 * @param {string} since ISO 8601
 * @param {number} days
 * @param {Date} time
 * @returns {boolean}
 */
function isOver(since, days, time) {
  return Date.parse(since) + days * DAY <= time.getTime();
}

/**
 * @param {Rotation} rotation
 * @param {string} name
 * @returns {number}
 */
export function days(rotation, name) {
  const kept = rotation.keepDays[name];
  if (kept === undefined) throw new RangeError(`ROTATION.keepDays has no class ${name}`);
  return kept;
}

/**
 * @param {string} run
 * @returns {string} when it began, in a form that sorts by time
 */
export function begun(run) {
  return run.slice(-16, -1);
}

/**
 * @param {string} run
 * @returns {Date} when it began, by its label
 */
export function timeOf(run) {
  return new Date(begun(run).replace(/(....)(..)(..)-(..)(..)(..)/, "$1-$2-$3T$4:$5:$6Z"));
}

/**
 * @param {string} first
 * @param {string} last of the same timeline
 * @returns {number} of WAL segments from one to the other: of 16 MiB, 256 to each number in the middle
 */
export function segmentsBetween(first, last) {
  const number = (/** @type {string} */ name) =>
    Number.parseInt(name.slice(8, 16), 16) * 256 + Number.parseInt(name.slice(16), 16);
  return number(last) - number(first) + 1;
}

/**
 * Where in the database's history a WAL file lies.
 *
 * @param {string} key such as `hourly/archive/GROUP/17-1/0000000100000000/0000000100000000000000A1-….zst`
 * @returns {{ history: number, segment: string } | null} `segment` sorts: a segment by its name, what accompanies it right
 *   behind it, a timeline's history behind all of its segments; null for what is none of these
 */
export function placeOfWal(key) {
  const parts = key.split("/");
  const history = Number(/-(\d+)$/.exec(parts[3] ?? "")?.[1]);
  const name = parts.at(-1) ?? "";
  const segment = /^[0-9A-F]{24}/.exec(name)?.[0];
  const timeline = /^([0-9A-F]{8})\.history/.exec(name)?.[1];
  if (!Number.isInteger(history)) return null;
  if (segment !== undefined) return { history, segment: name.charAt(24) === "-" ? segment : `${segment}.` };
  return timeline === undefined ? null : { history, segment: historyOf(timeline) };
}

/**
 * @param {string} timeline
 * @returns {string}
 */
export function historyOf(timeline) {
  return `${timeline}${"F".repeat(16)}~`;
}
