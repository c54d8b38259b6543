/** A lease in D1, so that two invocations of a Worker do not do the same work. Doing it twice would be slow, but correct. */

const LEASE_MILLISECONDS = 300_000;

/**
 * Runs `job` unless another invocation holds the Worker's lease. If an invocation ends early, its lease expires after five
 * minutes.
 *
 * @param {D1Database} db
 * @param {string} worker
 * @param {Date} time
 * @param {() => Promise<void>} job
 */
export async function withLease(db, worker, time, job) {
  const until = new Date(time.getTime() + LEASE_MILLISECONDS).toISOString();
  const taken = await db
    .prepare(
      `INSERT INTO leases VALUES (?1, ?2) ON CONFLICT (worker) DO UPDATE SET until = ?2 WHERE until <= ?3 RETURNING worker`,
    )
    .bind(worker, until, time.toISOString())
    .first();
  if (taken === null) return;
  try {
    await job();
  } finally {
    await db.prepare("DELETE FROM leases WHERE worker = ?1 AND until = ?2").bind(worker, until).run();
  }
}
