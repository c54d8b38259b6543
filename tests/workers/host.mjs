/**
 * Runs one Worker at a time in workerd, for pytest: one request a line on stdin, one answer a line on stdout, in JSON.
 * Requests are {op, ...}; answers {result} or {error}.
 */

import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";

const WORKERS = fileURLToPath(new URL("../../workers/", import.meta.url));
const { Miniflare } = await import(pathToFileURL(`${WORKERS}node_modules/miniflare/dist/src/index.js`).href);

/** @type {Miniflare | undefined} */
let running;

const operations = {
  /** `modules` are paths below workers/, the first one being the Worker; `options` are miniflare's own. */
  async start({ modules, compatibilityDate, options }) {
    await running?.dispose();
    running = new Miniflare({
      modulesRoot: WORKERS,
      modules: modules.map((path) => ({
        type: path.endsWith(".js") ? "ESModule" : "Text",
        path: `${WORKERS}${path}`,
      })),
      compatibilityDate,
      cf: false,
      outboundService: () => new Response("this test has no network", { status: 502 }),
      ...options,
    });
    await running.ready;
  },

  async fetch({ path, method }) {
    const response = await running.dispatchFetch(`https://worker.example${path}`, { method, redirect: "manual" });
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: await response.text(),
    };
  },

  async scheduled({ time }) {
    const worker = await running.getWorker();
    const { outcome } = await worker.scheduled({ scheduledTime: new Date(time), cron: "* * * * *" });
    return outcome;
  },

  async queue({ messages }) {
    const worker = await running.getWorker();
    const timestamp = new Date();
    return await worker.queue(
      "backups",
      messages.map((body, index) => ({ id: String(index), timestamp, attempts: 1, body })),
    );
  },

  async sql({ statement }) {
    const database = await running.getD1Database("DB");
    return (await database.prepare(statement).all()).results;
  },

  async put({ bucket, key, text, options }) {
    await (await running.getR2Bucket(bucket)).put(key, text, options);
  },

  async get({ bucket, key }) {
    const object = await (await running.getR2Bucket(bucket)).get(key);
    if (object === null) return null;
    const { version, customMetadata, checksums } = object;
    return { text: await object.text(), version, customMetadata, sha256: checksums.toJSON().sha256 };
  },

  async delete({ bucket, key }) {
    await (await running.getR2Bucket(bucket)).delete(key);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { op, ...parameters } = JSON.parse(line);
  let answer;
  try {
    answer = { result: (await operations[op](parameters)) ?? null };
  } catch (error) {
    answer = { error: String(error?.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await running?.dispose();
// Miniflare's stand-in for Hyperdrive may still hold a connection that would keep this process alive.
process.exit();
