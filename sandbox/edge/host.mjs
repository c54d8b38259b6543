/**
 * Runs the edge of a stack until it is killed: `host.mjs FOLDER SERVICES S3 WORKERS INTERNET`. SERVICES is the address that serves the
 * plan; S3 and WORKERS are the ports to listen on; INTERNET is the IP address of all stand-ins: requests of Cloudflare Workers go to its
 * port 80, and connectors of tunnels come to its port 7844.
 */

import { createHash } from "node:crypto";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import { Queues } from "./queues.mjs";
import { serveBindings } from "./r2/bindings.mjs";
import { Objects } from "./r2/objects.mjs";
import { S3 } from "./r2/s3.mjs";
import { Schedules } from "./schedules.mjs";
import { Tunnels } from "./tunnels.mjs";
import { Workers } from "./workers.mjs";

const [folder, services, s3Port, workersPort, internet] = process.argv.slice(2);

/** Where connectors of Cloudflare Tunnel connect to. */
const TUNNEL_PORT = 7844;

/** How often the plan is read. A changed plan is applied when it has not changed again meanwhile. */
const POLL_MILLISECONDS = 500;

/** How long a plan that could not be applied waits for the next attempt. */
const RETRY_MILLISECONDS = 15_000;

/** How long to wait for another process that writes to the database. */
const BUSY_MILLISECONDS = 5_000;

/** How long a change of the Workers waits for their running calls. */
const PATIENCE_MILLISECONDS = 20_000;

mkdirSync(folder, { recursive: true });
const database = new DatabaseSync(join(folder, "edge.sqlite"), { timeout: BUSY_MILLISECONDS });
database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");

const queues = new Queues(database, (script, queue, messages) => workers.queue(script, queue, messages));
const schedules = new Schedules((script, cron, time) => workers.schedule(script, cron, time));
const objects = new Objects(join(folder, "blobs"), database, queues);
const s3 = new S3(objects);
const tunnels = new Tunnels();
const workers = new Workers({
  folder,
  port: Number(workersPort),
  bucketsPort: await serveBindings(objects),
  outbound: `${internet}:80`,
  answerRest,
});

let webhooks = 0;

/** Answers a request to a host that is no Worker's: a webhook is recorded in a file. */
async function answerRest(request) {
  const { host, pathname, search } = new URL(request.url);
  if (request.method !== "POST") return new Response(`the sandbox has no stand-in for ${host}\n`, { status: 502 });
  const received = {
    url: `https://${host}${pathname}${search}`,
    headers: Object.fromEntries(request.headers),
    body: await request.text(),
  };
  const name = `${new Date().toISOString()}-${webhooks++}.json`;
  mkdirSync(join(folder, "webhooks"), { recursive: true });
  writeFileSync(join(folder, "webhooks", name), `${JSON.stringify(received, null, 2)}\n`);
  return new Response(null, { status: 204 });
}

/** Applies what needs no restart of workerd, so that machines can write to a bucket at once. */
function applyStores({ buckets, tokens, queues: named, tunnels: known }) {
  objects.buckets = new Map(buckets.map((bucket) => [bucket.id, bucket]));
  s3.tokens = tokens;
  queues.queues = named;
  tunnels.tunnels = known;
}

async function applyWorkers({ workers: deployed, consumers, triggers, hyperdrives }) {
  if (deployed.length === 0) return;
  const databases = await tunnels.addressesOf(hyperdrives);
  if (workers.differs(deployed, databases)) {
    await Promise.race([Promise.all([queues.pause(), schedules.pause()]), pause(PATIENCE_MILLISECONDS)]);
    try {
      await workers.apply(deployed, databases);
    } finally {
      queues.resume();
      schedules.resume();
    }
  }
  queues.consumers = consumers;
  schedules.triggers = triggers;
}

/** Returns the present plan; `seen` if it has not changed. */
async function read(seen) {
  const headers = { "x-sandbox-plan": "read", "if-none-match": versionOf(seen) };
  const response = await fetch(`http://${services}/`, { headers });
  if (response.status === 304) return seen;
  if (!response.ok) throw new Error(`the plan cannot be read: ${response.status} ${await response.text()}`);
  return response.text();
}

const versionOf = (text) => createHash("sha256").update(text).digest("hex");

/** Records which plan is applied: `start.py` waits for it. */
function record(text) {
  const aside = join(folder, "applied.new");
  writeFileSync(aside, versionOf(text));
  renameSync(aside, join(folder, "applied"));
}

async function follow() {
  let [seen, applied] = ["", ""];
  for (;;) {
    try {
      const text = await read(seen);
      if (text !== seen) {
        applyStores(JSON.parse(text));
        // Only now: without the plan no bucket exists, and clients do not repeat a request that is answered so.
        if (seen === "") await s3.listen(Number(s3Port));
      } else if (text !== applied) {
        applied = text;
        await applyWorkers(JSON.parse(text));
        record(text);
      }
      seen = text;
    } catch (error) {
      console.error(`the plan is not applied: ${error.stack}`);
      // Not at once: a plan that cannot be applied would start workerd again and again.
      if (applied === seen) await pause(RETRY_MILLISECONDS);
      applied = "";
    }
    await pause(POLL_MILLISECONDS);
  }
}

tunnels.listen(internet, TUNNEL_PORT);
await follow();
