/**
 * Mends the sockets of this process. Piped sockets handle no error of either side, in miniflare's simulated Hyperdrive too: a
 * connection that is reset would end the process. With these handlers the end of one socket ends the other.
 */

import { subscribe } from "node:diagnostics_channel";

for (const channel of ["net.client.socket", "net.server.socket"]) {
  subscribe(channel, ({ socket }) => {
    socket.on("error", () => {});
    socket.on("pipe", (source) => {
      source.once("close", () => socket.end());
      socket.once("close", () => source.destroy());
    });
  });
}
