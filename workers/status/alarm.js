/** Alerts operators when the every-minute run fails. It works without the database, whose failure may be the cause. */

import { failureName, logFailure } from "../lib/log.js";
import { sendMail } from "../lib/mail.js";
import { stamp } from "../lib/times.js";
import { TickError } from "./tick.js";
import { minuteOf } from "./uptime.js";

/** @import { Env } from "./env.js" */

/** Without a database sent alarms cannot be recorded, so an alarm is sent at each full quarter of an hour. */
const EVERY_MINUTES = 15;

const TIMEOUT_MILLISECONDS = 5_000;

/**
 * @param {Env} env
 * @param {Date} time
 * @param {unknown} error with which the run failed
 * @returns {Promise<void>} never rejects
 */
export async function alarm(env, time, error) {
  if (minuteOf(time) % EVERY_MINUTES !== 0) return;
  const reason = error instanceof TickError ? error.message : failureName(error);
  const text = [
    `The status page's run at ${stamp(time)} did not complete (${reason}).`,
    "Minutes without a sample count as unknown, and incidents may not be announced.",
    `The log of the status Worker names each part that failed. This alarm is repeated every ${EVERY_MINUTES} minutes until the runs succeed.`,
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
    subject: `${env.PLATFORM} status page: recording fails`,
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
    // Redirects are not followed: their target is not the address that the operator entered.
    redirect: "manual",
    signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS),
  });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
}
