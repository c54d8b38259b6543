/** As much of a PostgreSQL client as a health check needs: connect, ask in text, read rows of text. */

import { authenticate } from "./authentication.js";
import { Fields, MessageReader, ProtocolError, queryMessage, startupMessage } from "./messages.js";

/** @import { Message } from "./messages.js" */

/** @typedef {Record<string, string | null>} Row column to value as text */

/** The server refused; its own words are left out, because they may name what nobody should read. */
export class PostgresError extends Error {
  name = "PostgresError";

  /** @param {string} sqlState https://www.postgresql.org/docs/current/errcodes-appendix.html */
  constructor(sqlState) {
    super(`the server refused: ${sqlState}`);
    this.sqlState = sqlState;
  }
}

/**
 * Connects through Hyperdrive, which answers the first messages itself: only a query shows whether there is a database.
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
    // A connection that failed also fails to close, which adds nothing.
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
   * Asks by the simple query protocol: several statements are one transaction, over when this resolves.
   *
   * @param {string} sql
   * @returns {Promise<Row[]>} of the last statement
   * @throws {PostgresError} after which the connection takes another query
   * @throws {ProtocolError} after which it does not
   */
  async query(sql) {
    await this.#writer.write(queryMessage(sql));
    /** @type {string[]} */
    let columns = [];
    /** @type {Row[]} */
    let rows = [];
    /** @type {PostgresError | undefined} */
    let refusal;
    for (;;) {
      const { type, body } = await this.#messages.next();
      if (type === "T") {
        columns = columnNames(body);
        rows = [];
      } else if (type === "D") rows.push(row(columns, body));
      else if (type === "E") refusal = refusalOf(body);
      else if (type === "Z" && refusal !== undefined) throw refusal;
      else if (type === "Z") return rows;
      else if (type !== "C" && !isAside(type)) throw new ProtocolError("an answer to another question");
    }
  }

  /**
   * @param {string} expected a message's type
   * @returns {Promise<Message>}
   * @throws {PostgresError} when the server refuses instead
   */
  async #receive(expected) {
    for (;;) {
      const message = await this.#messages.next();
      if (message.type === expected) return message;
      if (message.type === "E") throw refusalOf(message.body);
      if (!isAside(message.type)) throw new ProtocolError("an answer to another question");
    }
  }
}

/**
 * What a server may say at any time: notices, settings, notifications, and the key to cancel a query with.
 *
 * @param {string} type
 */
function isAside(type) {
  return type === "N" || type === "S" || type === "A" || type === "K";
}

/** @param {Uint8Array} body of an ErrorResponse: fields that begin with a letter, `C` being the SQLSTATE */
function refusalOf(body) {
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
  if (fields.int16() !== columns.length) throw new ProtocolError("a row of other columns");
  return Object.fromEntries(
    columns.map((name) => {
      const length = fields.int32();
      return [name, length === -1 ? null : fields.text(length)];
    }),
  );
}
