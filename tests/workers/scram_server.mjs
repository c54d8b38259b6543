/**
 * Lets the client authenticate by SCRAM-SHA-256 with a server that this script implements on Node's cryptography. Stdin: a list
 * of cases; stdout: the result of each. A case changes the server's behaviour: `iterations`; `nonce` (sent instead of the
 * client's); `own` (the server's nonce, which it appends); `first` and `final`, each `{ at, flip }`, flip bits of one byte of that
 * message after the server has computed its proof; `without` lists the messages that it omits.
 */

import { createHash, createHmac, pbkdf2Sync, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { Connection } from "../../workers/api/postgres.js";

const PASSWORD = "pass-phrase";
const SALT = Buffer.from("0123456789abcdef");

const hmac = (key, text) => createHmac("sha256", key).update(text).digest();

function message(kind, ...parts) {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const head = Buffer.from([kind.charCodeAt(0), 0, 0, 0, 0]);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

const authentication = (asked, text = "") => message("R", [0, 0, 0, asked], text);

function changed(text, change) {
  const bytes = Buffer.from(text);
  if (change !== undefined) bytes[change.at] ^= change.flip;
  return bytes;
}

/** Yields the server's messages, and receives the client's. */
function* conversation({ iterations = 4_096, nonce, own = "mine", first, final, without = [] }) {
  yield authentication(10, "SCRAM-SHA-256\0\0");
  const initial = (yield).toString();
  const bare = initial.slice(initial.indexOf("n=,"));
  const serverFirst = `r=${nonce ?? bare.split("r=")[1]}${own},s=${SALT.toString("base64")},i=${iterations}`;
  yield authentication(11, changed(serverFirst, first));
  const response = (yield).subarray(5).toString();
  const [withoutProof, proof] = response.split(",p=");
  const salted = pbkdf2Sync(PASSWORD, SALT, iterations, 32, "sha256");
  const exchange = `${bare},${serverFirst},${withoutProof}`;
  const clientKey = hmac(salted, "Client Key");
  const signature = hmac(createHash("sha256").update(clientKey).digest(), exchange);
  const expected = Buffer.from(clientKey.map((byte, index) => byte ^ signature[index]));
  const proven = timingSafeEqual(expected, Buffer.from(proof, "base64"));
  // A server that lets anybody in is the one to fear.
  if (!proven && first === undefined) yield message("E", "C28P01\0\0");
  const verifier = `v=${hmac(hmac(salted, "Server Key"), exchange).toString("base64")}`;
  if (!without.includes("final")) yield authentication(12, changed(verifier, final));
  yield Buffer.concat([authentication(0), message("Z", "I")]);
}

async function outcome(play) {
  const server = conversation(play);
  let readable;
  const said = new ReadableStream({
    start(controller) {
      readable = controller;
    },
  });
  /** Sends until the server waits for the client, or hangs up. */
  const speak = (heard) => {
    let step = server.next(heard);
    for (; !step.done && step.value !== undefined; step = server.next()) readable.enqueue(new Uint8Array(step.value));
    if (step.done) readable.close();
  };
  let begun = false;
  const heard = new WritableStream({
    write(bytes) {
      speak(begun ? Buffer.from(bytes) : undefined);
      begun = true;
    },
  });
  const socket = { readable: said, writable: heard, close: async () => {} };
  try {
    const password = play.password ?? PASSWORD;
    await new Connection(socket, new AbortController().signal).open({ user: "u", database: "d", password });
    return "open";
  } catch (error) {
    return error.name;
  }
}

const outcomes = [];
for (const play of JSON.parse(readFileSync(0, "utf8"))) outcomes.push(await outcome(play));
process.stdout.write(JSON.stringify(outcomes));
