/**
 * Runs Workers in workerd, for pytest: one request a line on stdin, one answer a line on stdout, in JSON.
 * Requests are {op, ...}; answers {result} or {error}.
 */

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

/** What comes back over a WebSocket. */
function reply(socket, message) {
  return new Promise((resolve) => {
    socket.addEventListener("message", ({ data }) => {
      resolve(data);
      socket.close();
    });
    socket.accept();
    socket.send(message);
  });
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

  /** `say`: what is said over the WebSocket that is opened; the answer to it is the `body`. */
  async fetch({ path, method, headers, body, instruction, say, worker: name }) {
    const asked = name === undefined ? null : await running.getWorker(name);
    const ask = asked === null ? (...request) => running.dispatchFetch(...request) : (...request) => asked.fetch(...request);
    const response = await ask(`https://worker.example${path}`, {
      method,
      headers: instruction === undefined ? headers : { ...headers, "x-test": JSON.stringify(instruction) },
      body,
      redirect: "manual",
    });
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: say === undefined ? await response.text() : await reply(response.webSocket, say),
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

  /** Done by the harness, where the buckets are: see `bulk` in buckets.js. */
  async bulk({ worker: name, ...request }) {
    const worker = await running.getWorker(name);
    const options = { method: "POST", headers: { "x-test": '{"bulk":true}' }, body: JSON.stringify(request) };
    const response = await worker.fetch("https://worker.example/", options);
    return response.json();
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
