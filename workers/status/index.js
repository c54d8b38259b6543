/** The status page, a Cloudflare Worker: probes the platform every minute, shows its state and sends notifications. */

import { hex, utf8 } from "../lib/bytes.js";
import { now } from "../lib/clock.js";
import { json, notFound, route, text } from "../lib/http.js";
import { failureName, logFailure } from "../lib/log.js";
import { withTimeout } from "../lib/timeout.js";
import { admin } from "./admin/index.js";
import { alarm } from "./alarm.js";
import { catalogue } from "./components.js";
import { openDatabase } from "./database.js";
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

/** Timeout of all probes in a scheduled run. */
const CRON_MILLISECONDS = 30_000;

/** If the database hangs, the run must still end with an alarm. */
const TICK_MILLISECONDS = 30_000;

/** Timeout of the database for `/sla/MONTH.json`. */
const ACCOUNT_MILLISECONDS = 10_000;

const MAX_DELAY_MINUTES = 10;

const MONTH = /^\/sla\/(\d{4}-(?:0[1-9]|1[0-2]))\.json$/;

const SUBJECT = /^\/(incidents|maintenance)\/([\w-]{1,200})$/;

const SECURITY_TEXT_DAYS = 180;

const ROBOTS = "User-agent: *\nDisallow: /admin/\n";

const API_PREFIX = "/api/v2/";

/** Scripts of other origins may read public data. */
const PUBLIC_CORS = { "access-control-allow-origin": "*" };

/**
 * Whether the clock agrees with the schedule. A sample under a wrong date could not be removed. Cron calls may be late,
 * but are never early.
 *
 * @param {Date} time
 * @param {number} scheduled milliseconds
 * @returns {boolean}
 */
function isPlausible(time, scheduled) {
  const late = time.getTime() - scheduled;
  return late > -MINUTE && late < MAX_DELAY_MINUTES * MINUTE;
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
 * The page of one incident or maintenance. Links in e-mails and feeds point to it permanently.
 *
 * @param {Env} env
 * @param {"incidents" | "maintenances"} table
 * @param {string} id
 * @returns {Promise<Response>}
 */
async function subject(env, table, id) {
  const found = await openDatabase(env.DB)
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
 * @returns {Promise<Response>} 304 if the reader's copy is current
 */
async function feed(request, env) {
  const snapshot = await recorded(env);
  const body = atom(snapshot);
  const changed = feedChangedAt(snapshot);
  // A feed without history must not replace the reader's copy, so it has no validators.
  if (changed === null) return text(body, "application/atom+xml", PUBLIC_CORS);
  const etag = `"${hex(await crypto.subtle.digest("SHA-256", utf8(body))).slice(0, 32)}"`;
  const headers = { ...PUBLIC_CORS, etag, "last-modified": changed.toUTCString() };
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
 * @returns {string} security.txt (RFC 9116): the contact for vulnerability reports; `Expires` is mandatory
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
  const counted = (async () => accountOf(await openDatabase(env.DB), month, now(env), env.SLA))();
  const found = await withTimeout(counted, ACCOUNT_MILLISECONDS);
  return found === null ? notFound() : json(found, 200, PUBLIC_CORS);
}

/**
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {string} file below `/api/v2/`
 * @returns {Promise<Response>}
 */
async function statuspageFile(env, context, file) {
  if (!Object.hasOwn(FILES, file)) return notFound();
  const snapshot = await (FILES[file]?.live ? live(env, context) : recorded(env));
  const headers = {
    ...PUBLIC_CORS,
    "access-control-expose-headers": "x-history-available",
    "x-history-available": String(snapshot.history !== null),
  };
  return json(statuspage(snapshot)[file]?.(), 200, headers);
}

/**
 * Only pages that show the live check wait for one.
 *
 * @param {Request} request
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {string} path
 * @returns {Record<string, () => Promise<Response>>} path to handler
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
    "/badge.svg": async () => text(badge(await live(env, context)), "image/svg+xml", PUBLIC_CORS),
    "/restore.json": async () => json({ lastVerifiedRestore: env.LAST_RESTORE ?? null }, 200, PUBLIC_CORS),
    "/robots.txt": async () => text(ROBOTS, "text/plain", {}),
    "/.well-known/security.txt": async () => text(securityText(env), "text/plain", {}),
    ...(path.startsWith(API_PREFIX)
      ? { [path]: () => statuspageFile(env, context, path.slice(API_PREFIX.length)) }
      : {}),
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
  if (
    plain !== pathname &&
    !plain.startsWith(API_PREFIX) &&
    Object.hasOwn(pages(request, env, context, plain), plain)
  ) {
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
   * Records this minute, then delivers due notifications, even if recording failed. A failure is logged, alerts the
   * operators and makes the call fail.
   */
  async scheduled(controller, env) {
    const components = catalogue(env.COMPONENTS);
    // A sample belongs to the minute in which its probe began.
    const time = now(env);
    const seen = await probe(env.HEALTH_URL, components, CRON_MILLISECONDS);
    try {
      if (!isPlausible(time, controller.scheduledTime)) throw new Error("the clock differs from the scheduled time");
      const minute = (async () => tick(await openDatabase(env.DB), components, seen, time))();
      await withTimeout(minute, TICK_MILLISECONDS);
    } catch (error) {
      logFailure("minute failed", { error: failureName(error) });
      await alarm(env, time, error);
      throw error;
    } finally {
      const db = await openDatabase(env.DB);
      await deliverDue(env, db);
      try {
        await watchDeliveries(env, db, new Date(controller.scheduledTime));
      } catch (error) {
        logFailure("deliveries not watched", { error: failureName(error) });
      }
    }
  },
};
