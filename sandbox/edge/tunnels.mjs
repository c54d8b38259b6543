/**
 * The edge's side of Cloudflare Tunnel. Each connector on a machine (services/packages.d/cloudflared) keeps some connections to this
 * server open. A client's connection is passed on through one of them; then the connector opens another one.
 *
 * A connector begins with a line of JSON, its token, and then sends an empty line each second. To use the connection, the edge sends a
 * line with the address of the service behind the connector; the connector answers with the line `connected`, or closes.
 */

import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import "./sockets.mjs";

/** A connector that sent nothing for so long is lost: its machine has no power or no network. */
const SILENCE_MILLISECONDS = 2_500;

/** How long a client waits for a connector. */
const WAIT_MILLISECONDS = 5_000;
const PAUSE_MILLISECONDS = 100;

/** How long a connector may take to connect to its service, or to send its token. */
const ANSWER_MILLISECONDS = 1_000;

const NEWLINE = 10;

/** Reads one line. The bytes after it stay in the socket. */
async function lineOf(socket, milliseconds) {
  const timeout = setTimeout(() => socket.destroy(), milliseconds);
  let line = Buffer.alloc(0);
  try {
    for (;;) {
      const data = socket.read();
      if (data !== null) {
        line = Buffer.concat([line, data]);
        const end = line.indexOf(NEWLINE);
        if (end !== -1) {
          if (end + 1 < line.length) socket.unshift(line.subarray(end + 1));
          return line.subarray(0, end).toString();
        }
      }
      await new Promise((resolve, reject) => {
        socket.once("readable", resolve);
        socket.once("close", () => reject(new Error("the connection ended")));
      });
    }
  } finally {
    clearTimeout(timeout);
  }
}

export class Tunnels {
  /** @type {{ id: string, token: object, services: Record<string, string> }[]} `services`: address of the service by host name */
  tunnels = [];
  /** Waiting connections: { id, socket, heard, hear }; `heard` is the time of the last sign of life. */
  #waiting = [];
  #hyperdrives = new Map();

  /** Accepts connectors. */
  listen(host, port) {
    createServer((socket) => this.#accept(socket).catch(() => socket.destroy())).listen(port, host);
  }

  /**
   * Returns the addresses of databases by Hyperdrive configuration, for miniflare. Each one has a port of its own, whose connections
   * go through a tunnel.
   *
   * @param {{ id: string, host: string, database: string, user: string, password: string }[]} hyperdrives
   */
  async addressesOf(hyperdrives) {
    const addresses = {};
    for (const { id, host, database, user, password } of hyperdrives) {
      const server = this.#hyperdrives.get(id) ?? { port: undefined, host };
      server.host = host;
      server.port ??= await this.#serve(server);
      this.#hyperdrives.set(id, server);
      const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
      addresses[id] = `postgres://${login}@localhost:${server.port}/${encodeURIComponent(database)}?sslmode=require`;
    }
    return addresses;
  }

  #serve(target) {
    const server = createServer({ pauseOnConnect: true }, async (client) => {
      const socket = await this.#reach(target.host);
      if (socket === undefined) return client.destroy();
      client.pipe(socket);
      socket.pipe(client);
    });
    return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address().port)));
  }

  async #accept(socket) {
    const token = JSON.parse(await lineOf(socket, ANSWER_MILLISECONDS));
    const tunnel = this.tunnels.find(({ token: { a, t, s } }) => token.a === a && token.t === t && token.s === s);
    if (tunnel === undefined) throw new Error("there is no such tunnel");
    socket.write("registered\n");
    const one = { id: tunnel.id, socket, heard: Date.now() };
    one.hear = () => {
      one.heard = Date.now();
      socket.read();
    };
    socket.on("readable", one.hear);
    socket.setTimeout(SILENCE_MILLISECONDS, () => socket.destroy());
    socket.once("close", () => this.#remove(one));
    this.#waiting.push(one);
  }

  #remove(one) {
    this.#waiting = this.#waiting.filter((each) => each !== one);
  }

  /** Returns a connection to the service of a host name; undefined if no connector reaches it in time. */
  async #reach(host) {
    const tunnel = this.tunnels.find(({ services }) => host in services);
    const end = Date.now() + WAIT_MILLISECONDS;
    while (tunnel !== undefined && Date.now() < end) {
      const [one] = this.#waiting.filter(({ id }) => id === tunnel.id).sort((a, b) => b.heard - a.heard);
      if (one === undefined) {
        await pause(PAUSE_MILLISECONDS);
        continue;
      }
      this.#remove(one);
      one.socket.off("readable", one.hear).setTimeout(0);
      one.socket.write(`${tunnel.services[host]}\n`);
      try {
        let line = "";
        while (line === "") line = await lineOf(one.socket, ANSWER_MILLISECONDS);
        if (line === "connected") return one.socket;
      } catch {
        // The next connector may reach the service.
      }
      one.socket.destroy();
    }
    return undefined;
  }
}
