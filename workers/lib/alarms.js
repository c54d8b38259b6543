/**
 * Turns the conditions that a check run finds into alarms, and records per channel which notifications were sent.
 *
 * A condition that one check run finds is pending. If the next run finds it too, it becomes an alarm. This delay avoids false
 * alarms (an object is still being copied, one request to a store fails, a backup completes just after its age was read), and
 * it is short compared with every limit. There is one exception: if the database does not answer, nothing can be recorded, so
 * backups/watch notifies at once.
 *
 * An alarm ends with the first run that does not find its condition. A condition that comes and goes causes a notification each
 * time. A condition that could not be checked keeps its state.
 */

/**
 * @typedef {object} Condition something that is wrong
 * @property {string} id kind and subject, such as `full:coordinator`
 * @property {string} text for operators: names the thing, the place and the remedy
 */

/**
 * @typedef {object} CheckResults
 * @property {Condition[]} wrong the conditions that hold
 * @property {string[]} unknown ids, or prefixes of ids, of the conditions that could not be checked
 */

/** @typedef {{ id: string, since: string }} Key */
/** @typedef {Key & { raised: number }} Open a condition that has not ended; `raised`: 1 for an alarm, 0 for a pending condition */

/**
 * @typedef {object} Changes
 * @property {Condition[]} begun conditions that become pending
 * @property {(Key & { text: string })[]} seen conditions that were found again: alarms from now on
 * @property {Key[]} ended alarms that end
 * @property {Key[]} dropped pending conditions that end without an alarm
 */

/**
 * @typedef {object} Due a notification that is due on a channel
 * @property {string} channel
 * @property {string} id of the condition
 * @property {string} text
 * @property {string} since ISO 8601
 * @property {string | null} endedAt null while the alarm lasts
 * @property {boolean} again whether this is a reminder: the channel was already notified that the alarm has begun
 */

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Limit for retrying the notification that an alarm has ended. */
const END_RETRY_LIMIT = 3 * DAY;

const REMINDER_INTERVAL = 6 * HOUR;

/** Retention of ended alarms. */
const ENDED_ALARM_RETENTION = 30 * DAY;

/**
 * Compares the open conditions with the results of a check run. Pure.
 *
 * @param {readonly Open[]} open
 * @param {CheckResults} results
 * @param {string} at scheduled time of the run, ISO 8601. If a run is executed twice, the second one raises no alarm for a
 *   condition that the first one found
 * @returns {Changes}
 */
export function changesOf(open, { wrong, unknown }, at) {
  const texts = new Map(wrong.map(({ id, text }) => [id, text]));
  const known = new Set(open.map(({ id }) => id));
  const over = open.filter(
    ({ id }) => !texts.has(id) && !unknown.some((one) => id === one || id.startsWith(`${one}:`)),
  );
  return {
    begun: wrong.filter(({ id }) => !known.has(id)),
    seen: open.flatMap(({ id, since }) => {
      const text = texts.get(id);
      return text !== undefined && since < at ? [{ id, since, text }] : [];
    }),
    ended: over.filter(({ raised }) => raised),
    dropped: over.filter(({ raised }) => !raised),
  };
}

/**
 * Records the results of a check run in one transaction.
 *
 * @param {D1Database} db
 * @param {CheckResults} results
 * @param {string[]} channels ids of the channels to notify
 * @param {Date} time scheduled time of the run
 * @param {(before: string) => D1PreparedStatement[]} [housekeeping] deletes other rows that are older than `before`
 * @returns {Promise<{ raised: string[], due: Due[] }>} ids of all current alarms, and the notifications that are due
 */
