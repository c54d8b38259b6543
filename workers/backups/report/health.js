/** The health of backups in one word, for the API's health report. */

/** The watch Worker runs every five minutes; after this time it has missed two runs. */
const SILENT_MILLISECONDS = 15 * 60_000;

/**
 * @param {D1Database} db
 * @param {Date} time
 * @returns {Promise<"ok" | "degraded">} `degraded` while there is an alarm. Also `degraded` without a recent successful run of
 *   the watch Worker, because then problems would not be detected
 */
export async function healthOf(db, time) {
  const [raised, newest] = /** @type {[D1Result, D1Result<{ at: string, outcome: string }>]} */ (
    await db.batch([
      db.prepare("SELECT id FROM alarms WHERE ended_at IS NULL AND raised_at IS NOT NULL LIMIT 1"),
      db.prepare("SELECT at, outcome FROM runs WHERE worker = 'watch' ORDER BY at DESC LIMIT 1"),
    ])
  );
  const [run] = newest.results;
  const isWatched =
    run !== undefined &&
    run.outcome !== "failed" &&
    Math.abs(time.getTime() - Date.parse(run.at)) <= SILENT_MILLISECONDS;
  return isWatched && raised.results.length === 0 ? "ok" : "degraded";
}
