/** Tells the operators that minutes fail. It needs no database: that may be what fails. */

import { failureName, logFailure } from "../lib/log.js";
import { sendMail } from "../lib/mail.js";
import { stamp } from "../lib/times.js";
import { TickError } from "./tick.js";
import { minuteOf } from "./uptime.js";

/** @import { Env } from "./env.js" */

/** Nothing remembers who was told: by the clock, an alarm that lasts is heard within this time, and four times an hour. */
const EVERY_MINUTES = 15;

const PATIENCE_MILLISECONDS = 5_000;

/**
 * @param {Env} env
 * @param {Date} time
 * @param {unknown} error that the minute ended with
 * @returns {Promise<void>} never rejects
 */
export async function alarm(env, time, error) {
  if (minuteOf(time) % EVERY_MINUTES !== 0) return;
  const what = error instanceof TickError ? error.message : failureName(error);
  const text = [
    `The status page could not do all that was due at ${stamp(time)} (${what}).`,
    "Minutes without a sample are unknown, and incidents may go unannounced.",
    `The Worker's log names each part that failed. This is repeated every ${EVERY_MINUTES} minutes while it lasts.`,
  ].join(" ");
  /** @type {string[]} */
  const hooks = JSON.parse(env.ALARM_WEBHOOKS);
  await Promise.all([
    ...env.ALARM_EMAILS.map((address, index) => attempt(() => mail(env, time, text, address, index))),
    ...hooks.map((address) => attempt(() => post(env, time, text, address))),
  ]);
}

/** @param {() => Promise<void>} send */
async function attempt(send) {
  try {
    await send();
  } catch (error) {
    logFailure("alarm not delivered", { error: failureName(error) });
  }
}

/**
 * @param {Env} env
 * @param {Date} time
 * @param {string} text
 * @param {string} address
 * @param {number} index of the address
 */
async function mail(env, time, text, address, index) {
  await sendMail(env.EMAIL, {
    id: `alarm-${minuteOf(time)}-${index}`,
    host: new URL(env.STATUS_URL).hostname,
    date: time,
    from: { name: `${env.PLATFORM} status`, address: env.SENDER },
    to: address,
    subject: `${env.PLATFORM} status page: minutes fail`,
    text: `${text}\r\n\r\n${env.STATUS_URL}\r\n`,
  });
}

/**
 * @param {Env} env
 * @param {Date} time
 * @param {string} text
 * @param {string} address
 */
async function post(env, time, text, address) {
  const response = await fetch(address, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ type: "status.alarm", text, at: time, platform: env.PLATFORM, page: env.STATUS_URL }),
    // Where it leads to was not what the operator entered.
    redirect: "manual",
    signal: AbortSignal.timeout(PATIENCE_MILLISECONDS),
  });
  await response.body?.cancel();
  if (!response.ok) throw new Error("not acknowledged");
}
