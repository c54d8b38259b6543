/** Where a notice leads to. Pure. */

/** @import { Env } from "../env.js" */
/** @import { Notice } from "./outbox.js" */

/**
 * @param {Pick<Env, "STATUS_URL">} env
 * @param {Pick<Notice, "type" | "subject">} notice
 * @returns {string} the page of what it is about, which stays; a test leads to the front page
 */
export function addressOf({ STATUS_URL: origin }, { type, subject }) {
  if (subject === null) return `${origin}/`;
  return `${origin}/${type.startsWith("incident.") ? "incidents" : "maintenance"}/${subject}`;
}
