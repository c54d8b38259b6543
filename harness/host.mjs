/**
 * Runs Cloudflare Workers in workerd for pytest. Each line on stdin is a request in JSON, {op, ...}. Each line on stdout is the
 * response, {result} or {error}.
 */

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Log, LogLevel, Miniflare } from "../sandbox/edge/miniflare.mjs";

const WORKERS = fileURLToPath(new URL("../workers/", import.meta.url));

/** The main module of every Worker in tests: it wraps the Worker and follows a test's `instruction`. */
const HARNESS = readFileSync(new URL("harness.js", import.meta.url), "utf8");
const HARNESS_MODULES = ["buckets.js", "limits.js", "snapshots.js"].map((name) => [name, readFileSync(new URL(name, import.meta.url), "utf8")]);

/** The modules of workers/ that the harness imports. */
const IMPORTED = ["lib/shared.js", "lib/timeout.js"];

/** @type {Miniflare | undefined} */
let running;

/** The configuration of `running` without plain bindings; undefined if a test has changed the tables since. */
let shape;

/** Operations that were begun, by number. */
const begun = [];

/** The time limit for an expected event, also on a slow machine. */
const TIMEOUT_MILLISECONDS = 60_000;

/** The e-mails of `send_email`: miniflare stores each message in a file and logs the file's name. */
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

/** Returns miniflare's options for a Worker. `modules` are paths below workers/, the Worker's main module first. */
function workerOf({ modules, added = {}, compatibilityDate, options }) {
  return {
    modulesRoot: WORKERS,
    modules: [
      { type: "ESModule", path: `${WORKERS}harness.js`, contents: HARNESS.replace("WORKER", modules[0]) },
      ...HARNESS_MODULES.map(([name, contents]) => ({ type: "ESModule", path: `${WORKERS}${name}`, contents })),
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

/** Sends a message over a WebSocket and returns the reply. */
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
 * Starts Workers with empty stores. Tests that differ only in plain bindings share one workerd, because a start takes longer
 * than most tests. The harness empties the stores and passes the bindings on.
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

/** Returns the names of bindings in miniflare's format, which is a list of names or an object. */
function namesOf(bound) {
  return Array.isArray(bound) ? bound : Object.keys(bound);
}

/** Calls a task of a Worker's harness. */
async function task(name, parameters, worker) {
  const headers = { "x-test": JSON.stringify({ task: name }) };
  const asked = await running.getWorker(worker);
  const response = await asked.fetch("https://worker.example/", { method: "POST", headers, body: JSON.stringify(parameters) });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

const operations = {
  /**
   * Starts a Worker. `modules` are paths below workers/, the main module first; `added` are further modules, text by path;
   * `options` are miniflare's. Returns the Worker's address.
   */
  start(worker) {
    return startAll([{ name: "worker", ...worker }]);
  },

  /** Starts several Workers with common stores. `workers` are the parameters of `start`, by name. */
  startAll({ workers }) {
    return startAll(Object.entries(workers).map(([name, worker]) => ({ name, ...worker })));
  },

  /** Changes plain bindings of a running Worker, as a new deployment does. The stores keep their content. */
  rebind({ bindings, worker }) {
    return task("rebind", bindings, worker);
  },

  /** Begins another operation and returns its number at once. `finish` returns its result. */
  begin({ request: { op, ...parameters } }) {
    const outcome = operations[op](parameters);
    outcome.catch(() => {}); // `finish` reports the error
    return begun.push(outcome) - 1;
  },

  finish({ number }) {
    return begun[number];
  },

  /** Advances the time of a Worker's limits (limits.js), unless the begun operation ends first. */
  async pass({ milliseconds, number, worker }) {
    await Promise.race([task("pass", milliseconds, worker), begun[number]]);
  },

  /** Makes the next test start a new workerd, with an empty database and an empty memory. */
  anew() {
    shape = undefined;
  },

  /** Returns the number of pending calls of the Worker. */
  working({ worker }) {
    return task("working", {}, worker);
  },

  /** Returns the simulated time of the Worker's limits, in milliseconds. */
  passed({ worker }) {
    return task("passed", {}, worker);
  },

  /** Sends a request. With `say`, opens a WebSocket and sends that message; the `body` is then the reply. */
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

  /** Runs several operations at once. */
  async together({ requests }) {
    return Promise.all(requests.map(({ op, ...parameters }) => operations[op](parameters)));
  },

  /** Returns the e-mails since the last call, once there are `count`. */
  async emails({ count }) {
    const end = performance.now() + TIMEOUT_MILLISECONDS;
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
    if (/\b(CREATE|ALTER|DROP)\b/i.test(statement)) shape = undefined; // the next test needs a new database
    const database = await running.getD1Database("DB", name);
    return (await database.prepare(statement).all()).results;
  },

  /** Runs an operation on a bucket inside the Worker's process: `bulk` in buckets.js. */
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
// Miniflare's simulated Hyperdrive may still have a connection that would keep this process alive.
process.exit();
