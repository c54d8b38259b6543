/** What the backup Workers remember together, in D1. Each of them makes the tables that are not there yet. */

import runs from "./migrations/0001_runs.sql";
import catalogue from "./migrations/0002_catalogue.sql";
import alarms from "./migrations/0003_alarms.sql";

let migrated = false;

/**
 * A Worker is deployed before anything else can reach its database. Every statement may be repeated, so two may do this
 * at once; asked once in an isolate's life.
 *
 * @param {D1Database} db
 * @returns {Promise<D1Database>} the same, with every table there
 */
export async function opened(db) {
  if (!migrated) {
    const statements = [runs, catalogue, alarms].flatMap((sql) => sql.split(/;\n\n+/));
    await db.batch(statements.map((statement) => db.prepare(statement)));
    migrated = true;
  }
  return db;
}
