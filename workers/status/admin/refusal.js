/** An answer that says no, thrown from wherever that is known. */

import { json } from "../../lib/http.js";

export class Refusal extends Error {
  name = "Refusal";

  /**
   * @param {number} status
   * @param {string} error what and why, for the operator
   * @param {Record<string, unknown>} [more] of the body
   * @param {Record<string, string>} [headers]
   */
  constructor(status, error, more = {}, headers = {}) {
    super(error);
    this.status = status;
    this.more = more;
    this.headers = headers;
  }

  /** @returns {Response} */
  response() {
    return json({ error: this.message, ...this.more }, this.status, this.headers);
  }
}
