/** Tells operators, through channels that do not know of each other: e-mail, one for all that there is to say, and webhooks. */

import { hex, unbase64, utf8 } from "./bytes.js";
import { now } from "./clock.js";
import { inLanes } from "./lanes.js";
import { failureName, logFailure } from "./log.js";
import { sendMail } from "./mail.js";
import { post } from "./post.js";
import { stamp } from "./times.js";

/** @import { Due } from "./alarms.js" */
/** @import { Message } from "./post.js" */

/**
 * @typedef {object} Env
 * @property {SendEmail} EMAIL
 * @property {string} SENDER e-mail address that alarms come from
 * @property {string[]} ALARM_EMAILS
 * @property {string} ALARM_WEBHOOKS secret: JSON, addresses
 * @property {string} ALARM_SECRET secret: what webhooks are signed with, as the Standard Webhooks specification writes it
 * @property {string} [CLOCK] only in tests
 */

/**
 * @typedef {object} About whose alarms they are
 * @property {string} platform
 * @property {string} part of the platform, as addresses name it: `backups`
 * @property {string} noun of one alarm: `backup alarm`
 * @property {string} report address at which more is said
 * @property {string} holds what is said there
 */

/** @typedef {Omit<Due, "channel">} Word */

/**
 * @typedef {object} Channel
 * @property {string} id which the database knows it by: an address may be a secret
 * @property {"email" | "webhook"} kind
 * @property {(words: Word[], at: Date, told: (some: Word[]) => Promise<void>) => Promise<void>} tell
 */

/** By kind: one that hangs must not hold up the other. A Worker opens six connections at once. */
const SIMULTANEOUS = { email: 2, webhook: 3 };

/**
 * @param {Env} env
 * @param {About} about
 * @returns {Promise<{ channels: Channel[], unusable: string[] }>} `unusable`: bindings that name nobody who can be told
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
 * @param {unknown} bound a list, or one in JSON
 * @returns {string[] | null} null for what is no list of texts: that is no reason not to tell the others
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
 * @returns {Promise<Channel>} one message for everything
 */
async function emailTo(env, about, address) {
  const id = await idOf("email", address);
  return {
    id,
    kind: "email",
    async tell(words, at, told) {
      await sendMail(env.EMAIL, {
        id: `${about.part}-${at.getTime()}-${id.slice(-16)}`,
        host: env.SENDER.split("@").at(-1) ?? "",
        date: at,
        from: { name: `${about.platform} ${about.part}`, address: env.SENDER },
        to: address,
        subject: subjectOf(about, words),
        text: textOf(about, words, at),
      });
      await told(words);
    },
  };
}

/**
 * @param {Env} env
 * @param {About} about
 * @param {string} address
 * @returns {Promise<Channel>} one call for each alarm, the next only when the one before was taken
 */
async function webhookTo(env, about, address) {
  return {
    id: await idOf("webhook", address),
    kind: "webhook",
    async tell(words, at, told) {
      for (const word of words) {
        await post(address, await messageOf(env, about, word, at), now(env));
        await told([word]);
      }
    },
  };
}

/**
 * @param {Env} env
 * @param {About} about
 * @param {Word} word
 * @param {Date} at
 * @returns {Promise<Message>}
 */
async function messageOf(env, { platform, part, report }, { id, text, since, endedAt, again }, at) {
  const event = { type: `${part}.alarm`, id, text, since, endedAt, platform, report };
  // Each time that it is said again is a message of its own.
  const said = utf8(JSON.stringify([event, again ? at : null]));
  return {
    id: hex(await crypto.subtle.digest("SHA-256", said)),
    event,
    secrets: [unbase64(env.ALARM_SECRET.replace(/^whsec_/, ""))],
    sender: `backbuild-${part}/1.0 (+${report})`,
  };
}

/**
 * @param {readonly Channel[]} channels
 * @param {(channel: Channel) => Word[]} wordsFor
 * @param {Date} at
 * @param {(channel: Channel, some: Word[]) => Promise<void>} told after each success; what is not recorded is told again
 * @returns {Promise<{ told: number, failed: number }>} channels
 */
export async function tellAll(channels, wordsFor, at, told) {
  const counts = { told: 0, failed: 0 };
  const tell = async (/** @type {Channel} */ channel) => {
    const words = wordsFor(channel);
    if (words.length > 0) counts[(await tellOne(channel, words, at, told)) ? "told" : "failed"] += 1;
  };
  const kinds = /** @type {Channel["kind"][]} */ (Object.keys(SIMULTANEOUS));
  await Promise.all(
    kinds.map((kind) =>
      inLanes(
        channels.filter((channel) => channel.kind === kind),
        SIMULTANEOUS[kind],
        tell,
      ),
    ),
  );
  return counts;
}

/**
 * @param {Channel} channel
 * @param {Word[]} words
 * @param {Date} at
 * @param {(channel: Channel, some: Word[]) => Promise<void>} told
 * @returns {Promise<boolean>} false when something is left for the next look
 */
async function tellOne(channel, words, at, told) {
  try {
    await channel.tell(words, at, (some) => told(channel, some));
    return true;
  } catch (error) {
    logFailure("alarm not delivered", { channel: channel.id, error: failureName(error) });
    return false;
  }
}

/**
 * @param {About} about
 * @param {readonly Word[]} words
 * @returns {string}
 */
function subjectOf({ platform, noun }, words) {
  const over = words.filter(({ endedAt }) => endedAt !== null).length;
  const alarms = words.length - over;
  const parts = [
    ...(alarms > 0 ? [`${alarms} ${noun}${alarms === 1 ? "" : "s"}`] : []),
    ...(over > 0 ? [`${over} over`] : []),
  ];
  return `${platform}: ${parts.join(", ")}`;
}

/**
 * @param {About} about
 * @param {readonly Word[]} words
 * @param {Date} at
 * @returns {string}
 */
function textOf({ platform, part, report, holds }, words, at) {
  const sections = {
    "New:": words.filter(({ endedAt, again }) => endedAt === null && !again),
    "Still so:": words.filter(({ endedAt, again }) => endedAt === null && again),
    "Over:": words.filter(({ endedAt }) => endedAt !== null),
  };
  return [
    `The ${part} of ${platform}, looked at ${stamp(at)}.`,
    "",
    ...Object.entries(sections).flatMap(([title, some]) =>
      some.length === 0 ? [] : [title, "", ...some.flatMap((word) => [...linesOf(word), ""])],
    ),
    `${holds}: ${report}`,
    "",
  ].join("\r\n");
}

/**
 * @param {Word} word
 * @returns {string[]}
 */
function linesOf({ id, text, since, endedAt }) {
  const until = endedAt === null ? "" : `, until ${stamp(new Date(endedAt))}`;
  return [`- ${text}`, `  (${id}, since ${stamp(new Date(since))}${until})`];
}
