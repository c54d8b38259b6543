/** What the database says of itself: whether a write commits, and who else holds what was written. */

import { failureName, logFailure } from "../lib/log.js";
import { limits, withTimeout } from "../lib/timeout.js";
import { connect, PostgresError } from "./postgres.js";

/** @import { Connection } from "./postgres.js" */

/**
 * @typedef {object} DatabaseState what could not be learnt is null
 * @property {boolean | null} writable whether a write has just committed, or did within the last seconds
 * @property {number | null} standbys how many stream from the coordinator group's leader
 * @property {number | null} synchronousStandbys how many of them a commit may wait for
 * @property {number | null} lagBytes of the standby that is furthest behind; null also while there is none
 * @property {boolean | null} workerGroupsReplicated whether each has a synchronous standby that streams
 */

/** @type {DatabaseState} */
const UNKNOWN = {
  writable: null,
  standbys: null,
  synchronousStandbys: null,
  lagBytes: null,
  workerGroupsReplicated: null,
};

// Both functions are made by the machines (health.sql). Hyperdrive applies a SET to the query that it stands in, and
// takes a connection back after each. It caches no answer of a volatile function, and this one's configuration none at
// all. The two limits leave a check half of its time for the way; the first does not bound a commit that waits for a
// standby, which is what the check's own limit is for.
const HEALTH = () => `SET LOCAL statement_timeout = '${limits.told(600)}ms'; SELECT * FROM backbuild.health()`;
const WORKER_GROUPS = () =>
  `SET LOCAL statement_timeout = '${limits.told(300)}ms'; SELECT backbuild.worker_groups_replicated()`;
const RECOVERY = "SELECT pg_is_in_recovery()";

/** A little more than the database's own limit, for when that does not hold. */
const WORKER_GROUPS_MILLISECONDS = 400;

/** The machines have not made the functions, or not for us: undefined_function, invalid_schema_name, no privilege. */
const NOT_MADE = ["42883", "3F000", "42501"];

/**
 * @param {Hyperdrive} hyperdrive
 * @param {AbortSignal} signal gives up
 * @returns {Promise<DatabaseState>}
 * @throws {Error} when there is no database, or none that takes a write
 */
export async function askDatabase(hyperdrive, signal) {
  const connection = await connect(hyperdrive, signal);
  try {
    const [health] = await connection.query(HEALTH());
    const writable = health?.writable === "t";
    return {
      writable,
      standbys: count(health?.standbys),
      synchronousStandbys: count(health?.synchronous_standbys),
      lagBytes: count(health?.lag_bytes),
      workerGroupsReplicated: writable ? await askWorkerGroups(connection) : null,
    };
  } catch (error) {
    if (!(error instanceof PostgresError && NOT_MADE.includes(error.sqlState))) throw error;
    const [answer] = await connection.query(RECOVERY);
    return { ...UNKNOWN, writable: answer?.pg_is_in_recovery === "t" ? false : null };
  }
}

/**
 * Asked apart: a worker group that does not answer leaves what is known of the coordinator group as it is.
 *
 * @param {Connection} connection
 * @returns {Promise<boolean | null>}
 */
async function askWorkerGroups(connection) {
  try {
    const [answer] = await withTimeout(connection.query(WORKER_GROUPS()), WORKER_GROUPS_MILLISECONDS);
    const replicated = answer?.worker_groups_replicated;
    return replicated === "t" ? true : replicated === "f" ? false : null;
  } catch (error) {
    logFailure("worker groups not asked", { error: failureName(error) });
    return null;
  }
}

/** @param {string | null | undefined} text */
function count(text) {
  return typeof text === "string" ? Number(text) : null;
}
