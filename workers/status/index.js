/** The status Worker: looks at the platform from outside, now and every minute, says what it sees, and tells people. */

import { hex, utf8 } from "../lib/bytes.js";
import { now } from "../lib/clock.js";
import { json, notFound, route, text } from "../lib/http.js";
import { failureName, logFailure } from "../lib/log.js";
import { withTimeout } from "../lib/timeout.js";
import { admin } from "./admin/index.js";
import { alarm } from "./alarm.js";
import { catalogue } from "./components.js";
import { opened } from "./database.js";
import { atom, feedChangedAt } from "./formats/atom.js";
import { badge } from "./formats/badge.js";
import { FILES, statuspage } from "./formats/statuspage.js";
import { readSubject } from "./history.js";
import { accountOf } from "./months.js";
import { deliverDue } from "./notify/outbox.js";
import { watchDeliveries } from "./notify/watch.js";
import { renderHistory, renderNotFound, renderPage, renderSubject } from "./page/index.js";
import { probe } from "./probe.js";
import { live, recorded } from "./snapshot.js";
import { tick } from "./tick.js";
import { MINUTE } from "./uptime.js";

/** @import { Env } from "./env.js" */
/** @import { Snapshot } from "./model.js" */

/** The cron has the time to ask everybody. */
const CRON_MILLISECONDS = 30_000;

/** A database that hangs must not keep anybody from being told so. */
const TICK_MILLISECONDS = 30_000;

/** An answer that takes longer is none. */
const ANSWER_MILLISECONDS = 10_000;

const LATEST_MINUTES = 10;

const MONTH = /^\/sla\/(\d{4}-(?:0[1-9]|1[0-2]))\.json$/;

const SUBJECT = /^\/(incidents|maintenance)\/([\w-]{1,200})$/;

const SECURITY_TEXT_DAYS = 180;

const ROBOTS = "User-agent: *\nDisallow: /admin/\n";

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
 * @param {number} [status]
 * @returns {Response}
 */
function html(render, status = 200) {
  const nonce = crypto.randomUUID();
  const headers = {
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
  };
  return text(render(nonce), "text/html", headers, status);
}

/**
 * A page of its own for each incident and maintenance: links in e-mails and feeds lead there, however old it is.
 *
 * @param {Env} env
 * @param {"incidents" | "maintenances"} table
 * @param {string} id
 * @returns {Promise<Response>}
 */
async function subject(env, table, id) {
  const found = await opened(env.DB)
    .then((db) => readSubject(db, table, id))
    .catch((error) => {
      logFailure("history unavailable", { error: failureName(error) });
      return undefined;
    });
  if (found === null) return notFound();
  const snapshot = { ...about(env), components: catalogue(env.COMPONENTS) };
  return html((nonce) => renderSubject(snapshot, nonce, found ?? {}), found === undefined ? 503 : 200);
}

/**
 * @param {Env} env
 * @returns {Pick<Snapshot, "platform" | "contact" | "origin" | "time">}
 */
function about(env) {
  return { platform: env.PLATFORM, contact: env.CONTACT, origin: env.STATUS_URL, time: now(env) };
}

/**
 * @param {Request} request
 * @param {Env} env
 * @returns {Promise<Response>} 304 when the reader has it; shared caches keep nothing, but feed readers do
 */
async function feed(request, env) {
  const snapshot = await recorded(env);
  const body = atom(snapshot);
  const changed = feedChangedAt(snapshot);
  // Without its history, a feed says nothing that a reader should keep.
  if (changed === null) return text(body, "application/atom+xml", FOR_ALL);
  const etag = `"${hex(await crypto.subtle.digest("SHA-256", utf8(body))).slice(0, 32)}"`;
  const headers = { ...FOR_ALL, etag, "last-modified": changed.toUTCString() };
  const known = request.headers.get("if-none-match");
  const since = Date.parse(request.headers.get("if-modified-since") ?? "");
  const unchanged =
    known === null
      ? since >= Math.floor(changed.getTime() / 1_000) * 1_000
      : known.split(",").some((one) => one.trim() === "*" || one.trim().replace(/^W\//, "") === etag);
  return unchanged ? text(null, "application/atom+xml", headers, 304) : text(body, "application/atom+xml", headers);
}

/**
 * @param {Env} env
 * @returns {string} RFC 9116: whom to tell of a weakness; it has to name an end
 */
function securityText(env) {
  const expires = new Date(now(env).getTime() + SECURITY_TEXT_DAYS * 24 * 60 * MINUTE);
  const lines = [
    `Contact: mailto:${env.CONTACT}`,
    `Expires: ${expires.toISOString()}`,
    "Preferred-Languages: en",
    `Canonical: ${env.STATUS_URL}/.well-known/security.txt`,
  ];
  return `${lines.join("\n")}\n`;
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
  const headers = {
    ...FOR_ALL,
    "access-control-expose-headers": "x-history-available",
    "x-history-available": String(snapshot.history !== null),
  };
  return json(statuspage(snapshot)[file]?.(), 200, headers);
}

/**
 * Only what shows the live check waits for one.
 *
 * @param {Request} request
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {string} path
 * @returns {Record<string, () => Promise<Response>>} what is read at which path
 */
function pages(request, env, context, path) {
  const month = MONTH.exec(path)?.[1];
  const [, kind, id] = SUBJECT.exec(path) ?? [];
  const table = kind === "incidents" ? "incidents" : "maintenances";
  return {
    "/": async () => {
      const snapshot = await live(env, context);
      return html((nonce) => renderPage(snapshot, nonce));
    },
    "/history": async () => {
      const snapshot = await recorded(env);
      return html((nonce) => renderHistory(snapshot, nonce));
    },
    "/feed.atom": () => feed(request, env),
    "/badge.svg": async () => text(badge(await live(env, context)), "image/svg+xml", FOR_ALL),
    "/robots.txt": async () => text(ROBOTS, "text/plain", {}),
    "/.well-known/security.txt": async () => text(securityText(env), "text/plain", {}),
    ...(path.startsWith(PROGRAMS) ? { [path]: () => program(env, context, path.slice(PROGRAMS.length)) } : {}),
    ...(month === undefined ? {} : { [path]: () => account(env, month) }),
    ...(id === undefined ? {} : { [path]: () => subject(env, table, id) }),
  };
}

/**
 * @param {Request} request
 * @param {Env} env
 * @param {ExecutionContext} context
 * @returns {Promise<Response>}
 */
async function publicPage(request, env, context) {
  const { pathname, search } = new URL(request.url);
  const response = await route(request, pages(request, env, context, pathname));
  if (response.status !== 404) return response;
  const plain = pathname.replace(/\/+$/, "");
  if (plain !== pathname && !plain.startsWith(PROGRAMS) && Object.hasOwn(pages(request, env, context, plain), plain)) {
    return text(null, "text/plain", { location: `${plain}${search}` }, 308);
  }
  if (request.method !== "GET" || !/\btext\/html\b/i.test(request.headers.get("accept") ?? "")) return response;
  return html((nonce) => renderNotFound(about(env), nonce), 404);
}

/** @satisfies {ExportedHandler<Env>} */
export default {
  fetch(request, env, context) {
    const { pathname } = new URL(request.url);
    return pathname.startsWith("/admin/") ? admin(request, env) : publicPage(request, env, context);
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
      const db = await opened(env.DB);
      await deliverDue(env, db);
      try {
        await watchDeliveries(env, db, new Date(controller.scheduledTime));
      } catch (error) {
        logFailure("deliveries not watched", { error: failureName(error) });
      }
    }
  },
};
