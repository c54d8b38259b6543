/** E-mail through the `send_email` binding: plain text, and a Message-ID that is the delivery's own. */

import { EmailMessage } from "cloudflare:email";
import { base64, utf8 } from "../../lib/bytes.js";
import { withTimeout } from "../../lib/timeout.js";
import { catalogue } from "../components.js";
import { stamp } from "../times.js";

/** @import { Env } from "../env.js" */
/** @import { Delivery, Notice } from "./outbox.js" */

const PATIENCE_MILLISECONDS = 5_000;

/** RFC 2045 wants lines of base64 no longer than this. */
const LINE = 76;

/** RFC 2047: 75 characters a word, `=?utf-8?B?` and `?=` included, and no character cut in two (4 bytes at most). */
const WORD_BYTES = 42;

/** @type {Record<string, string>} */
const KINDS = {
  "incident.opened": "New incident",
  "incident.updated": "Update",
  "incident.resolved": "Resolved",
  "maintenance.scheduled": "Planned maintenance",
  "maintenance.started": "Maintenance has begun",
  "maintenance.updated": "Maintenance update",
  "maintenance.completed": "Maintenance is over",
  "maintenance.cancelled": "Maintenance is cancelled",
};

/**
 * @param {Env} env
 * @param {Delivery} delivery
 */
export async function sendEmail(env, { id, address, notice }) {
  const host = new URL(env.STATUS_URL).hostname;
  const raw = [
    `Message-ID: <${id}@${host}>`,
    `Date: ${notice.at.toUTCString().replace("GMT", "+0000")}`,
    `From: ${encodedWords(`${env.PLATFORM} status`)}\r\n <${env.SENDER}>`,
    `To: <${address}>`,
    `Reply-To: <${env.CONTACT}>`,
    `Subject: ${encodedWords(subjectOf(notice))}`,
    "Auto-Submitted: auto-generated",
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: base64",
    "",
    ...linesOf(base64(utf8(textOf(env, notice)))),
    "",
  ].join("\r\n");
  await withTimeout(env.EMAIL.send(new EmailMessage(env.SENDER, address, raw)), PATIENCE_MILLISECONDS);
}

/**
 * @param {Notice} notice
 * @returns {string}
 */
function subjectOf({ type, title, emergency }) {
  const kind = emergency ? `Emergency: ${KINDS[type]}` : KINDS[type];
  return `${kind}: ${title}`;
}

/**
 * @param {Env} env
 * @param {Notice} notice
 * @returns {string}
 */
function textOf(env, notice) {
  const names = new Map(catalogue(env.COMPONENTS).map(({ id, name }) => [id, name]));
  const affected = notice.components.map((id) => names.get(id) ?? id).join(", ");
  const facts = [
    `Status: ${notice.status.replace("_", " ")}`,
    ...(notice.impact === null ? [] : [`Impact: ${notice.impact}`]),
    ...(affected === "" ? [] : [`Affects: ${affected}`]),
    notice.endsAt === null
      ? `Began: ${stamp(notice.startsAt)}`
      : `Planned: ${stamp(notice.startsAt)} to ${stamp(notice.endsAt)}`,
    ...(notice.emergency ? ["This is emergency maintenance, which comes without the usual notice."] : []),
  ];
  return [
    notice.title,
    "",
    notice.body,
    "",
    ...facts,
    `Said: ${stamp(notice.at)}`,
    "",
    `${env.STATUS_URL}/history#${notice.subject}`,
    "",
    `You are a designated contact of ${env.PLATFORM}. Questions: ${env.CONTACT}`,
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
 * @param {string} text
 * @returns {string[]}
 */
function linesOf(text) {
  return text.match(new RegExp(`.{1,${LINE}}`, "g")) ?? [];
}
