/** Sends plain-text e-mail through the `send_email` binding. Any text is encoded safely. */

import { EmailMessage } from "cloudflare:email";
import { base64, utf8 } from "./bytes.js";
import { withTimeout } from "./timeout.js";

/**
 * @typedef {object} Mail
 * @property {string} id left part of the Message-ID, the same at every attempt
 * @property {readonly string[]} [thread] ids of the earlier messages of its thread; the message replies to the last one
 * @property {string} host right part of every Message-ID
 * @property {Date} date
 * @property {{ name: string, address: string }} from
 * @property {string} to address
 * @property {string} [replyTo] address
 * @property {string} subject
 * @property {string} text its lines end with `\r\n`
 */

const TIMEOUT_MILLISECONDS = 5_000;

/** The longest line of base64 that RFC 2045 allows, in characters. */
const MAX_LINE_CHARACTERS = 76;

/**
 * Bytes of text in one encoded word of a header. RFC 2047 allows 75 characters for a word with its `=?utf-8?B?` and `?=`,
 * and forbids to split a character (4 bytes at most) between two words.
 */
const WORD_BYTES = 42;

/** `base64` accepts a few kilobytes. A multiple of three, so that the encoded pieces can be joined. */
const PIECE_BYTES = 3 * 1_024;

/**
 * @param {SendEmail} binding
 * @param {Mail} mail
 * @throws {Error} when the message is not accepted within the timeout
 */
export async function sendMail(binding, mail) {
  const message = new EmailMessage(mail.from.address, mail.to, rawOf(mail));
  await withTimeout(binding.send(message), TIMEOUT_MILLISECONDS);
}

/**
 * @param {Mail} mail
 * @returns {string} the message with its headers (RFC 5322)
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
 * @returns {string} the text as encoded words (RFC 2047), which are safe in a header
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
 * @returns {string[]} the text in lines of the longest length allowed
 */
function linesOf(text) {
  return text.match(new RegExp(`.{1,${MAX_LINE_CHARACTERS}}`, "g")) ?? [];
}
