/**
 * Cloudflare Queues: keeps messages in SQLite until a Cloudflare Worker has acknowledged them. A consumer gets batches, and a
 * message that fails again and again goes to the dead-letter queue.
 */

import { randomUUID } from "node:crypto";

const TICK_MILLISECONDS = 200;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS messages (
    id TEXT PRIMARY KEY, queue TEXT, body TEXT, attempts INTEGER, sent INTEGER, due INTEGER, taken INTEGER
  );
  CREATE INDEX IF NOT EXISTS waiting ON messages (queue, taken, due);
  UPDATE messages SET taken = 0;`;

const ADD = "INSERT INTO messages VALUES (?, ?, ?, 0, ?, ?, 0)";
const WAITING = "SELECT * FROM messages WHERE queue = ? AND taken = 0 AND due <= ? ORDER BY due LIMIT ?";
const EXPIRE = "DELETE FROM messages WHERE queue = ? AND sent < ?";
const TAKE = "UPDATE messages SET taken = 1 WHERE id = ?";
const RETRY = "UPDATE messages SET taken = 0, attempts = ?, due = ? WHERE id = ?";
const BURY = "UPDATE messages SET taken = 0, attempts = 0, due = ?, queue = ? WHERE id = ?";
const REMOVE = "DELETE FROM messages WHERE id = ?";

export class Queues {
  /** @type {{ name: string, seconds: number }[]} each queue, and how long it keeps a message */
  queues = [];
  /**
   * @type {{ queue: string, script: string, batchSize: number, waitMilliseconds: number, retries: number, retrySeconds: number,
   *   concurrency: number, deadLetters: string | null }[]}
   */
  consumers = [];
  #statements;
  #deliver;
  #running = new Map();
  #paused = false;

  /**
   * @param {import("node:sqlite").DatabaseSync} database
   * @param {(script: string, queue: string, messages: object[]) => Promise<any>} deliver calls a Worker, and returns its verdict
   */
  constructor(database, deliver) {
    database.exec(SCHEMA);
    const statements = { ADD, WAITING, EXPIRE, TAKE, RETRY, BURY, REMOVE };
    this.#statements = Object.fromEntries(
      Object.entries(statements).map(([name, sql]) => [name, database.prepare(sql)]),
    );
    this.#deliver = deliver;
    setInterval(() => this.#tick(), TICK_MILLISECONDS);
  }

  add(queue, body) {
    const now = Date.now();
    this.#statements.ADD.run(randomUUID(), queue, JSON.stringify(body), now, now);
  }

  /** Begins no batch until `resume`, and waits for the running ones. */
  async pause() {
    this.#paused = true;
    await Promise.all([...this.#running.values()].flatMap((batches) => [...batches]));
  }

  resume() {
    this.#paused = false;
  }

  #tick() {
    if (this.#paused) return;
    const now = Date.now();
    for (const { name, seconds } of this.queues) this.#statements.EXPIRE.run(name, now - seconds * 1_000);
    for (const consumer of this.consumers) this.#begin(consumer, now);
  }

  #begin(consumer, now) {
    const { queue, batchSize, waitMilliseconds, concurrency } = consumer;
    const batches = this.#running.get(queue) ?? new Set();
    this.#running.set(queue, batches);
    while (batches.size < concurrency) {
      const messages = this.#statements.WAITING.all(queue, now, batchSize);
      const isDue = messages.length === batchSize || (messages.length > 0 && now - messages[0].due >= waitMilliseconds);
      if (!isDue) return;
      for (const { id } of messages) this.#statements.TAKE.run(id);
      const batch = this.#call(consumer, messages).finally(() => batches.delete(batch));
      batches.add(batch);
    }
  }

  async #call(consumer, messages) {
    const sent = messages.map(({ id, body, attempts, sent }) => {
      return { id, timestamp: new Date(sent), attempts: attempts + 1, body: JSON.parse(body) };
    });
    let verdict;
    try {
      verdict = await this.#deliver(consumer.script, consumer.queue, sent);
    } catch (error) {
      console.error(`${consumer.script} could not be called for the queue ${consumer.queue}: ${error}`);
      verdict = { outcome: "exception" };
    }
    for (const message of messages) this.#settle(consumer, message, verdict);
  }

  #settle(consumer, { id, queue, attempts }, verdict) {
    const { outcome, ackAll = false, retryBatch, explicitAcks = [], retryMessages = [] } = verdict;
    const again = retryMessages.find(({ msgId }) => msgId === id);
    const fails = again !== undefined || ((outcome !== "ok" || retryBatch?.retry === true) && !ackAll);
    if (!fails || explicitAcks.includes(id)) {
      this.#statements.REMOVE.run(id);
    } else if (attempts < consumer.retries) {
      const seconds = again?.delaySeconds ?? retryBatch?.delaySeconds ?? consumer.retrySeconds;
      this.#statements.RETRY.run(attempts + 1, Date.now() + seconds * 1_000, id);
    } else if (consumer.deadLetters === null) {
      console.error(`a message of the queue ${queue} is lost after ${attempts + 1} attempts`);
      this.#statements.REMOVE.run(id);
    } else {
      this.#statements.BURY.run(Date.now(), consumer.deadLetters, id);
    }
  }
}
