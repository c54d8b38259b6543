/** The status Worker: looks at the platform from outside, now and every minute, says what it sees, and tells people. */

import { now } from "../lib/clock.js";
import { json, notFound, route, text } from "../lib/http.js";
import { failureName, logFailure } from "../lib/log.js";
import { withTimeout } from "../lib/timeout.js";
import { admin } from "./admin/index.js";
import { alarm } from "./alarm.js";
import { catalogue } from "./components.js";
import { opened } from "./database.js";
import { atom } from "./formats/atom.js";
import { badge } from "./formats/badge.js";
import { FILES, statuspage } from "./formats/statuspage.js";
import { accountOf } from "./months.js";
import { deliverDue } from "./notify/outbox.js";
import { renderHistory, renderPage } from "./page/index.js";
import { probe } from "./probe.js";
import { live, recorded } from "./snapshot.js";
import { tick } from "./tick.js";
import { MINUTE } from "./uptime.js";

/** @import { Env } from "./env.js" */

/** The cron has the time to ask everybody. */
const CRON_MILLISECONDS = 30_000;

/** A database that hangs must not keep anybody from being told so. */
const TICK_MILLISECONDS = 30_000;

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
 * @param {(nonce: string) => string} render
 * @returns {Response}
 */
function page(render) {
  const nonce = crypto.randomUUID();
  return text(render(nonce), "text/html", {
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
 * @param {ExecutionContext} context
 * @param {string} file below `/api/v2/`
 * @returns {Promise<Response>}
 */
async function program(env, context, file) {
  if (!Object.hasOwn(FILES, file)) return notFound();
  const snapshot = await (FILES[file]?.live ? live(env, context) : recorded(env));
  return json(statuspage(snapshot)[file]?.(), 200, FOR_ALL);
}

/**
 * Only what shows the live check waits for one.
 *
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {string} path
 * @returns {Record<string, () => Promise<Response>>} what is read at which path
 */
function pages(env, context, path) {
  const month = MONTH.exec(path)?.[1];
  return {
    "/": async () => {
      const snapshot = await live(env, context);
      return page((nonce) => renderPage(snapshot, nonce));
    },
    "/history": async () => {
      const snapshot = await recorded(env);
      return page((nonce) => renderHistory(snapshot, nonce));
    },
    "/feed.atom": async () => text(atom(await recorded(env)), "application/atom+xml", FOR_ALL),
    "/badge.svg": async () => text(badge(await live(env, context)), "image/svg+xml", FOR_ALL),
    ...(path.startsWith(PROGRAMS) ? { [path]: () => program(env, context, path.slice(PROGRAMS.length)) } : {}),
    ...(month === undefined ? {} : { [path]: () => account(env, month) }),
  };
}

/** @satisfies {ExportedHandler<Env>} */
export default {
  fetch(request, env, context) {
    const { pathname } = new URL(request.url);
    return pathname.startsWith("/admin/") ? admin(request, env) : route(request, pages(env, context, pathname));
  },

  /**
   * What is owed is delivered even when this minute fails in part, which is heard: by the operators, in the log, and as
   * the outcome of the call.
   */
  async scheduled(controller, env) {
    const components = catalogue(env.COMPONENTS);
    // The minute in which the look began: one that takes long is not the next minute's.
    const time = now(env);
    const seen = await probe(env.HEALTH_URL, components, CRON_MILLISECONDS);
    try {
      if (!isPlausible(time, controller.scheduledTime)) throw new Error("the clock is wrong");
      const minute = (async () => tick(await opened(env.DB), components, seen, time))();
      await withTimeout(minute, TICK_MILLISECONDS);
    } catch (error) {
      logFailure("minute failed", { error: failureName(error) });
      await alarm(env, time, error);
      throw error;
    } finally {
      await deliverDue(env, await opened(env.DB));
    }
  },
};
