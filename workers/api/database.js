/** Queries the database's health: whether a write commits, and the state of replication. */

import { failureName, logFailure } from "../lib/log.js";
import { limits, withTimeout } from "../lib/timeout.js";
import { connect, PostgresError } from "./postgres.js";

/** @import { Connection } from "./postgres.js" */

/**
 * @typedef {object} DatabaseState null means unknown
 * @property {boolean | null} writable whether a write committed within the last five seconds
 * @property {number | null} standbys number of standbys that stream from the coordinator group's leader
 * @property {number | null} synchronousStandbys number of them that are synchronous
 * @property {number | null} lagBytes largest replication lag; null also if there is no standby
 * @property {boolean | null} workerGroupsReplicated whether each Citus worker group has a streaming synchronous standby
 */

/** @type {DatabaseState} */
const UNKNOWN = {
  writable: null,
  standbys: null,
  synchronousStandbys: null,
  lagBytes: null,
  workerGroupsReplicated: null,
};

// The machines create both functions (health.sql). In Hyperdrive a SET is valid for the query that contains it only,
// because the connection returns to the pool after each query. Caching is off. Both statement timeouts leave half of the
// check's time for the network. The first does not limit a commit that waits for a standby; the check's timeout does.
const HEALTH = () => `SET LOCAL statement_timeout = '${limits.forServer(600)}ms'; SELECT * FROM backbuild.health()`;
const WORKER_GROUPS = () =>
  `SET LOCAL statement_timeout = '${limits.forServer(300)}ms'; SELECT backbuild.worker_groups_replicated()`;
const RECOVERY = "SELECT pg_is_in_recovery()";

/** Slightly longer than the statement timeout, in case the database does not enforce it. */
const WORKER_GROUPS_MILLISECONDS = 400;

/** The functions are missing or not granted: undefined_function, invalid_schema_name, insufficient_privilege. */
const FUNCTION_UNAVAILABLE = ["42883", "3F000", "42501"];

/**
 * @param {Hyperdrive} hyperdrive
 * @param {AbortSignal} signal closes the connection
 * @returns {Promise<DatabaseState>}
 * @throws {Error} if the database does not answer, or a write fails
 */
export async function queryDatabase(hyperdrive, signal) {
  const connection = await connect(hyperdrive, signal);
  try {
    const [health] = await connection.query(HEALTH());
    const writable = health?.writable === "t";
    return {
      writable,
      standbys: count(health?.standbys),
      synchronousStandbys: count(health?.synchronous_standbys),
      lagBytes: count(health?.lag_bytes),
      workerGroupsReplicated: writable ? await queryWorkerGroups(connection) : null,
    };
  } catch (error) {
    if (!(error instanceof PostgresError && FUNCTION_UNAVAILABLE.includes(error.sqlState))) throw error;
    const [answer] = await connection.query(RECOVERY);
    return { ...UNKNOWN, writable: answer?.pg_is_in_recovery === "t" ? false : null };
  }
}

/**
 * A separate query, so that an unreachable Citus worker group does not hide the coordinator group's state.
 *
 * @param {Connection} connection
 * @returns {Promise<boolean | null>}
 */
async function queryWorkerGroups(connection) {
  try {
    const [answer] = await withTimeout(connection.query(WORKER_GROUPS()), WORKER_GROUPS_MILLISECONDS);
    const replicated = answer?.worker_groups_replicated;
    return replicated === "t" ? true : replicated === "f" ? false : null;
  } catch (error) {
    logFailure("query of the worker groups failed", { error: failureName(error) });
    return null;
  }
}

/** @param {string | null | undefined} text */
function count(text) {
  return typeof text === "string" ? Number(text) : null;
}
