/**
 * Wraps the real Worker in tests and follows an instruction. The instruction is JSON: in the header `x-test` of a request, in
 * the `cron` of a schedule, and in the name of a queue. Its fields are:
 * - `clock`: the simulated time (ISO 8601);
 * - `fall`: { at, after }: the Worker crashes at step number `at` (from 0), before or after that step takes effect, as if
 *   its machine failed. Steps are calls of D1, of buckets and of `fetch`, and e-mails;
 * - `broken`: names of bindings whose calls fail;
 * - `silent`: names of bindings that never respond. When only such calls are pending, the Worker's time limits expire at
 *   once; with `held`, they expire only by `pass`;
 * - `hanging`: hosts that never respond, with the same effect. The request itself is sent;
 * - `exact`: use the Worker's own time limits for the database instead of long ones;
 * - `flaky`: { share, seed }: this share of the calls to buckets fails, before or after it takes effect;
 * - `locks`: [{ prefix, days }]: the buckets refuse to overwrite and delete these objects;
 * - `sizes`: reported sizes of objects, by key;
 * - `altered`: keys of objects whose bytes are read as zeros;
 * - `page`: the maximum number of objects in one page of a listing.
 *
 * Requests with a `task` in `x-test` call the harness itself: `bulk` (buckets.js), `reset` (empties stores and
 * memory, and sets the bindings of the next test), `rebind` (changes plain bindings), `working` (the number of pending calls
 * of the Worker), `pass` and `passed` (limits.js).
 */

import { bucketOf, bulk, events } from "./buckets.js";
import { resets } from "./lib/shared.js";
import { limits } from "./lib/timeout.js";
import { counted, forget, TIMEOUT_MILLISECONDS, inTime, pass, passed, passing, signal, start } from "./limits.js";
import { restore, save } from "./snapshots.js";
import worker from "./WORKER";

const forServer = limits.forServer;
limits.start = start;
AbortSignal.timeout = signal;

class Crash extends Error {}

/** Counts steps, and lets the Worker crash at one of them. */
class Steps {
  constructor({ at = Number.POSITIVE_INFINITY, after = false } = {}) {
    this.at = at;
    this.after = after;
    this.taken = 0;
  }

  async take(step) {
    const number = this.taken;
    this.taken += 1;
    if (number > this.at || (number === this.at && !this.after)) throw new Crash();
    const result = await step();
    if (number === this.at) throw new Crash();
    return result;
  }
}

function statementOf(real, steps) {
  const taking = (name) => (...parameters) => steps.take(() => real[name](...parameters));
  return {
    real,
    bind: (...values) => statementOf(real.bind(...values), steps),
    run: taking("run"),
    all: taking("all"),
    first: taking("first"),
    raw: taking("raw"),
  };
}

function databaseOf(real, steps) {
  return {
    prepare: (sql) => statementOf(real.prepare(sql), steps),
    batch: (statements) => steps.take(() => real.batch(statements.map((statement) => statement.real))),
    withSession: (constraint) => databaseOf(real.withSession(constraint), steps),
  };
}

const fails = new Proxy({}, { get: () => () => Promise.reject(new Error("broken by the test")) });

const hangs = new Proxy({}, { get: () => () => new Promise(() => {}) });

const realFetch = globalThis.fetch;

/** Fetches a response with its whole body, so that the call is pending until the body has arrived. */
async function wholeFetch(...parameters) {
  const { body, status, statusText, headers } = await realFetch(...parameters);
  return new Response(body === null ? null : await new Response(body).arrayBuffer(), { status, statusText, headers });
}

/** Returns a binding whose pending calls are counted, including those of its statements. */
function countedBinding(binding) {
  return new Proxy(binding, {
    get(target, name) {
      const value = target[name];
      if (typeof value !== "function") return value;
      return (...parameters) => {
        const result = value.apply(target, parameters);
        if (typeof result?.then === "function") return counted(result);
        return typeof result === "object" && result !== null ? countedBinding(result) : result;
      };
    },
  });
}

/** The plain bindings of the present test. */
let bindings = {};

/** The pending calls of the Worker in the present test. */
const working = new Set();

/** Begins a test: sets its plain bindings, and empties the stores and the Worker's memory. */
async function reset(env, next) {
  bindings = next.bindings;
  events.length = 0;
  forget();
  working.clear();
  for (const resetShared of resets) resetShared();
  for (const name of next.buckets) await emptyBucket(env[name]);
  for (const name of next.databases) await emptyDatabase(env[name]);
}

