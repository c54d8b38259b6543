/**
 * Stands before the real Worker in tests and does what an instruction says: requests carry it in `x-test`, cron calls in
 * their `cron`, both as JSON:
 * - `clock`: what time it is (ISO 8601);
 * - `fall`: { at, after }: the Worker ends at its step number `at` (from 0), before or after that step takes effect, and
 *   does nothing more: as when its machine dies. Steps are calls of D1, of buckets and of `fetch`, and e-mails;
 * - `broken`: names of bindings that fail;
 * - `silent`: names of bindings that never answer;
 * - `flaky`: { share, seed }: so many of the calls to buckets fail, before or after they took effect;
 * - `locks`: [{ prefix, days }]: what the buckets refuse to overwrite and to delete;
 * - `sizes`: how large objects are said to be, by key;
 * - `altered`: keys of objects that come as so many zeros;
 * - `page`: how many objects a bucket lists at once.
 * Queues carry it in their name.
 */

import { bucketOf, bulk } from "./buckets.js";
import worker from "./WORKER";

class Fallen extends Error {}

/** Counts steps, and ends the invocation at one of them. */
class Steps {
  constructor({ at = Number.POSITIVE_INFINITY, after = false } = {}) {
    this.at = at;
    this.after = after;
    this.taken = 0;
  }

  async take(step) {
    const number = this.taken;
    this.taken += 1;
    if (number > this.at || (number === this.at && !this.after)) throw new Fallen();
    const result = await step();
    if (number === this.at) throw new Fallen();
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

function changed(env, instruction = {}) {
  const { clock, fall, broken = [], silent = [] } = instruction;
  const steps = new Steps(fall);
  globalThis.fetch = fall === undefined ? realFetch : (...parameters) => steps.take(() => realFetch(...parameters));
  const result = { ...env };
  if (clock !== undefined) result.CLOCK = clock;
  if (env.DB !== undefined) result.DB = databaseOf(env.DB, steps);
  for (const name of ["PRIMARY", "REPLICA"]) {
    if (env[name] !== undefined && clock !== undefined) result[name] = bucketOf(name, env[name], steps, instruction);
  }
  if (env.EMAIL !== undefined) result.EMAIL = { send: (message) => steps.take(() => env.EMAIL.send(message)) };
  for (const name of broken) result[name] = name === "DB" ? { prepare: () => ({ bind: () => ({}) }), batch: fails.batch, withSession: () => result.DB } : fails;
  for (const name of silent) result[name] = hangs;
  return result;
}

export default {
  async fetch(request, env, ctx) {
    const instruction = request.headers.get("x-test");
    if (instruction === '{"bulk":true}') return Response.json(await bulk(env, await request.json()));
    return worker.fetch(request, changed(env, instruction === null ? {} : JSON.parse(instruction)), ctx);
  },
  scheduled(controller, env, ctx) {
    const instruction = controller.cron.startsWith("{") ? JSON.parse(controller.cron) : {};
    return worker.scheduled(controller, changed(env, instruction), ctx);
  },
  queue(batch, env, ctx) {
    if (!batch.queue.startsWith("{")) return worker.queue(batch, env, ctx);
    const { queue, ...instruction } = JSON.parse(batch.queue);
    return worker.queue({ queue, messages: batch.messages }, changed(env, instruction), ctx);
  },
};
