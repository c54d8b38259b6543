/** The Worker's own database: its tables, made by itself because it is deployed before anything else can reach them. */

import { withTimeout } from "../lib/timeout.js";
import samples from "./migrations/0001_samples.sql";
import days from "./migrations/0002_days.sql";
import announcements from "./migrations/0003_announcements.sql";
import notifications from "./migrations/0004_notifications.sql";
import corrections from "./migrations/0005_corrections.sql";
import alarms from "./migrations/0006_alarms.sql";
import webhookSecrets from "./migrations/0007_webhook_secrets.sql";

/** In order; one that has been deployed is never changed, only followed by another. */
const MIGRATIONS = { samples, days, announcements, notifications, corrections, alarms, webhookSecrets };

/** No longer than the probe beside it may take. */
const OPEN_MILLISECONDS = 5_000;

let migrated = false;

/**
 * @param {D1Database} db
 * @returns {Promise<D1Database>} the same, with every table there; asked once in an isolate's life
 */
export async function opened(db) {
  if (!migrated) {
    await withTimeout(migrate(db), OPEN_MILLISECONDS);
    migrated = true;
  }
  return db;
}

/**
 * Two isolates may do this at once: every statement may be repeated, and each migration is one transaction.
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
