/**
 * Corrections of what was published: statements for one transaction, safe to run twice. An amendment replaces a text, a
 * redaction takes it away everywhere. Those whom the old text may have reached are told by a notice, and nobody else.
 */

const AT = "strftime('%Y-%m-%d %H:%M UTC', updates.at / 1000, 'unixepoch')";

const WITHDRAWN = { body: "This text was withdrawn.", title: "Title withdrawn" };

const DO_NOT_USE = "Please do not use it or pass it on.";

/** What corrects something: the id of the notice, and of what is corrected. @typedef {{ notice: string, target: string }} Ids */

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
      ? correctBody(db, ids, "amended", text.body, `'What was said at ' || ${AT} || ' is corrected: ' || ?3`, time)
      : correctTitle(db, ids, "amended", text.title, "The title is corrected, and now reads as above.", time);
  return [...statements, narrow(db, ids)];
}

/**
 * @param {D1Database} db
 * @param {Ids} ids of an update, or of an incident or maintenance
 * @param {Date} time
 * @returns {D1PreparedStatement[]}
 */
export function redact(db, { notice, target }, time) {
  const ids = { notice, target };
  const said = `'The text of ' || ${AT} || ' was withdrawn. ${DO_NOT_USE}'`;
  return [
    ...correctBody(db, ids, "redacted", WITHDRAWN.body, said, time),
    ...correctTitle(db, ids, "redacted", WITHDRAWN.title, `The title was withdrawn. ${DO_NOT_USE}`, time),
    narrow(db, ids),
    // Notices of earlier amendments hold the text, too.
    db
      .prepare(
        `UPDATE updates SET body = ?3 WHERE id <> ?1
         AND id IN (SELECT notice FROM corrections WHERE target = ?2 AND kind = 'amended') AND ${CORRECTED}`,
      )
      .bind(notice, target, WITHDRAWN.body),
    // An update is named by its call's key, the first one of its subject with what it does beside.
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
 * @param {string} said SQL: the notice's text
 * @param {Date} time
 * @returns {D1PreparedStatement[]} that do nothing unless there is such an update, which was not redacted
 */
function correctBody(db, { notice, target }, kind, body, said, time) {
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
         SELECT ?1, substr(type, 1, instr(type, '.')) || ?4, subject, ${SUBJECT_STATUS}, impact, components, ${said}, ?5
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
 * @param {string} said the notice's text
 * @param {Date} time
 * @returns {D1PreparedStatement[]} that do nothing unless there is such an incident or maintenance
 */
function correctTitle(db, { notice, target }, kind, title, said, time) {
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
        .bind(notice, target, said, kind, time.getTime()),
    ]),
  ];
}

/**
 * A text that was on its way goes out as it was corrected; only those that it may have reached before need the notice.
 *
 * @param {D1Database} db
 * @param {Ids} ids
 * @returns {D1PreparedStatement}
 */
function narrow(db, { notice, target }) {
  return db
    .prepare(
      `DELETE FROM deliveries WHERE update_id = ?1 AND state = 'pending' AND ${CORRECTED} AND contact NOT IN (
         SELECT contact FROM deliveries WHERE attempts > 0
         AND update_id IN (SELECT id FROM updates WHERE (id = ?2 OR subject = ?2) AND id <> ?1))`,
    )
    .bind(notice, target);
}