export async function recordConditions(db, results, channels, time, housekeeping = () => []) {
  const at = time.toISOString();
  const open = await db
    .prepare("SELECT id, since, raised_at IS NOT NULL AS raised FROM alarms WHERE ended_at IS NULL")
    .run();
  const { begun, seen, ended, dropped } = changesOf(/** @type {Open[]} */ (open.results), results, at);
  const before = (/** @type {number} */ span) => new Date(time.getTime() - span).toISOString();
  const expired = before(ENDED_ALARM_RETENTION);
  const answers = /** @type {D1Result<Record<string, any>>[]} */ (
    await db.batch([
      db.prepare(END).bind(JSON.stringify(ended), at),
      db.prepare(DROP).bind(JSON.stringify(dropped)),
      db.prepare(BEGIN).bind(JSON.stringify(begun), at),
      db.prepare(RAISE).bind(JSON.stringify(seen), at),
      db.prepare(ADD_CHANNELS).bind(JSON.stringify(channels)),
      db
        .prepare("DELETE FROM told WHERE (id, since) IN (SELECT id, since FROM alarms WHERE ended_at < ?)")
        .bind(expired),
      db.prepare("DELETE FROM alarms WHERE ended_at < ?").bind(expired),
      ...housekeeping(expired),
      db.prepare("SELECT id FROM alarms WHERE ended_at IS NULL AND raised_at IS NOT NULL ORDER BY id"),
      db.prepare(DUE).bind(before(REMINDER_INTERVAL), before(END_RETRY_LIMIT)),
    ])
  );
  const [raised = [], due = []] = answers.slice(-2).map(({ results }) => results);
  return {
    raised: raised.map(({ id }) => id),
    due: due.map(({ channel, id, text, since, ended_at: endedAt, last_at: last }) => {
      return { channel, id, text, since, endedAt, again: last !== null };
    }),
  };
}

/**
 * Records the notifications that were sent.
 *
 * @param {D1Database} db
 * @param {readonly Due[]} due the notifications that one channel accepted
 * @param {Date} time scheduled time of the run. With the time of sending, which is later, reminders would drift
 */
export async function markNotified(db, due, time) {
  const set = (/** @type {string} */ column, /** @type {Due[]} */ some) =>
    db
      .prepare(
        `UPDATE told SET ${column} = ?2 WHERE (id, since, channel) IN (
           SELECT value->>'id', value->>'since', value->>'channel' FROM json_each(?1))`,
      )
      .bind(JSON.stringify(some), time.toISOString());
  await db.batch([
    set(
      "last_at",
      due.filter(({ endedAt }) => endedAt === null),
    ),
    set(
      "end_at",
      due.filter(({ endedAt }) => endedAt !== null),
    ),
  ]);
}

const GIVEN = "SELECT value->>'id', value->>'since' FROM json_each(?1)";

const END = `UPDATE alarms SET ended_at = ?2 WHERE (id, since) IN (${GIVEN})`;

const DROP = `DELETE FROM alarms WHERE raised_at IS NULL AND (id, since) IN (${GIVEN})`;

const BEGIN = `
  INSERT OR IGNORE INTO alarms (id, since, text) SELECT value->>'id', ?2, value->>'text' FROM json_each(?1)`;

const RAISE = `
  UPDATE alarms SET text = given.text, raised_at = COALESCE(raised_at, ?2)
  FROM (SELECT value->>'id' AS id, value->>'since' AS since, value->>'text' AS text FROM json_each(?1)) AS given
  WHERE alarms.id = given.id AND alarms.since = given.since`;

/** Adds a row for each alarm and channel. A null column in it means that the notification is still due. */
const ADD_CHANNELS = `
  INSERT OR IGNORE INTO told (id, since, channel)
  SELECT alarms.id, since, channel.value FROM alarms JOIN json_each(?1) AS channel WHERE ended_at IS NULL AND raised_at IS NOT NULL`;

/** The end of an alarm is also sent to channels on which its beginning could not be delivered. */
const DUE = `
  SELECT told.channel, alarms.id, alarms.text, alarms.since, alarms.ended_at, told.last_at
  FROM told JOIN alarms ON alarms.id = told.id AND alarms.since = told.since
  WHERE (ended_at IS NULL AND (last_at IS NULL OR last_at <= ?1))
    OR (ended_at > ?2 AND end_at IS NULL)
  ORDER BY alarms.since, alarms.id`;
