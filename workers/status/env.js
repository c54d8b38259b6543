/** The bindings of the status Worker. */

/** @import { Component, Restore } from "./model.js" */
/** @import { Agreement } from "./uptime.js" */

/**
 * @typedef {object} Env
 * @property {D1Database} DB
 * @property {string} HEALTH_URL of the API's health report
 * @property {string} STATUS_URL of the page itself, `https://…` without a final slash
 * @property {string} CONTACT e-mail address for questions about availability
 * @property {string} PLATFORM display name
 * @property {Component[]} [COMPONENTS] components in addition to those of the health report
 * @property {Agreement} SLA
 * @property {number} NOTICE_HOURS between the announcement of maintenance and its beginning
 * @property {Restore} [LAST_RESTORE] absent if no drill has verified a restore
 * @property {SendEmail} EMAIL
 * @property {string[]} ALARM_EMAILS operators to alert when a run fails or notifications are not delivered
 * @property {string} ALARM_WEBHOOKS secret: JSON list of webhook addresses for the same alarms
 * @property {string} ALARM_SECRET secret: signs these webhooks; `whsec_` and base64, as in Standard Webhooks
 * @property {string} SENDER e-mail address that notifications come from
 * @property {string} WEBHOOK_KEY secret: each contact's signing secret is derived from it
 * @property {string} [WEBHOOK_KEY_BEFORE] secret: the previous key, during a rotation
 * @property {string} OPERATORS secret: JSON, the SHA-256 (hexadecimal) of each operator's token by name
 * @property {RateLimit} ADMIN_LIMIT limits calls of the admin API for each client address
 * @property {string} [CLOCK] only in tests
 */

export {};
