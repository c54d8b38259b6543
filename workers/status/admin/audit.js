/** Lists the audit log of operators' actions. */

import { json } from "../../lib/http.js";
import { validationError } from "./body.js";

const PAGE = 100;

const ID = /^[1-9]\d{0,15}$/;

/**
 * @param {D1Database} db
 * @param {URLSearchParams} query `before`: the last id of the previous page
 * @returns {Promise<Response>} newest first
 */
export async function listAudit(db, query) {
  const before = query.get("before");
  if (before !== null && !ID.test(before))
    throw validationError([{ field: "before", problem: "must be the id of an entry" }]);
  const { results } = await db
    .prepare("SELECT * FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?")
    .bind(before === null ? Number.MAX_SAFE_INTEGER : Number(before), PAGE)
    .all();
  return json({
    entries: results.map((row) => ({
      id: row.id,
      at: new Date(Number(row.at)),
      operator: row.operator,
      action: row.action,
      subject: row.subject,
      details: JSON.parse(String(row.details)),
    })),
  });
}
