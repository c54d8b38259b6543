/** Encodes and decodes messages of PostgreSQL's protocol 3.0: type, length, body; integers are big-endian. */

import { utf8 } from "../lib/bytes.js";

const PROTOCOL_VERSION = 3 << 16;

/**
 * The most that one connection reads, in bytes; a health check reads about one kilobyte. Without this limit, a server that
 * sends rows or notices without an end fills the Worker's memory before the check's time limit.
 */
const MAX_BYTES = 64 * 1024;

/** @typedef {{ type: string, body: Uint8Array }} Message */

/** The server's message violates PostgreSQL's protocol, or is not supported by this client. */
export class ProtocolError extends Error {
  name = "ProtocolError";
}

/**
 * The first message of a connection: parameter names and values. It is the only message without a type.
 *
 * @param {string} user
 * @param {string} database
 * @returns {Uint8Array}
 */
export function startupMessage(user, database) {
  const parameters = utf8(`user\0${user}\0database\0${database}\0\0`);
  return withLength(join(int32(PROTOCOL_VERSION), parameters));
}

/**
 * @param {string} sql one statement, or several that run in one transaction
 * @returns {Uint8Array}
 */
export function queryMessage(sql) {
  return frontendMessage("Q", cString(sql));
}

/**
 * @param {string} password in clear text or hashed, as requested
 * @returns {Uint8Array}
 */
export function passwordMessage(password) {
  return frontendMessage("p", cString(password));
}

/**
 * @param {string} mechanism
 * @param {string} text the client's first SCRAM message
 * @returns {Uint8Array}
 */
export function saslInitialResponse(mechanism, text) {
  const response = utf8(text);
  return frontendMessage("p", join(cString(mechanism), int32(response.length), response));
}

/**
 * @param {string} text
 * @returns {Uint8Array}
 */
export function saslResponse(text) {
  return frontendMessage("p", utf8(text));
}

/** Splits a stream of bytes into messages. */
export class MessageReader {
  #reader;
  #read = new Uint8Array(0);
  #bytes = 0;

  /** @param {ReadableStream<Uint8Array>} stream */
  constructor(stream) {
    this.#reader = stream.getReader();
  }

  /**
   * @returns {Promise<Message>} the next complete message
   * @throws {ProtocolError} if its length is invalid, the connection has read too much, or the stream ends first
   */
  async next() {
    for (;;) {
      const message = this.#take();
      if (message !== null) return message;
      const { value, done } = await this.#reader.read();
      if (done) throw new ProtocolError("the server closed the connection");
      this.#bytes += value.length;
      if (this.#bytes > MAX_BYTES) throw new ProtocolError(`the server sent more than ${MAX_BYTES} bytes`);
      this.#read = join(this.#read, value);
    }
  }

  /** @returns {Message | null} null if the next message is not complete yet */
  #take() {
    if (this.#read.length < 5) return null;
    const length = viewOf(this.#read).getInt32(1);
    if (length < 4 || length > MAX_BYTES) throw new ProtocolError(`invalid message length ${length}`);
    if (this.#read.length < 1 + length) return null;
    const message = { type: String.fromCharCode(Number(this.#read[0])), body: this.#read.slice(5, 1 + length) };
    this.#read = this.#read.slice(1 + length);
    return message;
  }
}

/** Reads a message's body from its beginning to its end. */
export class Fields {
  #body;
  #at = 0;

  /** @param {Uint8Array} body */
  constructor(body) {
    this.#body = body;
  }

  int16() {
    return viewOf(this.bytes(2)).getInt16(0);
  }

  int32() {
    return viewOf(this.bytes(4)).getInt32(0);
  }

  /** @param {number} [length] default: all remaining bytes */
  bytes(length = this.#body.length - this.#at) {
    const end = this.#at + length;
    if (length < 0 || end > this.#body.length) throw new ProtocolError("a message is shorter than its fields");
    const taken = this.#body.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  /** @param {number} [length] as `bytes` */
  text(length) {
    return new TextDecoder().decode(this.bytes(length));
  }

  /** Reads text up to a NUL. */
  string() {
    const text = this.text(this.#body.indexOf(0, this.#at) - this.#at);
    this.#at += 1;
    return text;
  }
}

/**
 * @param {string} type
 * @param {Uint8Array} body
 */
function frontendMessage(type, body) {
  return join(utf8(type), withLength(body));
}

/** @param {Uint8Array} body */
function withLength(body) {
  return join(int32(body.length + 4), body);
}

/** @param {number} value */
function int32(value) {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setInt32(0, value);
  return bytes;
}

/** @param {string} text */
function cString(text) {
  return utf8(`${text}\0`);
}

/** @param {Uint8Array} bytes */
function viewOf(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** @param {Uint8Array[]} parts */
function join(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
