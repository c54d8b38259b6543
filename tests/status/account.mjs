/**
 * Computes the page's accounts of generated months, for pytest: one month per line on stdin, one account per line on
 * stdout, in JSON. It runs the page's own code on SQLite.
 */

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { accountOf } from "../../workers/status/months.js";

const MIGRATIONS = ["0001_samples", "0002_days", "0003_announcements"].map((name) =>
  readFileSync(new URL(`../../workers/status/migrations/${name}.sql`, import.meta.url), "utf8"),
);

/** The methods of D1 that the page uses. */
function d1(sqlite) {
  const statement = (sql, values) => ({
    bind: (...values) => statement(sql, values),
    results: () => ({ results: sqlite.prepare(sql).all(...values) }),
  });
  return {
    prepare: (sql) => statement(sql, []),
    batch: async (statements) => statements.map((one) => one.results()),
  };
}

/** `runs`: [minute, minutes, status]; `works`: rows of maintenances; `time`: ISO 8601. */
async function account({ month, runs, works, time, agreement }) {
  const sqlite = new DatabaseSync(":memory:");
  for (const sql of MIGRATIONS) sqlite.exec(sql);
  const samples = sqlite.prepare(`WITH RECURSIVE run(minute) AS (
    SELECT ?1 UNION ALL SELECT minute + 1 FROM run WHERE minute + 1 < ?1 + ?2)
    INSERT INTO samples SELECT minute, 'platform', ?3 FROM run`);
  for (const run of runs) samples.run(...run);
  const plan = sqlite.prepare("INSERT INTO maintenances VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
  for (const work of works) plan.run(...work);
  const found = await accountOf(d1(sqlite), month, new Date(time), agreement);
  sqlite.close();
  return found;
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await account(JSON.parse(line)))}\n`);
}
