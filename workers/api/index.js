/** The API, a Cloudflare Worker: serves the health report at `/health`, and the operator's application elsewhere. */

import { notFound, route } from "../lib/http.js";
import { application } from "./application.js";
import { health } from "./report.js";

/**
 * @typedef {object} Env
 * @property {string} ENVIRONMENT the stack's tier
 * @property {WorkerVersionMetadata} VERSION
 * @property {R2Bucket} BACKUPS the primary backup bucket
 * @property {string[]} [STANZAS] pgBackRest's stanzas in that bucket
 * @property {Fetcher} [BACKUP_REPORT] the report Worker; without it, only the backups' age counts
 * @property {Hyperdrive} [HYPERDRIVE] connection to the coordinator; without it the database's state is unknown
 * @property {string} [APPLICATION] path of the operator's main module, relative to this one; without it, 404
 * @property {string} [CLOCK] only in tests
 */

/** @satisfies {ExportedHandler<Env>} */
export default {
  async fetch(request, env, context) {
    if (new URL(request.url).pathname === "/health") {
      return route(request, { "/health": () => health(env, context) });
    }
    if (env.APPLICATION === undefined) return notFound();
    return application(env.APPLICATION, request, env, context);
  },
};
