/**
 * SQL statements that correct published texts: each function returns one idempotent transaction. An amendment replaces a
 * text; a redaction removes it everywhere. Only contacts that may have received the old text get a notice.
 */

const AT = "strftime('%Y-%m-%d %H:%M UTC', updates.at / 1000, 'unixepoch')";

const WITHDRAWN = { body: "This text was withdrawn.", title: "Title withdrawn" };

const DO_NOT_USE = "Please do not use it or pass it on.";

/** The id of the correction's notice, and of the corrected update, incident or maintenance. @typedef {{ notice: string, target: string }} Ids */

/**
 * @param {D1Database} db
 * @param {Ids} ids
 * @param {{ body: string } | { title: string }} text
 * @param {Date} time
 * @returns {D1PreparedStatement[]}
 */
export function amend(db, ids, text, time) {
  const statements =
    "body" in text
      ? correctBody(db, ids, "amended", text.body, `'Correction of the update of ' || ${AT} || ': ' || ?3`, time)
      : correctTitle(db, ids, "amended", text.title, "The title was corrected. The new title is above.", time);
  return [...statements, skipUnreached(db, ids)];
}

/**
 * @param {D1Database} db
 * @param {Ids} ids of an update, or of an incident or maintenance
 * @param {Date} time
 * @returns {D1PreparedStatement[]}
 */
export function redact(db, { notice, target }, time) {
  const ids = { notice, target };
  const text = `'The text of ' || ${AT} || ' was withdrawn. ${DO_NOT_USE}'`;
  return [
    ...correctBody(db, ids, "redacted", WITHDRAWN.body, text, time),
    ...correctTitle(db, ids, "redacted", WITHDRAWN.title, `The title was withdrawn. ${DO_NOT_USE}`, time),
    skipUnreached(db, ids),
    // Notices of earlier amendments contain the text as well.
    db
      .prepare(
        `UPDATE updates SET body = ?3 WHERE id <> ?1
         AND id IN (SELECT notice FROM corrections WHERE target = ?2 AND kind = 'amended') AND ${CORRECTED}`,
      )
      .bind(notice, target, WITHDRAWN.body),
    // The id of an operator's update is the idempotency key of the call. The first update of a subject has a suffix.
    db
      .prepare(
        `UPDATE audit SET details = json_remove(details, '$.body') WHERE ${CORRECTED} AND details ->> 'key' = ?2
         AND EXISTS (SELECT 1 FROM updates WHERE id = ?3)`,
      )
      .bind(notice, target.replace(/-(opened|announced)$/, ""), target),
    db
      .prepare(
        `UPDATE audit SET details = json_remove(details, '$.title')
         WHERE ${CORRECTED} AND subject = ?2 AND details ->> 'title' IS NOT NULL`,
      )
      .bind(notice, target),
  ];
}

const CORRECTED = "EXISTS (SELECT 1 FROM corrections WHERE notice = ?1)";

const REDACTED = (/** @type {string} */ target) =>
  `EXISTS (SELECT 1 FROM corrections WHERE target = ${target} AND kind = 'redacted')`;

const SUBJECT_STATUS = `COALESCE((SELECT status FROM incidents WHERE id = updates.subject),
  (SELECT status FROM maintenances WHERE id = updates.subject))`;

/**
 * @param {D1Database} db
 * @param {Ids} ids
 * @param {"amended" | "redacted"} kind
 * @param {string} body
 * @param {string} text SQL: the notice's text
 * @param {Date} time
 * @returns {D1PreparedStatement[]} without effect if there is no such update, or it was redacted
 */
function correctBody(db, { notice, target }, kind, body, text, time) {
  return [
    db
      .prepare(
        `INSERT OR IGNORE INTO corrections SELECT ?1, id, ?3, ?4 FROM updates
         WHERE id = ?2 AND NOT ${REDACTED("id")} AND NOT EXISTS (SELECT 1 FROM corrections WHERE notice = updates.id)`,
      )
      .bind(notice, target, kind, time.getTime()),
    db.prepare(`UPDATE updates SET body = ?3 WHERE id = ?2 AND ${CORRECTED}`).bind(notice, target, body),
    db
      .prepare(
        `INSERT OR IGNORE INTO updates (id, type, subject, status, impact, components, body, at)
         SELECT ?1, substr(type, 1, instr(type, '.')) || ?4, subject, ${SUBJECT_STATUS}, impact, components, ${text}, ?5
         FROM updates WHERE id = ?2 AND ${CORRECTED}`,
      )
      .bind(notice, target, body, kind, time.getTime()),
    ...["incidents", "maintenances"].map((table) =>
      db
        .prepare(
          `UPDATE ${table} SET updated_at = ?3 WHERE ${CORRECTED} AND id = (SELECT subject FROM updates WHERE id = ?2)`,
        )
        .bind(notice, target, time.getTime()),
    ),
  ];
}

/**
 * @param {D1Database} db
 * @param {Ids} ids
 * @param {"amended" | "redacted"} kind
 * @param {string} title
 * @param {string} text the notice's text
 * @param {Date} time
 * @returns {D1PreparedStatement[]} without effect if there is no such incident or maintenance, or it was redacted
 */
function correctTitle(db, { notice, target }, kind, title, text, time) {
  return [
    ...["incidents", "maintenances"].flatMap((table) => [
      db
        .prepare(
          `INSERT OR IGNORE INTO corrections SELECT ?1, id, ?3, ?4 FROM ${table} WHERE id = ?2 AND NOT ${REDACTED("id")}`,
        )
        .bind(notice, target, kind, time.getTime()),
      db
        .prepare(`UPDATE ${table} SET title = ?3, updated_at = ?4 WHERE id = ?2 AND ${CORRECTED}`)
        .bind(notice, target, title, time.getTime()),
      db
        .prepare(
          `INSERT OR IGNORE INTO updates (id, type, subject, status, impact, components, body, at)
           SELECT ?1, '${table.slice(0, -1)}.' || ?4, id, status, ${table === "incidents" ? "impact" : "NULL"}, components, ?3, ?5
           FROM ${table} WHERE id = ?2 AND ${CORRECTED}`,
        )
        .bind(notice, target, text, kind, time.getTime()),
    ]),
  ];
}

/**
 * Deletes the notice's deliveries to contacts that cannot have received the old text: pending deliveries contain the
 * corrected text already.
 *
 * @param {D1Database} db
 * @param {Ids} ids
 * @returns {D1PreparedStatement}
 */
function skipUnreached(db, { notice, target }) {
  return db
    .prepare(
      `DELETE FROM deliveries WHERE update_id = ?1 AND state = 'pending' AND ${CORRECTED} AND contact NOT IN (
         SELECT contact FROM deliveries WHERE attempts > 0
         AND update_id IN (SELECT id FROM updates WHERE (id = ?2 OR subject = ?2) AND id <> ?1))`,
    )
    .bind(notice, target);
}
