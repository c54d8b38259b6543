/**
 * What was found becomes alarms, and each channel's own account of what it was told of them.
 *
 * What is found once is a suspicion; found by the next look too, it is an alarm. That costs the minutes between two looks,
 * which are few against any limit, and it holds for every condition alike: an object may be on its way, a store may fail for a
 * moment, an age may be read just before a backup is complete. Only when the database itself does not answer can nothing be
 * remembered, so that this is told at once (backups/watch). One look that finds it well ends an alarm; who alternates for hours
 * is told of each beginning and each end. What could not be judged stays as it was.
 */

/**
 * @typedef {object} Condition
 * @property {string} id what is wrong, and with what
 * @property {string} text the thing, the place and the remedy, for people
 */

/** @typedef {{ wrong: Condition[], unknown: string[] }} Look `unknown`: ids, or their beginnings, that could not be judged */

/** @typedef {{ id: string, since: string }} Key */
/** @typedef {Key & { raised: number }} Open an alarm, or a suspicion (0) */

/**
 * @typedef {object} Changes
 * @property {Condition[]} begun suspicions
 * @property {(Key & { text: string })[]} seen again, and so an alarm from now on
 * @property {Key[]} ended alarms
 * @property {Key[]} dropped suspicions that nothing came of
 */

/**
 * @typedef {object} Due what a channel is to be told
 * @property {string} channel
 * @property {string} id
 * @property {string} text
 * @property {string} since
 * @property {string | null} endedAt
 * @property {boolean} again whether it was told before that it lasts
 */

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Who cannot be told for so long that something is over no longer cares. */
const TRIED = 3 * DAY;

const REPEATED = 6 * HOUR;

/** Alarms that ended are remembered for so long. */
const REMEMBERED = 30 * DAY;

/**
 * @param {readonly Open[]} open
 * @param {Look} look
 * @param {string} at a call that is repeated finds nothing a second time
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
 * @param {D1Database} db
 * @param {Look} look
 * @param {string[]} channels who is to hear
 * @param {Date} time the scheduled one
 * @param {(before: string) => D1PreparedStatement[]} [housekeeping] of what is no longer remembered either
 * @returns {Promise<{ raised: string[], due: Due[] }>} ids of all alarms, and what is owed to whom
 */
export async function remember(db, look, channels, time, housekeeping = () => []) {
  const at = time.toISOString();
  const open = await db
    .prepare("SELECT id, since, raised_at IS NOT NULL AS raised FROM alarms WHERE ended_at IS NULL")
    .run();
  const { begun, seen, ended, dropped } = changesOf(/** @type {Open[]} */ (open.results), look, at);
  const before = (/** @type {number} */ span) => new Date(time.getTime() - span).toISOString();
  const long = before(REMEMBERED);
  const answers = /** @type {D1Result<Record<string, any>>[]} */ (
    await db.batch([
      db.prepare(END).bind(JSON.stringify(ended), at),
      db.prepare(DROP).bind(JSON.stringify(dropped)),
      db.prepare(BEGIN).bind(JSON.stringify(begun), at),
      db.prepare(RAISE).bind(JSON.stringify(seen), at),
      db.prepare(OWE).bind(JSON.stringify(channels)),
      db.prepare("DELETE FROM told WHERE (id, since) IN (SELECT id, since FROM alarms WHERE ended_at < ?)").bind(long),
      db.prepare("DELETE FROM alarms WHERE ended_at < ?").bind(long),
      ...housekeeping(long),
      db.prepare("SELECT id FROM alarms WHERE ended_at IS NULL AND raised_at IS NOT NULL ORDER BY id"),
      db.prepare(OWED).bind(before(REPEATED), before(TRIED)),
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
 * @param {D1Database} db
 * @param {readonly Due[]} due what one channel has been told
 * @param {Date} time the scheduled one, so that six hours are six hours
 */
export async function settle(db, due, time) {
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

const OWE = `
  INSERT OR IGNORE INTO told (id, since, channel)
  SELECT alarms.id, since, channel.value FROM alarms JOIN json_each(?1) AS channel WHERE ended_at IS NULL AND raised_at IS NOT NULL`;

/** An end is told also to whom the beginning could not be. */
const OWED = `
  SELECT told.channel, alarms.id, alarms.text, alarms.since, alarms.ended_at, told.last_at
  FROM told JOIN alarms ON alarms.id = told.id AND alarms.since = told.since
  WHERE (ended_at IS NULL AND (last_at IS NULL OR last_at <= ?1))
    OR (ended_at > ?2 AND end_at IS NULL)
  ORDER BY alarms.since, alarms.id`;
