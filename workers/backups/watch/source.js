/** Requests to the stores and the catalogue with a timeout, so that a hung source cannot block the whole run. */

import { failureName, logFailure } from "../../lib/log.js";
import { TimedOut, withTimeout } from "../../lib/timeout.js";

/** Name of the catalogue (the D1 database) as a source. It is also the id of a stored alarm, so it must not change. */
export const CATALOGUE = "memory";

/** Timeout of one question, which may take a few calls. */
const TIMEOUT_MILLISECONDS = 10_000;

/** Delay before the only retry after an error. */
const PAUSE_MILLISECONDS = 500;

/** A source failed twice, or did not answer in time. */
export class SourceFailure extends Error {
  name = "SourceFailure";

  /**
   * @param {string} source
   * @param {string} failure name of the error
   */
  constructor(source, failure) {
    super(`${source}: ${failure}`);
    this.source = source;
    this.failure = failure;
  }
}

/** A store or the catalogue. Questions to it have limited concurrency, a timeout, and one retry after an error. */
export class Source {
  /** @type {Promise<unknown>[]} */
  #lanes;

  #next = 0;

  /** Whether a question timed out. Then all further questions fail at once, instead of each waiting for the timeout. */
  #timedOut = false;

  /**
   * @param {string} name
   * @param {number} [lanes] number of parallel questions; all sources share the six connections of a Cloudflare Worker
   */
  constructor(name, lanes = 1) {
    this.name = name;
    this.#lanes = Array.from({ length: lanes }, () => Promise.resolve());
  }

  /**
   * Asks a question as soon as one of the parallel lanes is free.
   *
   * @template T
   * @param {() => Promise<T>} question may be called twice
   * @returns {Promise<T>}
   * @throws {SourceFailure}
   */
  ask(question) {
    const lane = this.#next++ % this.#lanes.length;
    const answer = /** @type {Promise<unknown>} */ (this.#lanes[lane]).then(() => this.#answer(question));
    this.#lanes[lane] = answer.catch(() => undefined);
    return answer;
  }

  /**
   * @template T
   * @param {() => Promise<T>} question
   * @returns {Promise<T>}
   */
  async #answer(question) {
    try {
      return await this.#once(question).catch(async (error) => {
        if (this.#timedOut) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MILLISECONDS));
        return this.#once(question);
      });
    } catch (error) {
      logFailure("source failed", { source: this.name, error: failureName(error) });
      throw new SourceFailure(this.name, failureName(error));
    }
  }

  /**
   * @template T
   * @param {() => Promise<T>} question
   * @returns {Promise<T>}
   */
  async #once(question) {
    if (this.#timedOut) throw new TimedOut("an earlier question to this source timed out");
    try {
      return await withTimeout(question(), TIMEOUT_MILLISECONDS);
    } catch (error) {
      this.#timedOut ||= error instanceof TimedOut;
      throw error;
    }
  }
}
