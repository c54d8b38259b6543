/** Runs the operator's own script (the application) at the same hostname. It gets no binding but those listed below. */

import { WorkerEntrypoint } from "cloudflare:workers";
import { json } from "../lib/http.js";
import { failureName, logFailure } from "../lib/log.js";

/** @import { Env } from "./index.js" */

/**
 * Imports the script at each request, so that `/health` still works if the script fails to load.
 *
 * @param {string} script path of its main module, relative to this module
 * @param {Request} request
 * @param {Env} env
 * @param {ExecutionContext} context
 * @returns {Promise<Response>} 500 if the script throws or returns no valid response
 */
export async function application(script, request, env, context) {
  const { HYPERDRIVE, VERSION, ENVIRONMENT } = env;
  try {
    const { default: exported } = await import(script);
    const response = await answer(exported, request, { HYPERDRIVE, VERSION, ENVIRONMENT }, context);
    // For an invalid response workerd would send an error page of its own.
    if (!(response instanceof Response) || response.bodyUsed || response.body?.locked) {
      throw new TypeError("the application returned no response, or one whose body was already read");
    }
    return response;
  } catch (error) {
    logFailure("application failed", { error: failureName(error) });
    return json({ error: "internal error" }, 500);
  }
}

/**
 * @param {any} exported the script's default export: an object with `fetch`, or a `WorkerEntrypoint` class
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
