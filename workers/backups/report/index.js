/** Says what is backed up, where, and until when: to whoever has the token. Whether all is well, to the API. */

import { digestOf, holderOf } from "../../lib/bearer.js";
import { now } from "../../lib/clock.js";
import { json, route } from "../../lib/http.js";
import { failureName, logFailure } from "../../lib/log.js";
import { withTimeout } from "../../lib/timeout.js";
import { opened } from "../database.js";
import { healthOf } from "./health.js";
import { readRows, reportOf } from "./report.js";

/** @import { Rotation } from "../rotation.js" */
/** @import { CopyBinding } from "../stores.js" */

/**
 * @typedef {object} Env
 * @property {D1Database} DB
 * @property {string[]} GROUPS names of those that are backed up
 * @property {CopyBinding[]} COPIES
 * @property {Rotation} ROTATION
 * @property {string} TOKEN_SHA256 secret: of the token that the report is read with, in hexadecimal
 * @property {string} [CLOCK] only in tests
 */

/** A full catalogue takes a second or two; whoever asks waits no longer than this. */
const REPORT_MILLISECONDS = 10_000;

/** The API, which asks, has promised its own answer for two seconds later. */
const HEALTH_MILLISECONDS = 1_000;

/**
 * @param {Request} request
 * @param {Env} env
 * @returns {Promise<Response>}
 */
async function report(request, env) {
  const reader = await holderOf(request, new Map([["reader", digestOf(env.TOKEN_SHA256, "TOKEN_SHA256")]]));
  if (reader === undefined) {
    const error = "the report's token is needed: the stack's output backupsToken";
    return json({ error }, 401, { "www-authenticate": "Bearer" });
  }
  const time = now(env);
  const rows = await inTime("report", async () => readRows(await opened(env.DB), time), REPORT_MILLISECONDS);
  if (rows === null) return json({ error: "the catalogue does not answer; try again" }, 503);
  return json(reportOf(rows, env, time));
}

/**
 * @param {Env} env
 * @returns {Promise<Response>} one word: anybody may ask
 */
async function health(env) {
  const read = async () => healthOf(await opened(env.DB), now(env));
  return json({ status: (await inTime("health", read, HEALTH_MILLISECONDS)) ?? "unknown" });
}

/**
 * @template T
 * @param {string} what
 * @param {() => Promise<T>} read
 * @param {number} milliseconds
 * @returns {Promise<T | null>} null when the database fails or takes longer
 */
async function inTime(what, read, milliseconds) {
  try {
    return await withTimeout(read(), milliseconds);
  } catch (error) {
    logFailure("catalogue not read", { what, error: failureName(error) });
    return null;
  }
}

/** @satisfies {ExportedHandler<Env>} */
export default {
  fetch: (request, env) => route(request, { "/report.json": () => report(request, env), "/health": () => health(env) }),
};
