/** The report Worker: the report on all backups, with a token; and the health of backups, for the API. */

import { digestOf, holderOf } from "../../lib/bearer.js";
import { now } from "../../lib/clock.js";
import { json, route } from "../../lib/http.js";
import { failureName, logFailure } from "../../lib/log.js";
import { withTimeout } from "../../lib/timeout.js";
import { openDatabase } from "../database.js";
import { healthOf } from "./health.js";
import { readRows, reportOf } from "./report.js";

/** @import { Rotation } from "../rotation.js" */
/** @import { CopyBinding } from "../stores/stores.js" */

/**
 * @typedef {object} Env
 * @property {D1Database} DB
 * @property {string[]} GROUPS names of the groups that are backed up
 * @property {CopyBinding[]} COPIES
 * @property {Rotation} ROTATION
 * @property {string} TOKEN_SHA256 secret: SHA-256 of the report's token, in hexadecimal
 * @property {string} [CLOCK] only in tests
 */

/** Timeout. The report on a full catalogue takes a second or two. */
const REPORT_MILLISECONDS = 10_000;

/** Timeout. It is short, because the API must answer its own caller within two seconds. */
const HEALTH_MILLISECONDS = 1_000;

/**
 * @param {Request} request
 * @param {Env} env
 * @returns {Promise<Response>}
 */
async function report(request, env) {
  const reader = await holderOf(request, new Map([["reader", digestOf(env.TOKEN_SHA256, "TOKEN_SHA256")]]));
  if (reader === undefined) {
    const error = "a valid bearer token is required: the stack's output backupsToken";
    return json({ error }, 401, { "www-authenticate": "Bearer" });
  }
  const time = now(env);
  const rows = await inTime("report", async () => readRows(await openDatabase(env.DB), time), REPORT_MILLISECONDS);
  if (rows === null) return json({ error: "the catalogue does not answer; try again" }, 503);
  return json(reportOf(rows, env, time));
}

/**
 * @param {Env} env
 * @returns {Promise<Response>} one word, without authentication
 */
async function health(env) {
  const read = async () => healthOf(await openDatabase(env.DB), now(env));
  return json({ status: (await inTime("health", read, HEALTH_MILLISECONDS)) ?? "unknown" });
}

/**
 * @template T
 * @param {string} what name of the request, for the log
 * @param {() => Promise<T>} read
 * @param {number} milliseconds
 * @returns {Promise<T | null>} null when the database fails or takes longer than the timeout
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
