/** The link in a notification. Pure. */

/** @import { Env } from "../env.js" */
/** @import { Notice } from "./outbox.js" */

/**
 * @param {Pick<Env, "STATUS_URL">} env
 * @param {Pick<Notice, "type" | "subject">} notice
 * @returns {string} permanent URL of the incident or maintenance; for a test message, of the front page
 */
export function addressOf({ STATUS_URL: origin }, { type, subject }) {
  if (subject === null) return `${origin}/`;
  return `${origin}/${type.startsWith("incident.") ? "incidents" : "maintenance"}/${subject}`;
}
