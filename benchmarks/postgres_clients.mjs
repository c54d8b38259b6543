/**
 * Runs the API Worker's database check in workerd with each PostgreSQL client: `node postgres_clients.mjs URL CHECKS`, where
 * URL is a real database. Prints a line of JSON for each faulty server, and one for each start with the real database.
 */

import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

const [, , DATABASE, CHECKS] = process.argv;
const WORKERS = fileURLToPath(new URL("../workers/", import.meta.url));
const LIBRARY = `${WORKERS}node_modules/postgres/cf/`;
const { Miniflare } = await import(`${WORKERS}node_modules/miniflare/dist/src/index.js`);

const MIB = 1024 * 1024;
const STARTS = 5;
const SETTLE_MILLISECONDS = 1_000;

const MAIN = `
import { checkDatabase } from "./api/checks.js";
export default { fetch: async (_, env) => Response.json(await checkDatabase(env.HYPERDRIVE)) };
`;
const OWN = ["api/postgres.js", "api/messages.js", "api/authentication.js", "lib/bytes.js"];
const SHARED = ["api/checks.js", "api/database.js", "lib/clock.js", "lib/log.js", "lib/timeout.js"];

const module = (path, file) => ({ type: "ESModule", path: `/w/${path}`, contents: readFileSync(file, "utf8") });
const ours = (paths) => paths.map((path) => module(path, WORKERS + path));
const library = ["polyfills.js", ...readdirSync(`${LIBRARY}src`).map((name) => `src/${name}`)];
const adapter = fileURLToPath(new URL("postgres_library.js", import.meta.url));

const CLIENTS = {
  own: { flags: [], modules: ours([...SHARED, ...OWN]) },
  library: {
    flags: ["nodejs_compat"],
    modules: [
      ...ours(SHARED),
      module("api/postgres.js", adapter),
      ...library.map((path) => module(`postgres/cf/${path}`, LIBRARY + path)),
    ],
  },
};

function message(kind, ...parts) {
  const body = Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : part)));
  const head = Buffer.from([kind.charCodeAt(0), 0, 0, 0, 0]);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

const authentication = (asked, text = "") => message("R", Buffer.from([0, 0, 0, asked]), text);
const READY = message("Z", "I");
const WELCOME = Buffer.concat([authentication(0), READY]);
const COLUMN = message("T", "\0\x01writable\0", Buffer.alloc(6), "\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0");
const HEALTHY = Buffer.concat([COLUMN, message("D", "\0\x01\0\0\0\x01t"), message("C", "SELECT 1\0"), READY]);
const ROWS = Buffer.concat(Array(32).fill(message("D", "\0\x01\0\0\x80\0", Buffer.alloc(32_768, "x"))));

/** Returns a server that sends the next of `responses` after each message from a client. */
const responding = (...responses) => (socket) => {
  socket.on("data", (received) => {
    const response = responses.shift();
    if (typeof response === "function") response(socket, received.toString("latin1"));
    else if (response !== undefined) socket.write(response);
  });
};

const closeAfter = (...last) => (socket) => socket.end(Buffer.concat(last));
const scram = (iterations) => (socket, received) =>
  socket.write(authentication(11, `r=${received.split("r=")[1]}mine,s=c2FsdA==,i=${iterations}`));

function endlessRows(socket) {
  const more = () => {
    while (socket.writable && socket.write(ROWS));
  };
  socket.write(COLUMN);
  socket.on("drain", more);
  more();
}

const SERVERS = {
  "closes the connection after the startup message": () => responding(closeAfter()),
  "speaks HTTP": () => responding(closeAfter(Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"))),
  "accepts and never answers": () => () => {},
  "closes the connection after the query": () => responding(WELCOME, closeAfter()),
  "refuses the password": () => responding(authentication(3), closeAfter(message("E", "SFATAL\0C28P01\0Mwrong\0\0"))),
  "asks for an unknown authentication": () => responding(authentication(7)),
  "asks for a million SCRAM iterations": () => responding(authentication(10, "SCRAM-SHA-256\0\0"), scram(1_000_000)),
  "sends no SCRAM proof": () =>
    responding(authentication(10, "SCRAM-SHA-256\0\0"), scram(4_096), WELCOME, HEALTHY, HEALTHY),
  "sends a message of 64 MiB": () => responding(WELCOME, (socket) => socket.write(message("D", Buffer.alloc(64 * MIB)))),
  "sends rows without an end": () => responding(WELCOME, endlessRows),
};

// Miniflare's simulated Hyperdrive throws if a client writes to a closed server.
process.on("uncaughtException", () => {});

async function start({ flags, modules }, database) {
  const began = performance.now();
  const worker = new Miniflare({
    cf: false,
    modulesRoot: "/w",
    modules: [{ type: "ESModule", path: "/w/main.js", contents: MAIN }, ...modules],
    compatibilityDate: "2026-04-24",
    compatibilityFlags: ["disallow_importable_env", ...flags],
    hyperdrives: { HYPERDRIVE: database },
    handleRuntimeStdio: (out, err) => [out.resume(), err.resume()],
  });
  await worker.ready;
  return { worker, startMs: performance.now() - began };
}

async function check(worker) {
  const began = performance.now();
  const answer = await (await worker.dispatchFetch("https://worker.example/")).json();
  return { answer, ms: performance.now() - began };
}

/** Returns the present and the peak memory of workerd, in MiB. */
function memory() {
  for (const child of readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8").trim().split(" ")) {
    const status = readFileSync(`/proc/${child}/status`, "utf8");
    const mib = (name) => Number(RegExp(`${name}:\\s+(\\d+)`).exec(status)[1]) / 1024;
    if (status.includes("workerd")) return { now: mib("VmRSS"), peak: mib("VmHWM") };
  }
  throw new Error("workerd does not run");
}

const print = (figures) => console.log(JSON.stringify(figures));

async function measureFaulty(server, play) {
  for (const [client, made] of Object.entries(CLIENTS)) {
    let connections = 0;
    const listener = createServer((socket) => {
      connections += 1;
      socket.on("error", () => {});
      play()(socket);
    });
    await new Promise((listening) => listener.listen(0, "127.0.0.1", listening));
    const { worker } = await start(made, `postgres://u:p@127.0.0.1:${listener.address().port}/d`);
    const before = memory().now;
    const { answer, ms } = await check(worker);
    await new Promise((over) => setTimeout(over, SETTLE_MILLISECONDS));
    print({ server, client, answer: answer.writable ?? answer, ms, connections, mib: memory().peak - before });
    await worker.dispose();
    listener.close();
  }
}

async function measureReal(client, made) {
  const { worker, startMs } = await start(made, DATABASE);
  const { ms: firstMs, answer } = await check(worker);
  if (answer.writable !== true) throw new Error(`the ${client} client found the database ${JSON.stringify(answer)}`);
  const times = [];
  for (let number = 0; number < CHECKS; number++) times.push((await check(worker)).ms);
  const p50Ms = times.sort((one, other) => one - other)[Math.floor(CHECKS / 2)];
  print({ client, startMs, firstMs, p50Ms, mib: memory().now });
  await worker.dispose();
}

for (const [server, play] of Object.entries(SERVERS)) await measureFaulty(server, play);
for (let number = 0; number < STARTS; number++) {
  for (const [client, made] of Object.entries(CLIENTS)) await measureReal(client, made);
}
process.exit(); // the simulated Hyperdrive may still have an open connection
