/**
 * Runs Workers in workerd, for pytest: one request a line on stdin, one answer a line on stdout, in JSON.
 * Requests are {op, ...}; answers {result} or {error}.
 */

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";

const WORKERS = fileURLToPath(new URL("../workers/", import.meta.url));
const { Log, LogLevel, Miniflare } = await import(pathToFileURL(`${WORKERS}node_modules/miniflare/dist/src/index.js`).href);

/** Stands before the Worker and does what a test's `instruction` says: harness.js. */
const HARNESS = readFileSync(new URL("harness.js", import.meta.url), "utf8");
const BESIDE = ["buckets.js", "limits.js", "snapshots.js"].map((name) => [name, readFileSync(new URL(name, import.meta.url), "utf8")]);

/** What the harness imports, whether the Worker does or not. */
const IMPORTED = ["lib/shared.js", "lib/timeout.js"];

/** @type {Miniflare | undefined} */
let running;

/** What `running` was started with, but for plain bindings; undefined when a test has changed the tables since. */
let shape;

/** What was begun, by its number. */
const begun = [];

/** How long something is waited for that comes, whatever else the machine has to do. */
const GENEROUS_MILLISECONDS = 60_000;

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
      ...BESIDE.map(([name, contents]) => ({ type: "ESModule", path: `${WORKERS}${name}`, contents })),
      ...[...new Set([...modules, ...IMPORTED])].map((path) => ({
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

/**
 * Starts Workers with empty stores. workerd is started but once for tests that differ in their plain bindings alone: a
 * start costs more than most tests. The harness empties the stores and hands the bindings on.
 */
async function startAll(workers) {
  emails = [];
  const bare = workers.map((worker) => ({ ...worker, options: { ...worker.options, bindings: undefined } }));
  if (JSON.stringify(bare) !== shape) {
    await running?.dispose();
    const named = bare.map((worker) => ({ name: worker.name, ...workerOf(worker) }));
    running = new Miniflare({ cf: false, log: new MailLog(), workers: named });
    await running.ready;
    shape = JSON.stringify(bare);
  }
  for (const { name, options } of workers) {
    const { bindings = {}, r2Buckets = [], d1Databases = [] } = options;
    await task("reset", { bindings, buckets: namesOf(r2Buckets), databases: namesOf(d1Databases) }, name);
  }
  return String(await running.ready);
}

/** Bindings as miniflare takes them: a list of names, or what is bound by name. */
function namesOf(bound) {
  return Array.isArray(bound) ? bound : Object.keys(bound);
}

/** Has the harness of a Worker do something itself. */
async function task(name, parameters, worker) {
  const headers = { "x-test": JSON.stringify({ task: name }) };
  const asked = await running.getWorker(worker);
  const response = await asked.fetch("https://worker.example/", { method: "POST", headers, body: JSON.stringify(parameters) });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

const operations = {
  /**
   * `modules` are paths below workers/, the first one being the Worker; `added` are texts by path, as if they lay there;
   * `options` are miniflare's own. Answers with the address at which it listens.
   */
  start(worker) {
    return startAll([{ name: "worker", ...worker }]);
  },

  /** Starts several that share what they are bound to: `workers`, by name, each as for `start`. */
  startAll({ workers }) {
    return startAll(Object.entries(workers).map(([name, worker]) => ({ name, ...worker })));
  },

  /** Another deployment of a running Worker: its plain bindings are `bindings`, and its stores are as they were. */
  rebind({ bindings, worker }) {
    return task("rebind", bindings, worker);
  },

  /** Begins another operation, and answers at once with its number; `finish` gives its outcome. */
  begin({ request: { op, ...parameters } }) {
    const outcome = operations[op](parameters);
    outcome.catch(() => {}); // it is for whoever finishes it
    return begun.push(outcome) - 1;
  },

  finish({ number }) {
    return begun[number];
  },

  /** Lets time pass for a Worker's limits, unless what was begun has no need of it: see limits.js. */
  async pass({ milliseconds, number, worker }) {
    await Promise.race([task("pass", milliseconds, worker), begun[number]]);
  },

  /** The next test starts workerd anew: its tables, or a Worker's memory, are what it is about. */
  anew() {
    shape = undefined;
  },

  /** How many calls of the Worker are not over. */
  working({ worker }) {
    return task("working", {}, worker);
  },

  /** How much time has passed for them, in milliseconds. */
  passed({ worker }) {
    return task("passed", {}, worker);
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
    const end = performance.now() + GENEROUS_MILLISECONDS;
    while (emails.length < count && performance.now() < end) {
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
    if (/\b(CREATE|ALTER|DROP)\b/i.test(statement)) shape = undefined; // the next test starts with tables of its own
    const database = await running.getD1Database("DB", name);
    return (await database.prepare(statement).all()).results;
  },

  /** Done by the harness, where the buckets are: see `bulk` in buckets.js. */
  bulk({ worker, ...request }) {
    return task("bulk", request, worker);
  },

  /** Returns what a Worker's buckets and databases hold, for `restore`: snapshots.js. */
  save({ worker, ...names }) {
    return task("save", names, worker);
  },

  /** Restores into empty buckets what `save` returned. */
  restore({ worker, saved }) {
    return task("restore", saved, worker);
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
