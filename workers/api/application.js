/** The operator's own script behind the same name: given its requests, and nothing of the platform's own. */

import { WorkerEntrypoint } from "cloudflare:workers";
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
    const { default: exported } = await import(script);
    const response = await answer(exported, request, { HYPERDRIVE, VERSION, ENVIRONMENT }, context);
    // Anything that workerd could not send would end as its own error page instead.
    if (!(response instanceof Response) || response.bodyUsed || response.body?.locked) {
      throw new TypeError("not a response to send");
    }
    return response;
  } catch (error) {
    logFailure("application failed", { error: failureName(error) });
    return json({ error: "internal error" }, 500);
  }
}

/**
 * @param {any} exported an object with `fetch`, or a class of its own for each request
 * @param {Request} request
 * @param {Pick<Env, "HYPERDRIVE" | "VERSION" | "ENVIRONMENT">} env
 * @param {ExecutionContext} context
 * @returns {unknown}
 */
function answer(exported, request, env, context) {
  if (typeof exported === "function" && exported.prototype instanceof WorkerEntrypoint) {
    return new exported(context, env).fetch(request);
  }
  return exported.fetch(request, env, context);
}
