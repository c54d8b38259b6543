/** PostgreSQL client authentication: clear text, MD5 and SCRAM-SHA-256 (RFC 5802 and 7677). */

import { base64, hex, hmac, unbase64, utf8 } from "../lib/bytes.js";
import { Fields, ProtocolError, passwordMessage, saslInitialResponse, saslResponse } from "./messages.js";

const SCRAM = "SCRAM-SHA-256";

/** PostgreSQL's default is 4,096. The limit protects this Worker's CPU time. */
const MAX_ITERATIONS = 100_000;

/** Authentication requests by the number at the start of the message. */
const REQUESTS = { ok: 0, clearText: 3, md5: 5, sasl: 10, saslContinue: 11, saslFinal: 12 };

/** @typedef {{ user: string, password: string }} Credentials */

/**
 * Answers the server's authentication requests until it accepts the connection.
 *
 * @param {Credentials} credentials
 * @param {() => Promise<Uint8Array>} receive returns the body of the next authentication message
 * @param {(message: Uint8Array) => Promise<void>} send
 * @throws {ProtocolError} if the method is not supported, or the server cannot prove that it knows the password
 */
export async function authenticate({ user, password }, receive, send) {
  let fields = new Fields(await receive());
  let request = fields.int32();
  if (request === REQUESTS.clearText) await send(passwordMessage(password));
  // Hyperdrive may require MD5, independently of the server behind it. Cloudflare Workers support MD5, browsers do not.
  else if (request === REQUESTS.md5) await send(passwordMessage(await md5Response(user, password, fields.bytes(4))));
  else if (request === REQUESTS.sasl) await scram(password, fields, receive, send);
  else if (request === REQUESTS.ok) return;
  else throw new ProtocolError(`authentication method ${request} is not supported`);
  fields = new Fields(await receive());
  request = fields.int32();
  if (request !== REQUESTS.ok) throw new ProtocolError("the server requested a second authentication");
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
  if (!mechanisms.text().split("\0").includes(SCRAM)) throw new ProtocolError(`the server does not offer ${SCRAM}`);
  const nonce = base64(crypto.getRandomValues(new Uint8Array(18)));
  const clientFirst = `n=,r=${nonce}`; // no user name: PostgreSQL uses that of the startup message
  await send(saslInitialResponse(SCRAM, `n,,${clientFirst}`));

  const serverFirst = saslText(await receive(), REQUESTS.saslContinue);
  const { "r=": bothNonces = "", "s=": salt = "", "i=": iterations = "" } = attributes(serverFirst);
  const rounds = Number(iterations);
  const joined = bothNonces.startsWith(nonce) && bothNonces.length > nonce.length;
  if (!joined || !(rounds >= 1 && rounds <= MAX_ITERATIONS)) {
    throw new ProtocolError("the server's SCRAM nonce or iteration count is invalid");
  }
  const salted = await saltedPassword(password, unbase64(salt), rounds);
  const withoutProof = `c=${btoa("n,,")},r=${bothNonces}`;
  const exchange = `${clientFirst},${serverFirst},${withoutProof}`;
  const clientKey = await hmac(salted, "Client Key");
  const signature = await hmac(await digest("SHA-256", clientKey), exchange);
  const proof = clientKey.map((byte, index) => byte ^ Number(signature[index]));
  await send(saslResponse(`${withoutProof},p=${base64(proof)}`));

  const { "v=": verifier } = attributes(saslText(await receive(), REQUESTS.saslFinal));
  if (verifier !== base64(await hmac(await hmac(salted, "Server Key"), exchange))) {
    throw new ProtocolError("the server's SCRAM signature is wrong: it does not know the password");
  }
}

/**
 * @param {Uint8Array} body
 * @param {number} expected
 */
function saslText(body, expected) {
  const fields = new Fields(body);
  if (fields.int32() !== expected) throw new ProtocolError("unexpected SCRAM message");
  return fields.text();
}

/**
 * @param {string} text `k=value,…`
 * @returns {Record<string, string>} by `k=`
 */
function attributes(text) {
  return Object.fromEntries(text.split(",").map((part) => [part.slice(0, 2), part.slice(2)]));
}

/**
 * @param {string} password
 * @param {Uint8Array} salt
 * @param {number} iterations
 */
async function saltedPassword(password, salt, iterations) {
  // Of SASLprep only the NFKC normalisation is needed: its other steps only reject passwords.
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
