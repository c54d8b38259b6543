/** Saves what a Worker's buckets and databases hold, and restores it, so that tests can share a long preparation. */

import { base64Of, bytesOf, listed } from "./buckets.js";

const SCHEMA = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE '\\_cf\\_%' ESCAPE '\\' AND sql NOTNULL";

async function objectsOf(bucket) {
  const saved = [];
  for (const key of await listed(bucket)) {
    const object = await bucket.get(key);
    const { customMetadata, httpMetadata } = object;
    const { sha256 } = object.checksums.toJSON(); // only the Workers' own uploads have one
    saved.push({ key, body: base64Of(await object.arrayBuffer()), options: { customMetadata, httpMetadata, sha256 } });
  }
  return saved;
}

async function rowsOf(database) {
  const { results: schema } = await database.prepare(SCHEMA).all();
  const rows = {};
  for (const { name } of schema.filter(({ type }) => type === "table")) {
    rows[name] = (await database.prepare(`SELECT * FROM ${name}`).all()).results;
  }
  return { schema, rows };
}

/** Returns the content of the named buckets and databases as JSON. */
export async function save(env, { buckets, databases }) {
  const saved = { buckets: {}, databases: {} };
  for (const name of buckets) saved.buckets[name] = await objectsOf(env[name]);
  for (const name of databases) saved.databases[name] = await rowsOf(env[name]);
  return saved;
}

async function fill(database, { schema, rows }) {
  const tables = schema.filter(({ type }) => type === "table");
  const others = schema.filter(({ type }) => type !== "table");
  const inserted = Object.entries(rows).flatMap(([table, all]) =>
    all.map((row) => {
      const columns = Object.keys(row);
      const values = columns.map(() => "?").join();
      return database.prepare(`INSERT INTO ${table} (${columns.join()}) VALUES (${values})`).bind(...Object.values(row));
    }),
  );
  await database.batch([
    database.prepare("PRAGMA defer_foreign_keys = on"),
    // A Worker that has just started has no table yet.
    ...tables.map(({ sql }) => database.prepare(sql.replace(/^CREATE TABLE /i, "CREATE TABLE IF NOT EXISTS "))),
    ...others.map(({ type, name }) => database.prepare(`DROP ${type} IF EXISTS ${name}`)),
    ...Object.keys(rows).map((table) => database.prepare(`DELETE FROM ${table}`)),
    ...inserted,
    ...others.map(({ sql }) => database.prepare(sql)),
  ]);
}

/** Restores into empty buckets what `save` returned, and replaces the rows of the databases. */
export async function restore(env, { buckets, databases }) {
  for (const [name, objects] of Object.entries(buckets)) {
    await Promise.all(objects.map(({ key, body, options }) => env[name].put(key, bytesOf(body), options)));
  }
  for (const [name, saved] of Object.entries(databases)) await fill(env[name], saved);
  return null;
}
