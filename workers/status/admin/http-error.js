/** An error response, thrown as an exception. */

import { json } from "../../lib/http.js";

export class HttpError extends Error {
  name = "HttpError";

  /**
   * @param {number} status
   * @param {string} error message for the operator
   * @param {Record<string, unknown>} [more] further fields of the body
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
