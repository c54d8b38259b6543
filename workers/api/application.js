/** The operator's own script behind the same name: given its requests, and nothing of the platform's own. */

import { json } from "../lib/http.js";
import { failureName, logFailure } from "../lib/log.js";

/** @import { Env } from "./index.js" */

/**
 * Imported anew by each request, because a script that fails to load must cost its own answers only.
 *
 * @param {string} script its main module, as seen from this one
 * @param {Request} request
 * @param {Env} env
 * @param {ExecutionContext} context
 * @returns {Promise<Response>} 500 when the script gives none
 */
export async function application(script, request, env, context) {
  const { HYPERDRIVE, VERSION, ENVIRONMENT } = env;
  try {
    const { default: handler } = await import(script);
    const response = await handler.fetch(request, { HYPERDRIVE, VERSION, ENVIRONMENT }, context);
    if (!(response instanceof Response) || response.bodyUsed) throw new TypeError("not a response to send");
    return response;
  } catch (error) {
    logFailure("application failed", { error: failureName(error) });
    return json({ error: "internal error" }, 500);
  }
}
