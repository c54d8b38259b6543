/** Notifies operators of alarms through independent channels: e-mail (one message for all alarms) and webhooks (one each). */

import { hex, unbase64, utf8 } from "./bytes.js";
import { now } from "./clock.js";
import { forEachConcurrently } from "./concurrency.js";
import { failureName, logFailure } from "./log.js";
import { sendMail } from "./mail.js";
import { post } from "./post.js";
import { stamp } from "./times.js";

/** @import { Due } from "./alarms.js" */
/** @import { Message } from "./post.js" */

/**
 * @typedef {object} Env
 * @property {SendEmail} EMAIL
 * @property {string} SENDER e-mail address in the From header
 * @property {string[]} ALARM_EMAILS addresses
 * @property {string} ALARM_WEBHOOKS secret: JSON list of addresses
 * @property {string} ALARM_SECRET secret: signing secret of the webhooks, `whsec_` and base64 as in the Standard Webhooks
 *   specification
 * @property {string} [CLOCK] only in tests
 */

/**
 * @typedef {object} About the source of the alarms, for the texts of notifications
 * @property {string} platform
 * @property {string} part of the platform, as it is named in addresses and event types: `backups`
 * @property {string} noun one alarm in words: `backup alarm`
 * @property {string} report address of the page with details
 * @property {string} holds title of that page
 */

/** @typedef {Omit<Due, "channel">} Notification */

/**
 * @typedef {object} Channel
 * @property {string} id kind and SHA-256 of the address, which may be a secret
 * @property {"email" | "webhook"} kind
 * @property {(notifications: Notification[], at: Date, onSent: (sent: Notification[]) => Promise<void>) => Promise<void>} send
 */

/**
 * Channels of each kind that are notified in parallel. Each kind has its own limit, so that a hung channel does not block the
 * other kind. A Cloudflare Worker has six connections.
 */
const PARALLEL_CHANNELS = { email: 2, webhook: 3 };

/**
 * @param {Env} env
 * @param {About} about
 * @returns {Promise<{ channels: Channel[], unusable: string[] }>} `unusable`: names of the bindings that are not a list of texts
 */
export async function channelsOf(env, about) {
  const emails = addressesOf(env.ALARM_EMAILS);
  const webhooks = addressesOf(env.ALARM_WEBHOOKS);
  const channels = [
    ...(emails ?? []).map((address) => emailTo(env, about, address)),
    ...(webhooks ?? []).map((address) => webhookTo(env, about, address)),
  ];
  return {
    channels: await Promise.all(channels),
    unusable: [...(emails === null ? ["ALARM_EMAILS"] : []), ...(webhooks === null ? ["ALARM_WEBHOOKS"] : [])],
  };
}

/**
 * @param {unknown} bound value of a binding: a list, or JSON text of a list
 * @returns {string[] | null} null when it is not a list of texts; then the other channels are still notified
 */
function addressesOf(bound) {
  try {
    const list = typeof bound === "string" ? JSON.parse(bound) : bound;
    return Array.isArray(list) && list.every((address) => typeof address === "string") ? list : null;
  } catch {
    return null;
  }
}

/**
 * @param {Channel["kind"]} kind
 * @param {string} address
 * @returns {Promise<string>}
 */
async function idOf(kind, address) {
  return `${kind}:${hex(await crypto.subtle.digest("SHA-256", utf8(address)))}`;
}

/**
 * @param {Env} env
 * @param {About} about
 * @param {string} address
 * @returns {Promise<Channel>} sends one message for all notifications
 */
async function emailTo(env, about, address) {
  const id = await idOf("email", address);
  return {
    id,
    kind: "email",
    async send(notifications, at, onSent) {
      await sendMail(env.EMAIL, {
        id: `${about.part}-${at.getTime()}-${id.slice(-16)}`,
        host: env.SENDER.split("@").at(-1) ?? "",
        date: at,
        from: { name: `${about.platform} ${about.part}`, address: env.SENDER },
        to: address,
        subject: subjectOf(about, notifications),
        text: textOf(about, notifications, at),
      });
      await onSent(notifications);
    },
  };
}

/**
 * @param {Env} env
 * @param {About} about
 * @param {string} address
 * @returns {Promise<Channel>} sends one request for each notification, one after another; it stops at the first failure
 */
