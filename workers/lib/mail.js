/** E-mail as it goes out through the `send_email` binding: plain text, whatever is in it. */

import { EmailMessage } from "cloudflare:email";
import { base64, utf8 } from "./bytes.js";
import { withTimeout } from "./timeout.js";

/**
 * @typedef {object} Mail
 * @property {string} id of the message, without the host: the same at every attempt
 * @property {readonly string[]} [thread] ids of earlier messages that it follows, the last one is answered
 * @property {string} host that the ids belong to
 * @property {Date} date
 * @property {{ name: string, address: string }} from
 * @property {string} to address
 * @property {string} [replyTo] address
 * @property {string} subject
 * @property {string} text with lines that end as the format wants: `\r\n`
 */

const PATIENCE_MILLISECONDS = 5_000;

/** RFC 2045 wants lines of base64 no longer than this. */
const LINE = 76;

/** RFC 2047: 75 characters a word, `=?utf-8?B?` and `?=` included, and no character cut in two (4 bytes at most). */
const WORD_BYTES = 42;

/** `base64` takes a few kilobytes; three bytes become four characters, so that pieces of these can be joined. */
const PIECE_BYTES = 3 * 1_024;

/**
 * @param {SendEmail} binding
 * @param {Mail} mail
 * @throws {Error} when it is not taken in time
 */
export async function sendMail(binding, mail) {
  const message = new EmailMessage(mail.from.address, mail.to, rawOf(mail));
  await withTimeout(binding.send(message), PATIENCE_MILLISECONDS);
}

/**
 * @param {Mail} mail
 * @returns {string}
 */
function rawOf({ id, thread = [], host, date, from, to, replyTo, subject, text }) {
  return [
    `Message-ID: <${id}@${host}>`,
    ...thread.slice(-1).map((before) => `In-Reply-To: <${before}@${host}>`),
    ...(thread.length === 0 ? [] : [`References: ${thread.map((one) => `<${one}@${host}>`).join("\r\n ")}`]),
    `Date: ${date.toUTCString().replace("GMT", "+0000")}`,
    `From: ${encodedWords(from.name)}\r\n <${from.address}>`,
    `To: <${to}>`,
    ...(replyTo === undefined ? [] : [`Reply-To: <${replyTo}>`]),
    `Subject: ${encodedWords(subject)}`,
    "Auto-Submitted: auto-generated",
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: base64",
    "",
    ...linesOf(encoded(text)),
    "",
  ].join("\r\n");
}

/**
 * @param {string} text
 * @returns {string} as a header may hold it, whatever is in it
 */
function encodedWords(text) {
  /** @type {string[]} */
  const words = [""];
  for (const character of text) {
    if (utf8(words.at(-1) + character).length > WORD_BYTES) words.push("");
    words.push(words.pop() + character);
  }
  return words.map((word) => `=?utf-8?B?${base64(utf8(word))}?=`).join("\r\n ");
}

/**
 * @param {string} text of any length
 * @returns {string} base64
 */
function encoded(text) {
  const bytes = utf8(text);
  const pieces = Array.from({ length: Math.ceil(bytes.length / PIECE_BYTES) }, (_, index) =>
    base64(bytes.subarray(index * PIECE_BYTES, (index + 1) * PIECE_BYTES)),
  );
  return pieces.join("");
}

/**
 * @param {string} text
 * @returns {string[]}
 */
function linesOf(text) {
  return text.match(new RegExp(`.{1,${LINE}}`, "g")) ?? [];
}
