/**
 * Runs Workers in workerd, for pytest: one request a line on stdin, one answer a line on stdout, in JSON.
 * Requests are {op, ...}; answers {result} or {error}.
 */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";

const WORKERS = fileURLToPath(new URL("../../workers/", import.meta.url));
const { Log, LogLevel, Miniflare } = await import(pathToFileURL(`${WORKERS}node_modules/miniflare/dist/src/index.js`).href);

/** Stands before the Worker and does what a test's `instruction` says: harness.js. */
const HARNESS = readFileSync(new URL("harness.js", import.meta.url), "utf8");
const BUCKETS = readFileSync(new URL("buckets.js", import.meta.url), "utf8");

/** @type {Miniflare | undefined} */
let running;

/** What `send_email` would have sent: miniflare keeps each message in a file, and logs its name. */
let emails = [];

class MailLog extends Log {
  constructor() {
    super(LogLevel.INFO);
  }

  logWithLevel(_level, message) {
    const file = /send_email binding called with the following message:\s+(\S+)/.exec(message)?.[1];
    if (file !== undefined) emails.push(readFileSync(file, "utf8"));
  }
}

/** One Worker as miniflare takes it: its modules' paths below workers/, the first one being the Worker itself. */
function workerOf({ modules, added = {}, compatibilityDate, options }) {
  return {
    modulesRoot: WORKERS,
    modules: [
      { type: "ESModule", path: `${WORKERS}harness.js`, contents: HARNESS.replace("WORKER", modules[0]) },
      { type: "ESModule", path: `${WORKERS}buckets.js`, contents: BUCKETS },
      ...modules.map((path) => ({
        type: path.endsWith(".js") ? "ESModule" : "Text",
        path: `${WORKERS}${path}`,
      })),
      ...Object.entries(added).map(([path, contents]) => ({ type: "ESModule", path: `${WORKERS}${path}`, contents })),
    ],
    compatibilityDate,
    outboundService: () => new Response("this test has no network", { status: 502 }),
    ...options,
  };
}

const operations = {
  /**
   * `modules` are paths below workers/, the first one being the Worker; `added` are texts by path, as if they lay there;
   * `options` are miniflare's own. Answers with the address at which it listens.
   */
  async start(worker) {
    await running?.dispose();
    emails = [];
    running = new Miniflare({ cf: false, log: new MailLog(), ...workerOf(worker) });
    return String(await running.ready);
  },

  /** Starts several that share what they are bound to: `workers`, by name, each as for `start`. */
  async startAll({ workers }) {
    await running?.dispose();
    emails = [];
    const named = Object.entries(workers).map(([name, worker]) => ({ name, ...workerOf(worker) }));
    running = new Miniflare({ cf: false, log: new MailLog(), workers: named });
    return String(await running.ready);
  },

  async fetch({ path, method, headers, body, instruction }) {
    const response = await running.dispatchFetch(`https://worker.example${path}`, {
      method,
      headers: instruction === undefined ? headers : { ...headers, "x-test": JSON.stringify(instruction) },
      body,
      redirect: "manual",
    });
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: await response.text(),
    };
  },

  async scheduled({ time, instruction, worker: name }) {
    const worker = await running.getWorker(name);
    const cron = JSON.stringify(instruction ?? {});
    const { outcome } = await worker.scheduled({ scheduledTime: new Date(time), cron });
    return outcome;
  },

  /** Does several at once. */
  async together({ requests }) {
    return Promise.all(requests.map(({ op, ...parameters }) => operations[op](parameters)));
  },

  /** Takes what was sent, once there are as many. */
  async emails({ count }) {
    for (let waited = 0; emails.length < count && waited < 2_000; waited += 10) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const taken = emails;
    emails = [];
    return taken;
  },

  async queue({ messages, queue = "backups", instruction, worker: name }) {
    const worker = await running.getWorker(name);
    const timestamp = new Date();
    return await worker.queue(
      instruction === undefined ? queue : JSON.stringify({ ...instruction, queue }),
      messages.map((body, index) => ({ id: String(index), timestamp, attempts: 1, body })),
    );
  },

  async sql({ statement, worker: name }) {
    const database = await running.getD1Database("DB", name);
    return (await database.prepare(statement).all()).results;
  },

  /** What was written to the primary bucket since the last time, by keys. */
  async events({ worker: name }) {
    const worker = await running.getWorker(name);
    return (await worker.fetch("https://worker.example/", { headers: { "x-test": '{"take":"events"}' } })).json();
  },

  /** Writes many at once; `base64` by key. `at` is when they are said to have been uploaded. */
  async puts({ bucket, objects, at }) {
    const store = await running.getR2Bucket(bucket);
    const customMetadata = at === undefined ? {} : { at };
    for (const [key, base64] of Object.entries(objects)) {
      await store.put(key, Uint8Array.from(Buffer.from(base64, "base64")), { customMetadata });
    }
  },

  /** SHA-256 of every object, by key. */
  async digests({ bucket, prefix = "" }) {
    const store = await running.getR2Bucket(bucket);
    const found = {};
    for (let cursor, more = true; more; ) {
      const page = await store.list({ prefix, ...(cursor && { cursor }) });
      for (const { key } of page.objects) {
        const bytes = await (await store.get(key)).arrayBuffer();
        found[key] = createHash("sha256").update(Buffer.from(bytes)).digest("hex");
      }
      ({ cursor, truncated: more } = page);
    }
    return found;
  },

  async keys({ bucket, prefix = "" }) {
    const store = await running.getR2Bucket(bucket);
    const found = [];
    for (let cursor, more = true; more; ) {
      const page = await store.list({ prefix, ...(cursor && { cursor }) });
      found.push(...page.objects.map(({ key }) => key));
      ({ cursor, truncated: more } = page);
    }
    return found;
  },

  async put({ bucket, key, text, options }) {
    await (await running.getR2Bucket(bucket)).put(key, text, options);
  },

  async getBase64({ bucket, key }) {
    const object = await (await running.getR2Bucket(bucket)).get(key);
    return object === null ? null : Buffer.from(await object.arrayBuffer()).toString("base64");
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