async function webhookTo(env, about, address) {
  return {
    id: await idOf("webhook", address),
    kind: "webhook",
    async send(notifications, at, onSent) {
      for (const notification of notifications) {
        await post(address, await messageOf(env, about, notification, at), now(env));
        await onSent([notification]);
      }
    },
  };
}

/**
 * @param {Env} env
 * @param {About} about
 * @param {Notification} notification
 * @param {Date} at
 * @returns {Promise<Message>}
 */
async function messageOf(env, { platform, part, report }, { id, text, since, endedAt, again }, at) {
  const event = { type: `${part}.alarm`, id, text, since, endedAt, platform, report };
  // Receivers discard a message with a known id: retries have the same id, each reminder another one.
  const content = utf8(JSON.stringify([event, again ? at : null]));
  return {
    id: hex(await crypto.subtle.digest("SHA-256", content)),
    event,
    secrets: [unbase64(env.ALARM_SECRET.replace(/^whsec_/, ""))],
    sender: `backbuild-${part}/1.0 (+${report})`,
  };
}

/**
 * Sends the due notifications of every channel. It does not throw: failures are counted and logged.
 *
 * @param {readonly Channel[]} channels
 * @param {(channel: Channel) => Notification[]} dueOn returns the notifications that are due on a channel
 * @param {Date} at
 * @param {(channel: Channel, sent: Notification[]) => Promise<void>} onSent records what was sent; a notification without a
 *   record is sent again by the next run
 * @returns {Promise<{ told: number, failed: number }>} number of channels: notified completely, or not
 */
export async function notifyAll(channels, dueOn, at, onSent) {
  const counts = { told: 0, failed: 0 };
  const notify = async (/** @type {Channel} */ channel) => {
    const due = dueOn(channel);
    if (due.length > 0) counts[(await notifyOne(channel, due, at, onSent)) ? "told" : "failed"] += 1;
  };
  const kinds = /** @type {Channel["kind"][]} */ (Object.keys(PARALLEL_CHANNELS));
  await Promise.all(
    kinds.map((kind) =>
      forEachConcurrently(
        channels.filter((channel) => channel.kind === kind),
        PARALLEL_CHANNELS[kind],
        notify,
      ),
    ),
  );
  return counts;
}

/**
 * @param {Channel} channel
 * @param {Notification[]} due
 * @param {Date} at
 * @param {(channel: Channel, sent: Notification[]) => Promise<void>} onSent
 * @returns {Promise<boolean>} false when a notification failed; the next run sends it again
 */
async function notifyOne(channel, due, at, onSent) {
  try {
    await channel.send(due, at, (sent) => onSent(channel, sent));
    return true;
  } catch (error) {
    logFailure("alarm not delivered", { channel: channel.id, error: failureName(error) });
    return false;
  }
}

/**
 * @param {About} about
 * @param {readonly Notification[]} notifications
 * @returns {string}
 */
function subjectOf({ platform, noun }, notifications) {
  const over = notifications.filter(({ endedAt }) => endedAt !== null).length;
  const alarms = notifications.length - over;
  const parts = [
    ...(alarms > 0 ? [`${alarms} ${noun}${alarms === 1 ? "" : "s"}`] : []),
    ...(over > 0 ? [`${over} resolved`] : []),
  ];
  return `${platform}: ${parts.join(", ")}`;
}

/**
 * @param {About} about
 * @param {readonly Notification[]} notifications
 * @param {Date} at
 * @returns {string}
 */
function textOf({ platform, part, report, holds }, notifications, at) {
  const sections = {
    "New:": notifications.filter(({ endedAt, again }) => endedAt === null && !again),
    "Continuing:": notifications.filter(({ endedAt, again }) => endedAt === null && again),
    "Resolved:": notifications.filter(({ endedAt }) => endedAt !== null),
  };
  return [
    `Alarms for the ${part} of ${platform}, checked at ${stamp(at)}.`,
    "",
    ...Object.entries(sections).flatMap(([title, some]) =>
      some.length === 0 ? [] : [title, "", ...some.flatMap((one) => [...linesOf(one), ""])],
    ),
    `${holds}: ${report}`,
    "",
  ].join("\r\n");
}

/**
 * @param {Notification} notification
 * @returns {string[]}
 */
function linesOf({ id, text, since, endedAt }) {
  const until = endedAt === null ? "" : `, until ${stamp(new Date(endedAt))}`;
  return [`- ${text}`, `  (${id}, since ${stamp(new Date(since))}${until})`];
}
