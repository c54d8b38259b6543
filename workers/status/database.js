/** The status Worker's D1 database. The Worker creates its own tables, because no other program can reach D1 earlier. */

import { withTimeout } from "../lib/timeout.js";
import samples from "./migrations/0001_samples.sql";
import days from "./migrations/0002_days.sql";
import announcements from "./migrations/0003_announcements.sql";
import notifications from "./migrations/0004_notifications.sql";
import corrections from "./migrations/0005_corrections.sql";
import alarms from "./migrations/0006_alarms.sql";
import webhookSecrets from "./migrations/0007_webhook_secrets.sql";

/** In order. A deployed migration is never changed; append a new one. */
const MIGRATIONS = { samples, days, announcements, notifications, corrections, alarms, webhookSecrets };

/** At most the timeout of a probe. */
const OPEN_MILLISECONDS = 5_000;

let migrated = false;

/**
 * @param {D1Database} db
 * @returns {Promise<D1Database>} the same database after all migrations, which run once for each isolate
 */
export async function opened(db) {
  if (!migrated) {
    await withTimeout(migrate(db), OPEN_MILLISECONDS);
    migrated = true;
  }
  return db;
}

/**
 * Two isolates may do this at once: every statement is idempotent, and each migration is one transaction.
 *
 * @param {D1Database} db
 */
async function migrate(db) {
  /** @type {D1Result<{ name: string }>[]} */
  const [, done] = await db.batch([
    db.prepare("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)"),
    db.prepare("SELECT name FROM migrations"),
  ]);
  const names = new Set(done?.results.map(({ name }) => name));
  for (const [name, sql] of Object.entries(MIGRATIONS)) {
    if (names.has(name)) continue;
    const statements = sql.split(/\n\n+/).map((statement) => db.prepare(statement));
    await db.batch([...statements, db.prepare("INSERT OR IGNORE INTO migrations VALUES (?)").bind(name)]);
  }
}
