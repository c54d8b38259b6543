/** Operators' corrections of published texts. */

import { hex, utf8 } from "../../lib/bytes.js";
import { json } from "../../lib/http.js";
import { amend, redact } from "../corrections.js";
import { carryOut } from "./actions.js";
import { validated } from "./body.js";
import { HttpError } from "./http-error.js";
import { readAmendment, readRedaction } from "./requests.js";

/** @import { Call } from "./actions.js" */

/**
 * @param {D1Database} db
 * @param {"incidents" | "maintenances"} table
 * @param {string} subject id
 * @returns {Promise<Response>} its updates, the latest first
 */
export async function listUpdates(db, table, subject) {
  const [found, updates] = /** @type {D1Result<Record<string, any>>[]} */ (
    await db.batch([
      db.prepare(`SELECT title FROM ${table} WHERE id = ?`).bind(subject),
      db
        .prepare(
          `SELECT id, status, body, at, (SELECT MAX(at) FROM corrections WHERE target = updates.id) AS corrected_at
           FROM updates WHERE subject = ? AND NOT EXISTS (SELECT 1 FROM corrections WHERE notice = updates.id)
           ORDER BY at DESC, id LIMIT 1000`,
        )
        .bind(subject),
    ])
  );
  const title = found?.results[0]?.title;
  if (title === undefined) throw new HttpError(404, `there is no ${table.slice(0, -1)} ${subject}`);
  return json({
    id: subject,
    title,
    updates: updates?.results.map(({ id, status, body, at, corrected_at }) => ({
      id,
      status,
      body,
      at: new Date(at),
      correctedAt: corrected_at === null ? null : new Date(corrected_at),
    })),
  });
}

/**
 * @param {Call} call
 * @param {unknown} given
 * @returns {Promise<Response>}
 */
export async function amendText(call, given) {
  const { id, body, title } = validated(readAmendment(given));
  const text = body === undefined ? { title: String(title) } : { body };
  const written = Object.values(text)[0] ?? "";
  // The audit log contains only the text's hash, because the text itself may have to be redacted later.
  const sha256 = hex(await crypto.subtle.digest("SHA-256", utf8(written)));
  return correct(call, id, "text.amend", { field: Object.keys(text)[0], sha256 }, (ids) =>
    amend(call.db, ids, text, call.time),
  );
}

/**
 * @param {Call} call
 * @param {unknown} given
 * @returns {Promise<Response>}
 */
export async function redactText(call, given) {
  const { id } = validated(readRedaction(given));
  return correct(call, id, "text.redact", {}, (ids) => redact(call.db, ids, call.time));
}

/**
 * @param {Call} call
 * @param {string} id
 * @param {string} name
 * @param {Record<string, unknown>} details
 * @param {(ids: import("../corrections.js").Ids) => D1PreparedStatement[]} statements
 * @returns {Promise<Response>}
 */
async function correct(call, id, name, details, statements) {
  const at = await carryOut(call, {
    name,
    subject: id,
    details,
    statements: statements({ notice: call.key, target: id }),
    updateId: call.key,
    rejection: async () => {
      const row = await call.db
        .prepare("SELECT at FROM corrections WHERE target = ? AND kind = 'redacted'")
        .bind(id)
        .first();
      return row === null
        ? new HttpError(404, `there is no ${details.field === "title" ? "incident or maintenance" : "update"} ${id}`)
        : new HttpError(409, `${id} was withdrawn at ${new Date(Number(row.at)).toISOString()}`);
    },
  });
  return json({ id, at }, 201);
}