async function emptyBucket(bucket) {
  const { objects, truncated } = await bucket.list();
  if (objects.length > 0) await bucket.delete(objects.map(({ key }) => key));
  if (truncated) await emptyBucket(bucket);
}

/**
 * Deletes all rows. The tables stay, because a Worker creates them only once in its life. Triggers are dropped and created
 * again, because some forbid deletions.
 */
async function emptyDatabase(database) {
  const made = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE '\\_cf\\_%' ESCAPE '\\' AND name <> 'migrations'";
  const { results } = await database.prepare(made).all();
  const tables = results.filter(({ type }) => type === "table");
  if (tables.length === 0) return;
  const triggers = results.filter(({ type }) => type === "trigger");
  const statements = [
    "PRAGMA defer_foreign_keys = on",
    ...triggers.map(({ name }) => `DROP TRIGGER ${name}`),
    ...tables.map(({ name }) => `DELETE FROM ${name}`),
    ...triggers.map(({ sql }) => sql),
  ];
  await database.batch(statements.map((sql) => database.prepare(sql)));
}

const tasks = {
  bulk,
  pass: (_env, milliseconds) => pass(milliseconds),
  passed,
  rebind: (_env, changed) => {
    bindings = { ...bindings, ...changed };
    return null;
  },
  reset,
  restore,
  save,
  working: () => working.size,
};

function changed(bound, instruction = {}) {
  const env = { ...bound, ...bindings };
  const { clock = env.CLOCK, fall, broken = [], silent = [], hanging = [], exact = false } = instruction;
  limits.forServer = exact ? forServer : () => TIMEOUT_MILLISECONDS;
  const steps = new Steps(fall);
  globalThis.fetch = fall === undefined ? realFetch : (...parameters) => steps.take(() => realFetch(...parameters));
  const result = { ...env };
  if (clock !== undefined) result.CLOCK = clock;
  if (env.DB !== undefined) result.DB = databaseOf(env.DB, steps);
  // By name, because a service binding appears to have every method.
  const isBucket = (name) => name === "BACKUPS" || (name.startsWith("COPY_") && typeof env[name] !== "string");
  const buckets = Object.keys(env).filter(isBucket);
  for (const name of buckets) {
    if (clock !== undefined) result[name] = bucketOf(name, env[name], steps, { ...instruction, clock });
  }
  if (env.EMAIL !== undefined) result.EMAIL = { send: (message) => steps.take(() => env.EMAIL.send(message)) };
  for (const name of broken) result[name] = name === "DB" ? { prepare: () => ({ bind: () => ({}) }), batch: fails.batch, withSession: () => result.DB } : fails;
  if (silent.length > 0 || hanging.length > 0) {
    const fetching = globalThis.fetch === realFetch ? wholeFetch : globalThis.fetch;
    globalThis.fetch = (address, ...parameters) => {
      const answer = fetching(address, ...parameters);
      return hanging.includes(new URL(address).host) ? answer : counted(answer);
    };
    const calling = Object.entries(result).filter(([, value]) => typeof value === "object" && value !== null);
    for (const [name, value] of calling) if (!(name in bindings)) result[name] = countedBinding(value);
    for (const name of silent) result[name] = hangs;
  }
  return result;
}

/** Calls the Worker. If bindings are silent or hosts hang, its time limits expire. */
async function work({ silent, hanging, held }, call) {
  const isSilent = silent !== undefined || hanging !== undefined;
  if (isSilent) forget();
  working.add(call);
  try {
    return await inTime(isSilent && !held ? passing(call()) : call());
  } finally {
    working.delete(call);
  }
}

export default {
  async fetch(request, env, ctx) {
    const { task, ...instruction } = JSON.parse(request.headers.get("x-test") ?? "{}");
    if (task !== undefined) return Response.json((await tasks[task](env, await request.json())) ?? null);
    return work(instruction, () => worker.fetch(request, changed(env, instruction), ctx));
  },
  scheduled(controller, env, ctx) {
    const instruction = controller.cron.startsWith("{") ? JSON.parse(controller.cron) : {};
    return work(instruction, () => worker.scheduled(controller, changed(env, instruction), ctx));
  },
  queue(batch, env, ctx) {
    if (!batch.queue.startsWith("{")) return worker.queue(batch, changed(env), ctx);
    const { queue, ...instruction } = JSON.parse(batch.queue);
    return worker.queue({ queue, messages: batch.messages }, changed(env, instruction), ctx);
  },
};
