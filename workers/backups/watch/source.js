/** Asking a store that may fail, or hang: without ado when it fails once, and no longer than the next look allows. */

import { failureName, logFailure } from "../../lib/log.js";
import { TimedOut, withTimeout } from "../../lib/timeout.js";

/** One question may be a few calls. */
const PATIENCE_MILLISECONDS = 10_000;

/** Stores fail now and then, and answer the next moment. */
const PAUSE_MILLISECONDS = 500;

/** That a source does not answer, and which one. */
export class Unanswered extends Error {
  name = "Unanswered";

  /**
   * @param {string} source
   * @param {string} failure its name
   */
  constructor(source, failure) {
    super(`${source}: ${failure}`);
    this.source = source;
    this.failure = failure;
  }
}

export class Source {
  /** @type {Promise<unknown>[]} */
  #lanes;

  #next = 0;

  /** It hung, and whoever waits for the next answer waits in vain, once for each question. */
  #hangs = false;

  /**
   * @param {string} name
   * @param {number} [lanes] questions at once: all sources share the six connections that a Worker has
   */
  constructor(name, lanes = 1) {
    this.name = name;
    this.#lanes = Array.from({ length: lanes }, () => Promise.resolve());
  }

  /**
   * @template T
   * @param {() => Promise<T>} question may be asked twice
   * @returns {Promise<T>}
   * @throws {Unanswered}
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
        if (this.#hangs) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MILLISECONDS));
        return this.#once(question);
      });
    } catch (error) {
      logFailure("no answer", { source: this.name, error: failureName(error) });
      throw new Unanswered(this.name, failureName(error));
    }
  }

  /**
   * @template T
   * @param {() => Promise<T>} question
   * @returns {Promise<T>}
   */
  async #once(question) {
    if (this.#hangs) throw new TimedOut("it hung before");
    try {
      return await withTimeout(question(), PATIENCE_MILLISECONDS);
    } catch (error) {
      this.#hangs ||= error instanceof TimedOut;
      throw error;
    }
  }
}
