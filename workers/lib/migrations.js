/** A Worker's D1 database: its tables, which the Worker makes itself because it is deployed before anything reaches them. */

import { withTimeout } from "./timeout.js";

/**
 * Each migration is one transaction that begins with its own name, which is there once: two isolates that do this at the same
 * time apply none twice, and one that ends in the midst of it has changed nothing.
 *
 * @param {Record<string, string>} migrations SQL by name, in order, its statements separated by blank lines; one that has been
 *   deployed is never changed, only followed by another
 * @param {number} milliseconds that the first call waits at most
 * @returns {(db: D1Database) => Promise<D1Database>} the same database with every table there; asked once in an isolate's life
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
      // Another isolate may have been first.
      if (!(await applied(db)).has(name)) throw error;
    }
  }
}

/**
 * @param {D1Database} db
 * @returns {Promise<Set<string>>} names
 */
async function applied(db) {
  /** @type {D1Result<{ name: string }>[]} */
  const [, names] = await db.batch([
    db.prepare("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)"),
    db.prepare("SELECT name FROM migrations"),
  ]);
  return new Set(names?.results.map(({ name }) => name));
}
