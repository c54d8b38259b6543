/** Sends a notification by e-mail: plain text, with a Message-ID derived from the delivery's id. */

import { sendMail } from "../../lib/mail.js";
import { stamp } from "../../lib/times.js";
import { catalogue } from "../components.js";
import { addressOf } from "./notice.js";

/** @import { Env } from "../env.js" */
/** @import { Delivery, Notice } from "./outbox.js" */

/** @type {Record<string, string>} */
const KINDS = {
  "contact.test": "Test",
  "incident.opened": "New incident",
  "incident.updated": "Update",
  "incident.resolved": "Resolved",
  "incident.postmortem": "Post-mortem",
  "incident.amended": "Correction",
  "incident.redacted": "Withdrawn",
  "maintenance.scheduled": "maintenance is announced",
  "maintenance.started": "maintenance has begun",
  "maintenance.updated": "maintenance update",
  "maintenance.completed": "maintenance is over",
  "maintenance.cancelled": "maintenance is cancelled",
  "maintenance.amended": "maintenance: correction",
  "maintenance.redacted": "maintenance: withdrawn",
};

/**
 * @param {Env} env
 * @param {Delivery} delivery
 */
export async function sendEmail(env, { id, address, notice, thread }) {
  await sendMail(env.EMAIL, {
    id,
    thread,
    host: new URL(env.STATUS_URL).hostname,
    date: notice.at,
    from: { name: `${env.PLATFORM} status`, address: env.SENDER },
    to: address,
    replyTo: env.CONTACT,
    subject: subjectOf(notice),
    text: textOf(env, notice),
  });
}

/**
 * @param {Notice} notice
 * @returns {string}
 */
function subjectOf({ type, title, emergency }) {
  const kind = `${emergency ? "emergency " : ""}${KINDS[type]}`;
  return `${kind.charAt(0).toUpperCase()}${kind.slice(1)}: ${title}`;
}

/**
 * @param {Env} env
 * @param {Notice} notice
 * @returns {string}
 */
function textOf(env, notice) {
  const names = new Map(catalogue(env.COMPONENTS).map(({ id, name }) => [id, name]));
  const affected = notice.components.map((id) => names.get(id) ?? id).join(", ");
  const facts =
    notice.subject === null
      ? []
      : [
          `Status: ${notice.status.replace("_", " ")}`,
          ...(notice.impact === null ? [] : [`Impact: ${notice.impact}`]),
          ...(affected === "" ? [] : [`Affects: ${affected}`]),
          notice.endsAt === null
            ? `Began: ${stamp(notice.startsAt)}`
            : `Planned: ${stamp(notice.startsAt)} to ${stamp(notice.endsAt)}`,
          ...(notice.emergency ? ["This is emergency maintenance, without the usual notice."] : []),
        ];
  return [
    notice.title,
    "",
    notice.body,
    "",
    ...facts,
    `Posted: ${stamp(notice.at)}`,
    "",
    addressOf(env, notice),
    "",
    `You are a designated contact of ${env.PLATFORM}. Questions: ${env.CONTACT}`,
    "",
  ].join("\r\n");
}
