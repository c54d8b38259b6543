/** What the status Worker is bound to. */

/** @import { Component } from "./model.js" */
/** @import { Agreement } from "./uptime.js" */

/**
 * @typedef {object} Env
 * @property {D1Database} DB
 * @property {string} HEALTH_URL of the API's health report
 * @property {string} STATUS_URL of the page itself, `https://…` without a final slash
 * @property {string} CONTACT e-mail address for questions about availability
 * @property {string} PLATFORM display name
 * @property {Component[]} [COMPONENTS] added to those that the health report tells of
 * @property {Agreement} SLA
 * @property {number} NOTICE_HOURS between the announcement of maintenance and its beginning
 * @property {SendEmail} EMAIL
 * @property {string[]} ALARM_EMAILS operators who are told when minutes fail or notifications do not arrive
 * @property {string} ALARM_WEBHOOKS secret: JSON, addresses of such operators
 * @property {string} ALARM_SECRET secret: what those are signed with, as the Standard Webhooks specification writes it
 * @property {string} SENDER e-mail address that notifications come from
 * @property {string} WEBHOOK_KEY secret: what each contact's own signing secret is derived from
 * @property {string} [WEBHOOK_KEY_BEFORE] secret: what they were derived from before, while it is being changed
 * @property {string} OPERATORS secret: JSON, the SHA-256 (hexadecimal) of each operator's token by name
 * @property {RateLimit} ADMIN_LIMIT calls of the admin API, by address
 * @property {string} [CLOCK] only in tests
 */

export {};
