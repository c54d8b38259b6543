/** A replacement of workers/api/postgres.js, with the same two exports, on top of the npm package `postgres`. */

import postgres from "../postgres/cf/src/index.js";

export class PostgresError extends Error {
  name = "PostgresError";

  constructor(sqlState) {
    super(`the server refused: ${sqlState}`);
    this.sqlState = sqlState;
  }
}

export async function connect({ host, port, user, password, database }, signal) {
  const sql = postgres({
    ...{ host, port, user, password, database },
    ...{ max: 1, prepare: false, fetch_types: false, no_subscribe: true, onnotice() {} },
    // The Worker itself applies time limits.
    ...{ connect_timeout: 0, idle_timeout: 0, max_lifetime: 0 },
  });
  signal.addEventListener("abort", () => sql.end({ timeout: 0 }).catch(() => {}));
  return { query: (text) => rowsOf(sql.unsafe(text).simple()) };
}

async function rowsOf(query) {
  try {
    const results = await query;
    const rows = Array.isArray(results[0]) ? results.at(-1) : results;
    return rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, textOf(value)])));
  } catch (error) {
    throw error instanceof postgres.PostgresError ? new PostgresError(error.code) : error;
  }
}

function textOf(value) {
  return typeof value === "boolean" ? String(value)[0] : value;
}
