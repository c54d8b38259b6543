/** Sends an update to a contact by a webhook. */

import { now } from "../../lib/clock.js";
import { post } from "../../lib/post.js";
import { addressOf } from "./notice.js";
import { secretsOf } from "./secrets.js";

/** @import { Env } from "../env.js" */
/** @import { Delivery } from "./outbox.js" */

/**
 * @param {Env} env
 * @param {Delivery} delivery
 * @throws {Error} if the receiver does not answer 2xx before the timeout
 */
export async function sendWebhook(env, { id, contact, address, notice, secrets }) {
  const event = {
    type: notice.type,
    timestamp: notice.at.toISOString(),
    data: { ...notice, url: addressOf(env, notice) },
  };
  const sender = `backbuild-status/1.0 (+${env.STATUS_URL})`;
  await post(address, { id, event, secrets: await secretsOf(env, contact, secrets), sender }, now(env));
}
