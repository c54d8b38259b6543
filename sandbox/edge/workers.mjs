/** The deployed Cloudflare Workers in workerd, with their bindings. Everything that they send leaves through `Workers`' options. */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Log, LogLevel, Miniflare } from "./miniflare.mjs";
import { bindingsOf } from "./r2/plugin.mjs";

const TYPES = {
  "application/javascript+module": "ESModule",
  "text/plain": "Text",
  "application/json": "Text",
  "application/wasm": "CompiledWasm",
};

/** Where the modules of every Worker seem to be, so that their relative imports resolve. */
const ROOT = "/worker/";

/** The name of the Worker that answers requests without a route. */
const REST = "without-route";

/** Passes requests without a route to a function of this process. */
const REST_MODULE = "export default { fetch: (request, env) => env.NODE.fetch(request) };";

/** Miniflare stores the e-mails of `send_email` in files, and logs their names: this copies them to a folder. */
class MailLog extends Log {
  #folder;
  #count = 0;

  constructor(folder) {
    super(LogLevel.INFO);
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  logWithLevel(level, message) {
    const file = /send_email binding called with the following message:\s+(\S+)/.exec(message)?.[1];
    if (file === undefined) return super.logWithLevel(level, message);
    const name = `${new Date().toISOString()}-${this.#count++}.eml`;
    writeFileSync(join(this.#folder, name), readFileSync(file));
  }
}

function moduleOf({ name, type, content }) {
  const bytes = Buffer.from(content, "base64");
  const kind = TYPES[type];
  if (kind === undefined) {
    throw new Error(`the module ${name} has the type ${type}; supported: ${Object.keys(TYPES).join(", ")}`);
  }
  return { type: kind, path: ROOT + name, contents: kind === "CompiledWasm" ? bytes : bytes.toString() };
}

export class Workers {
  #options;
  #running;
  #applied;

  /**
   * @param {{ folder: string, port: number, bucketsPort: number, outbound: string, answerRest: (request: Request) => Promise<Response> }}
   *   options `outbound`: address of the proxy that all requests of Workers go to; `answerRest` answers requests without a route
   */
  constructor(options) {
    this.#options = { ...options, log: new MailLog(join(options.folder, "mail")) };
  }

  /** Returns whether `apply` would start workerd again. */
  differs(workers, hyperdrives) {
    return JSON.stringify([workers, hyperdrives]) !== this.#applied;
  }

  /** Runs these Workers and no others; a running workerd ends. Their stores keep their content. */
  async apply(workers, hyperdrives) {
    const { folder, port, log } = this.#options;
    const shared = { host: "127.0.0.1", port, cf: false, log, logRequests: false, d1Persist: join(folder, "d1") };
    const all = [this.#rest(), ...workers.map((worker) => this.#worker(worker, hyperdrives))];
    const options = { ...shared, workers: all };
    if (this.#running === undefined) this.#running = new Miniflare(options);
    else await this.#running.setOptions(options);
    await this.#running.ready;
    this.#applied = JSON.stringify([workers, hyperdrives]);
  }

  async queue(script, queue, messages) {
    return (await this.#running.getWorker(script)).queue(queue, messages);
  }

  async schedule(script, cron, time) {
    const { outcome } = await (await this.#running.getWorker(script)).scheduled({ scheduledTime: time, cron });
    if (outcome !== "ok") throw new Error(`the outcome is ${outcome}`);
  }

  #rest() {
    const modules = [{ type: "ESModule", path: `${ROOT}rest.js`, contents: REST_MODULE }];
    const shared = { name: REST, modulesRoot: ROOT, modules, compatibilityDate: "2026-04-24" };
    return { ...shared, serviceBindings: { NODE: this.#options.answerRest } };
  }

  #worker({ name, main, modules, compatibilityDate, compatibilityFlags, routes, bindings }, hyperdrives) {
    const sorted = modules.toSorted((one, other) => (other.name === main) - (one.name === main));
    const of = (kind, value) =>
      Object.fromEntries(bindings.filter((one) => one.kind === kind).map((one) => [one.name, value(one)]));
    const emails = of("email", ({ name: binding, senders }) => {
      return { name: binding, ...(senders && { allowed_sender_addresses: senders }) };
    });
    return {
      name,
      modulesRoot: ROOT,
      modules: sorted.map(moduleOf),
      compatibilityDate,
      compatibilityFlags,
      routes,
      bindings: of("value", ({ value }) => value),
      d1Databases: of("d1", ({ id }) => id),
      serviceBindings: of("service", ({ service }) => service),
      ratelimits: of("ratelimit", ({ simple }) => ({ simple })),
      hyperdrives: of("hyperdrive", ({ id }) => hyperdrives[id]),
      unsafeBindings: bindingsOf(
        of("r2", ({ id }) => id),
        this.#options.bucketsPort,
      ),
      email: { send_email: Object.values(emails) },
      outboundService: { external: { address: this.#options.outbound, http: {} } },
    };
  }
}
