/** Proving to a PostgreSQL server who we are, in each way that it may ask for: RFC 5802 and 7677 for SCRAM. */

import { base64, hex, hmac, unbase64, utf8 } from "../lib/bytes.js";
import { Fields, ProtocolError, passwordMessage, saslInitialResponse, saslResponse } from "./messages.js";

const SCRAM = "SCRAM-SHA-256";

/** PostgreSQL's own default is 4,096; a server that asks for more than this only wants to keep us busy. */
const MOST_ITERATIONS = 100_000;

/** What AuthenticationXXX messages ask for, by their first number. */
const ASKED = { nothing: 0, clearText: 3, md5: 5, sasl: 10, saslContinue: 11, saslFinal: 12 };

/** @typedef {{ user: string, password: string }} Credentials */

/**
 * Answers the server's authentication messages until it is content.
 *
 * @param {Credentials} credentials
 * @param {() => Promise<Uint8Array>} receive gives the next authentication message's body
 * @param {(message: Uint8Array) => Promise<void>} send
 * @throws {ProtocolError} when the server asks for what is not known here, or cannot prove that it knows the password
 */
export async function authenticate({ user, password }, receive, send) {
  let fields = new Fields(await receive());
  let asked = fields.int32();
  if (asked === ASKED.clearText) await send(passwordMessage(password));
  // Hyperdrive may ask for MD5 on its side, whatever the server behind it asks for; Workers can, unlike browsers.
  else if (asked === ASKED.md5) await send(passwordMessage(await md5Response(user, password, fields.bytes(4))));
  else if (asked === ASKED.sasl) await scram(password, fields, receive, send);
  else if (asked === ASKED.nothing) return;
  else throw new ProtocolError("an authentication method that is not supported");
  fields = new Fields(await receive());
  asked = fields.int32();
  if (asked !== ASKED.nothing) throw new ProtocolError("a second authentication");
}

/**
 * @param {string} user
 * @param {string} password
 * @param {Uint8Array} salt
 */
async function md5Response(user, password, salt) {
  const inner = hex(await digest("MD5", utf8(password + user)));
  return `md5${hex(await digest("MD5", new Uint8Array([...utf8(inner), ...salt])))}`;
}

/**
 * @param {string} password
 * @param {Fields} mechanisms
 * @param {() => Promise<Uint8Array>} receive
 * @param {(message: Uint8Array) => Promise<void>} send
 */
async function scram(password, mechanisms, receive, send) {
  if (!mechanisms.text().split("\0").includes(SCRAM)) throw new ProtocolError("no SASL mechanism that is supported");
  const nonce = base64(crypto.getRandomValues(new Uint8Array(18)));
  const clientFirst = `n=,r=${nonce}`; // PostgreSQL takes the name from the startup message
  await send(saslInitialResponse(SCRAM, `n,,${clientFirst}`));

  const serverFirst = saslText(await receive(), ASKED.saslContinue);
  const { r: bothNonces = "", s: salt = "", i: iterations = "" } = attributes(serverFirst);
  const rounds = Number(iterations);
  if (!bothNonces.startsWith(nonce) || !(rounds >= 1 && rounds <= MOST_ITERATIONS)) {
    throw new ProtocolError("a SCRAM answer that does not fit");
  }
  const salted = await saltedPassword(password, unbase64(salt), rounds);
  const withoutProof = `c=${btoa("n,,")},r=${bothNonces}`;
  const exchange = `${clientFirst},${serverFirst},${withoutProof}`;
  const clientKey = await hmac(salted, "Client Key");
  const signature = await hmac(await digest("SHA-256", clientKey), exchange);
  const proof = clientKey.map((byte, index) => byte ^ Number(signature[index]));
  await send(saslResponse(`${withoutProof},p=${base64(proof)}`));

  const { v: verifier } = attributes(saslText(await receive(), ASKED.saslFinal));
  if (verifier !== base64(await hmac(await hmac(salted, "Server Key"), exchange))) {
    throw new ProtocolError("a server that does not know the password");
  }
}

/**
 * @param {Uint8Array} body
 * @param {number} expected
 */
function saslText(body, expected) {
  const fields = new Fields(body);
  if (fields.int32() !== expected) throw new ProtocolError("a SCRAM answer out of turn");
  return fields.text();
}

/**
 * @param {string} text `k=value,…`
 * @returns {Record<string, string>}
 */
function attributes(text) {
  return Object.fromEntries(text.split(",").map((part) => [part.slice(0, 1), part.slice(2)]));
}

/**
 * @param {string} password
 * @param {Uint8Array} salt
 * @param {number} iterations
 */
async function saltedPassword(password, salt, iterations) {
  // NFKC is the part of SASLprep that changes a password which may be used at all.
  const key = await crypto.subtle.importKey("raw", utf8(password.normalize("NFKC")), "PBKDF2", false, ["deriveBits"]);
  return new Uint8Array(
    await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt, iterations }, key, 256),
  );
}

/**
 * @param {"MD5" | "SHA-256"} algorithm
 * @param {Uint8Array} bytes
 */
async function digest(algorithm, bytes) {
  return new Uint8Array(await crypto.subtle.digest(algorithm, bytes));
}
