/** The first exchange of PostgreSQL's protocol, version 3.0: enough to learn whether a server takes connections. */

const PROTOCOL_VERSION = 3 << 16;

/** The server's first byte: a request to authenticate. Anything else (`E`, an error) is a refusal. */
const AUTHENTICATION = "R".charCodeAt(0);

/**
 * Says who we are and reads one byte. A server that is starting, stopping or full refuses here, which an open TCP
 * connection would not show.
 *
 * @param {Hyperdrive} hyperdrive
 * @param {AbortSignal} signal closes the connection
 * @returns {Promise<boolean>}
 */
export async function acceptsConnections(hyperdrive, signal) {
  const socket = hyperdrive.connect();
  // A connection that failed also fails to close, which adds nothing.
  signal.addEventListener("abort", () => socket.close().catch(() => {}));
  const writer = socket.writable.getWriter();
  await writer.write(startupMessage(hyperdrive.user, hyperdrive.database));
  const { value } = await socket.readable.getReader().read();
  return value?.[0] === AUTHENTICATION;
}

/**
 * @param {string} user
 * @param {string} database
 * @returns {Uint8Array} length, version, then NUL-terminated names and values, and a final NUL
 */
function startupMessage(user, database) {
  const parameters = new TextEncoder().encode(`user\0${user}\0database\0${database}\0\0`);
  const message = new Uint8Array(8 + parameters.length);
  const header = new DataView(message.buffer);
  header.setInt32(0, message.length);
  header.setInt32(4, PROTOCOL_VERSION);
  message.set(parameters, 8);
  return message;
}
