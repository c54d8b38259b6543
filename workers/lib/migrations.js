/** Migrations of a Cloudflare Worker's D1 database. The Worker applies them itself, because no other program has access to it. */

import { withTimeout } from "./timeout.js";

/**
 * Returns a function that applies the pending migrations to a database before its first use in this isolate.
 *
 * Each migration is one transaction, whose first statement inserts the migration's unique name. So two isolates never apply
 * the same migration twice, and an isolate that ends during a migration changes nothing.
 *
 * @param {Record<string, string>} migrations SQL by name, in order, with a blank line between two statements. Never change the
 *   statements of a migration that was deployed; add another migration
 * @param {number} milliseconds timeout of the first call
 * @returns {(db: D1Database) => Promise<D1Database>} resolves to the same database
 */
export function opener(migrations, milliseconds) {
  let migrated = false;
  return async (db) => {
    if (!migrated) {
      await withTimeout(migrate(db, migrations), milliseconds);
      migrated = true;
    }
    return db;
  };
}

/**
 * @param {D1Database} db
 * @param {Record<string, string>} migrations
 */
async function migrate(db, migrations) {
  const done = await applied(db);
  for (const [name, sql] of Object.entries(migrations)) {
    if (done.has(name)) continue;
    const statements = sql.split(/\n\n+/).map((statement) => db.prepare(statement));
    try {
      await db.batch([db.prepare("INSERT INTO migrations VALUES (?)").bind(name), ...statements]);
    } catch (error) {
      // Another isolate may have applied it meanwhile.
      if (!(await applied(db)).has(name)) throw error;
    }
  }
}

/**
 * @param {D1Database} db
 * @returns {Promise<Set<string>>} names of the applied migrations
 */
async function applied(db) {
  /** @type {D1Result<{ name: string }>[]} */
  const [, names] = await db.batch([
    db.prepare("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)"),
    db.prepare("SELECT name FROM migrations"),
  ]);
  return new Set(names?.results.map(({ name }) => name));
}
