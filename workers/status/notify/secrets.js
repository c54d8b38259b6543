/** Signing secrets of webhook contacts. Each is derived from the Worker's key, so that the database contains none. */

import { base64, hmac, utf8 } from "../../lib/bytes.js";

/** @import { Env } from "../env.js" */

/**
 * @param {string} key
 * @param {string} contact id
 * @param {number} number of the secret, from 0
 * @returns {Promise<Uint8Array>} 32 bytes
 */
function derived(key, contact, number) {
  return hmac(utf8(key), number === 0 ? `webhook:${contact}` : `webhook:${contact}:${number}`);
}

/**
 * @param {Env["WEBHOOK_KEY"]} key
 * @param {string} contact id
 * @param {number} number
 * @returns {Promise<string>} in the format of the Standard Webhooks specification (`whsec_…`)
 */
export async function writtenSecret(key, contact, number) {
  return `whsec_${base64(await derived(key, contact, number))}`;
}

/**
 * During the rotation of a key or a secret, webhooks are also signed with the old one: a receiver accepts any valid
 * signature.
 *
 * @param {Pick<Env, "WEBHOOK_KEY" | "WEBHOOK_KEY_BEFORE">} env
 * @param {string} contact id
 * @param {readonly number[]} numbers of secrets, the newest first
 * @returns {Promise<Uint8Array[]>} those to sign with, the newest first
 */
export function secretsOf(env, contact, numbers) {
  const keys = [env.WEBHOOK_KEY, ...(env.WEBHOOK_KEY_BEFORE === undefined ? [] : [env.WEBHOOK_KEY_BEFORE])];
  return Promise.all(keys.flatMap((key) => numbers.map((number) => derived(key, contact, number))));
}

/** SQL: the number of a contact's secret, and whether the previous secret is still valid at the time `?2`. */
export const SECRET_NUMBERS = (/** @type {string} */ contact) => `
  COALESCE((SELECT number FROM webhook_secrets WHERE contact = ${contact}), 0) AS secret_number,
  EXISTS (SELECT 1 FROM webhook_secrets WHERE contact = ${contact} AND overlap_until > ?2) AS secret_overlaps`;

/**
 * @param {Record<string, any>} row with `SECRET_NUMBERS`
 * @returns {number[]} numbers of the secrets to sign with, the newest first
 */
export function numbersOf({ secret_number: number, secret_overlaps: overlaps }) {
  return overlaps ? [number, number - 1] : [number];
}
