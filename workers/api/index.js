/** The API Worker: says how the platform is, as seen from the edge, and serves the operator's own API beside it. */

import { notFound, route } from "../lib/http.js";
import { application } from "./application.js";
import { health } from "./report.js";

/**
 * @typedef {object} Env
 * @property {string} ENVIRONMENT the stack's tier
 * @property {WorkerVersionMetadata} VERSION
 * @property {R2Bucket} BACKUPS the primary backup bucket
 * @property {string[]} [STANZAS] what is backed up there
 * @property {Fetcher} [BACKUP_REPORT] says whether the backups are well; without it, their age alone counts
 * @property {Hyperdrive} [HYPERDRIVE] the way to the coordinator; without it the database's state is unknown
 * @property {string} [APPLICATION] the operator's main module, as seen from here; without it there is nothing else
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
