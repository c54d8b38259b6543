/** One word about backups, as watch sees them; and whether watch itself still looks. */

/** Watch looks every five minutes: it has missed two looks, and would be through with the third. */
const SILENT_MILLISECONDS = 15 * 60_000;

/**
 * @param {D1Database} db
 * @param {Date} time
 * @returns {Promise<"ok" | "degraded">} `degraded` also when watch has never looked: nobody would tell
 */
export async function healthOf(db, time) {
  const [raised, newest] = /** @type {[D1Result, D1Result<{ at: string, outcome: string }>]} */ (
    await db.batch([
      db.prepare("SELECT id FROM alarms WHERE ended_at IS NULL AND raised_at IS NOT NULL LIMIT 1"),
      db.prepare("SELECT at, outcome FROM runs WHERE worker = 'watch' ORDER BY at DESC LIMIT 1"),
    ])
  );
  const [run] = newest.results;
  const looks =
    run !== undefined &&
    run.outcome !== "failed" &&
    Math.abs(time.getTime() - Date.parse(run.at)) <= SILENT_MILLISECONDS;
  return looks && raised.results.length === 0 ? "ok" : "degraded";
}
