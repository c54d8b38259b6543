/** Keeps an invocation that takes long and the next one from doing the same work. Both doing it would be slow, not wrong. */

const LEASE_MILLISECONDS = 300_000;

/**
 * @param {D1Database} db
 * @param {string} worker
 * @param {Date} time
 * @param {() => Promise<void>} job
 * @returns {Promise<void>} not done when somebody is at it; who ended in the midst of it holds up the others for five minutes
 */
export async function alone(db, worker, time, job) {
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
