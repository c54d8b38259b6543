/** A minimal PostgreSQL client for the health check: connect, and run simple queries with results as text. */

import { authenticate } from "./authentication.js";
import { Fields, MessageReader, ProtocolError, queryMessage, startupMessage } from "./messages.js";

/** @import { Message } from "./messages.js" */

/** @typedef {Record<string, string | null>} Row column to value as text */

/** The server reported an error. Its message text is dropped, because it may contain confidential names or values. */
export class PostgresError extends Error {
  name = "PostgresError";

  /** @param {string} sqlState https://www.postgresql.org/docs/current/errcodes-appendix.html */
  constructor(sqlState) {
    super(`PostgreSQL error ${sqlState}`);
    this.sqlState = sqlState;
  }
}

/**
 * Connects to Hyperdrive, which answers the startup itself: only a query shows whether the database is reachable.
 *
 * @param {Hyperdrive} hyperdrive
 * @param {AbortSignal} signal closes the connection
 * @returns {Promise<Connection>} ready for a query
 * @throws {PostgresError | ProtocolError}
 */
export async function connect(hyperdrive, signal) {
  const connection = new Connection(hyperdrive.connect(), signal);
  await connection.open(hyperdrive);
  return connection;
}

export class Connection {
  #messages;
  #writer;

  /**
   * @param {Socket} socket
   * @param {AbortSignal} signal
   */
  constructor(socket, signal) {
    this.#messages = new MessageReader(socket.readable);
    this.#writer = socket.writable.getWriter();
    // Closing a failed connection fails as well; that error is not needed.
    signal.addEventListener("abort", () => socket.close().catch(() => {}));
  }

  /** @param {Hyperdrive} hyperdrive */
  async open(hyperdrive) {
    await this.#writer.write(startupMessage(hyperdrive.user, hyperdrive.database));
    const receive = async () => (await this.#receive("R")).body;
    await authenticate(hyperdrive, receive, (message) => this.#writer.write(message));
    await this.#receive("Z");
  }

  /**
   * Runs a simple query. Several statements run in one transaction, which has ended when this resolves.
   *
   * @param {string} sql
   * @returns {Promise<Row[]>} rows of the last statement
   * @throws {PostgresError} the connection can still be used
   * @throws {ProtocolError} the connection cannot be used any more
   */
  async query(sql) {
    await this.#writer.write(queryMessage(sql));
    /** @type {string[]} */
    let columns = [];
    /** @type {Row[]} */
    let rows = [];
    /** @type {PostgresError | undefined} */
    let failure;
    for (;;) {
      const { type, body } = await this.#messages.next();
      if (type === "T") {
        columns = columnNames(body);
        rows = [];
      } else if (type === "D") rows.push(row(columns, body));
      else if (type === "E") failure = errorOf(body);
      else if (type === "Z" && failure !== undefined) throw failure;
      else if (type === "Z") return rows;
      else if (type !== "C" && !isAsynchronous(type)) throw new ProtocolError(`unexpected message of type ${type}`);
    }
  }

  /**
   * @param {string} expected a message's type
   * @returns {Promise<Message>}
   * @throws {PostgresError} if the server reports an error instead
   */
  async #receive(expected) {
    for (;;) {
      const message = await this.#messages.next();
      if (message.type === expected) return message;
      if (message.type === "E") throw errorOf(message.body);
      if (!isAsynchronous(message.type)) throw new ProtocolError(`unexpected message of type ${message.type}`);
    }
  }
}

/**
 * Whether a server may send this message at any time: notices, parameters, notifications, and the cancellation key.
 *
 * @param {string} type
 */
function isAsynchronous(type) {
  return type === "N" || type === "S" || type === "A" || type === "K";
}

/** @param {Uint8Array} body of an ErrorResponse: fields that begin with a letter, `C` being the SQLSTATE */
function errorOf(body) {
  const parts = new TextDecoder().decode(body).split("\0");
  return new PostgresError(parts.find((part) => part.startsWith("C"))?.slice(1) ?? "");
}

/** @param {Uint8Array} body of a RowDescription */
function columnNames(body) {
  const fields = new Fields(body);
  return Array.from({ length: fields.int16() }, () => {
    const name = fields.string();
    fields.bytes(18); // table, column, type, its size and modifier, format
    return name;
  });
}

/**
 * @param {string[]} columns
 * @param {Uint8Array} body of a DataRow
 * @returns {Row}
 */
function row(columns, body) {
  const fields = new Fields(body);
  if (fields.int16() !== columns.length)
    throw new ProtocolError("a row has another number of columns than its description");
  return Object.fromEntries(
    columns.map((name) => {
      const length = fields.int32();
      return [name, length === -1 ? null : fields.text(length)];
    }),
  );
}
