/** The status Worker: looks at the platform from outside, now and every minute, says what it sees, and tells people. */

import { now } from "../lib/clock.js";
import { json, notFound, route, text } from "../lib/http.js";
import { failureName, logFailure } from "../lib/log.js";
import { withTimeout } from "../lib/timeout.js";
import { admin } from "./admin/index.js";
import { catalogue } from "./components.js";
import { opened } from "./database.js";
import { atom } from "./formats/atom.js";
import { badge } from "./formats/badge.js";
import { statuspage } from "./formats/statuspage.js";
import { readHistory } from "./history.js";
import { accountOf } from "./months.js";
import { deliverDue } from "./notify/outbox.js";
import { renderHistory, renderPage } from "./page/index.js";
import { probe } from "./probe.js";
import { tick } from "./tick.js";
import { MINUTE } from "./uptime.js";

/** @import { Env } from "./env.js" */
/** @import { Snapshot } from "./model.js" */

/** A reader waits no longer for the live look; the cron has the time to ask everybody. */
const VIEW_MILLISECONDS = 5_000;
const CRON_MILLISECONDS = 30_000;

/** An answer that takes longer is none. */
const ANSWER_MILLISECONDS = 10_000;

const LATEST_MINUTES = 10;

const MONTH = /^\/sla\/(\d{4}-(?:0[1-9]|1[0-2]))\.json$/;

const PROGRAMS = "/api/v2/";

/** Programs of other origins may read what everybody may read. */
const FOR_ALL = { "access-control-allow-origin": "*" };

/**
 * A minute under a wrong date would stay there. Cron calls are late at times, and never early.
 *
 * @param {Date} time
 * @param {number} scheduled milliseconds
 * @returns {boolean}
 */
function isPlausible(time, scheduled) {
  const late = time.getTime() - scheduled;
  return late > -MINUTE && late < LATEST_MINUTES * MINUTE;
}

/**
 * @param {Env} env
 * @returns {Promise<Snapshot>}
 */
async function look(env) {
  const time = now(env);
  const components = catalogue(env.COMPONENTS);
  const [seen, history] = await Promise.all([
    probe(env.HEALTH_URL, components, VIEW_MILLISECONDS),
    readHistory(env.DB, time, env.SLA),
  ]);
  return {
    platform: env.PLATFORM,
    contact: env.CONTACT,
    origin: env.STATUS_URL,
    time,
    components,
    probe: seen,
    history,
  };
}

/**
 * @param {Env} env
 * @param {(snapshot: Snapshot, nonce: string) => string} render
 * @returns {Promise<Response>}
 */
async function page(env, render) {
  const nonce = crypto.randomUUID();
  return text(render(await look(env), nonce), "text/html", {
    "content-security-policy": [
      "default-src 'none'",
      `script-src 'nonce-${nonce}'`,
      `style-src 'nonce-${nonce}'`,
      "connect-src 'self'",
      "img-src data:",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join("; "),
  });
}

/**
 * @param {Env} env
 * @param {string} month
 * @returns {Promise<Response>}
 */
async function account(env, month) {
  const counted = (async () => accountOf(await opened(env.DB), month, now(env), env.SLA))();
  const found = await withTimeout(counted, ANSWER_MILLISECONDS);
  return found === null ? notFound() : json(found, 200, FOR_ALL);
}

/**
 * @param {Env} env
 * @param {string} file below `/api/v2/`
 * @returns {Promise<Response>}
 */
async function program(env, file) {
  const bodies = statuspage(await look(env));
  const body = Object.hasOwn(bodies, file) ? bodies[file] : undefined;
  return body === undefined ? notFound() : json(body(), 200, FOR_ALL);
}

/**
 * @param {Env} env
 * @param {string} path
 * @returns {Record<string, () => Promise<Response>>} what is read at which path
 */
function pages(env, path) {
  const month = MONTH.exec(path)?.[1];
  return {
    "/": () => page(env, renderPage),
    "/history": () => page(env, renderHistory),
    "/feed.atom": async () => text(atom(await look(env)), "application/atom+xml", FOR_ALL),
    "/badge.svg": async () => text(badge(await look(env)), "image/svg+xml", FOR_ALL),
    ...(path.startsWith(PROGRAMS) ? { [path]: () => program(env, path.slice(PROGRAMS.length)) } : {}),
    ...(month === undefined ? {} : { [path]: () => account(env, month) }),
  };
}

/** @satisfies {ExportedHandler<Env>} */
export default {
  fetch(request, env) {
    const { pathname } = new URL(request.url);
    return pathname.startsWith("/admin/") ? admin(request, env) : route(request, pages(env, pathname));
  },

  /** What was owed before is delivered even when this minute cannot be recorded. */
  async scheduled(controller, env) {
    const components = catalogue(env.COMPONENTS);
    // The minute in which the look began: one that takes long is not the next minute's.
    const time = now(env);
    const seen = await probe(env.HEALTH_URL, components, CRON_MILLISECONDS);
    const db = await opened(env.DB);
    try {
      if (!isPlausible(time, controller.scheduledTime)) throw new Error("the clock is wrong");
      await tick(db, components, seen, time);
    } catch (error) {
      logFailure("minute not recorded", { error: failureName(error) });
    }
    await deliverDue(env, db);
  },
};
