/** The operators' API of the status page, below `/admin/`. Requests and responses are JSON. */

import { now } from "../../lib/clock.js";
import { json, notFound } from "../../lib/http.js";
import { failureName, logFailure } from "../../lib/log.js";
import { catalogue } from "../components.js";
import { openDatabase } from "../database.js";
import { listAudit } from "./audit.js";
import { authenticated } from "./authentication.js";
import { keyOf, readJson } from "./body.js";
import { addContact, listContacts, removeContact, rotateSecret, testContact } from "./contacts.js";
import { amendText, listUpdates, redactText } from "./corrections.js";
import { listDeliveries, retryDelivery } from "./deliveries.js";
import { HttpError } from "./http-error.js";
import { declareIncident, listIncidents, postIncidentUpdate } from "./incidents.js";
import { announceMaintenance, listMaintenances, postMaintenanceUpdate } from "./maintenances.js";

/** @import { Env } from "../env.js" */
/** @import { Call } from "./actions.js" */

/**
 * @typedef {object} AdminRequest
 * @property {Env} env
 * @property {D1Database} db
 * @property {string} id in the path; empty if there is none
 * @property {URLSearchParams} query
 * @property {string[]} components ids of all components
 * @property {() => Call} call
 * @property {() => Promise<unknown>} body JSON
 */

/** @typedef {(request: AdminRequest) => Promise<Response>} Handler */

/** @type {{ path: RegExp, methods: Record<string, Handler> }[]} */
const ROUTES = [
  {
    path: /^\/admin\/incidents$/,
    methods: {
      GET: ({ db }) => listIncidents(db),
      POST: async ({ call, body, components }) => declareIncident(call(), await body(), components),
    },
  },
  {
    path: /^\/admin\/incidents\/([\w-]+)\/updates$/,
    methods: {
      GET: ({ db, id }) => listUpdates(db, "incidents", id),
      POST: async ({ call, id, body, components }) => postIncidentUpdate(call(), id, await body(), components),
    },
  },
  {
    path: /^\/admin\/maintenances$/,
    methods: {
      GET: ({ db }) => listMaintenances(db),
      POST: async ({ call, body, components, env }) =>
        announceMaintenance(call(), await body(), components, env.NOTICE_HOURS),
    },
  },
  {
    path: /^\/admin\/maintenances\/([\w-]+)\/updates$/,
    methods: {
      GET: ({ db, id }) => listUpdates(db, "maintenances", id),
      POST: async ({ call, id, body }) => postMaintenanceUpdate(call(), id, await body()),
    },
  },
  { path: /^\/admin\/amendments$/, methods: { POST: async ({ call, body }) => amendText(call(), await body()) } },
  { path: /^\/admin\/redactions$/, methods: { POST: async ({ call, body }) => redactText(call(), await body()) } },
  {
    path: /^\/admin\/contacts$/,
    methods: {
      GET: ({ db }) => listContacts(db),
      POST: async ({ call, body, components, env }) => addContact(call(), await body(), components, env),
    },
  },
  {
    path: /^\/admin\/contacts\/([\w-]+)$/,
    methods: { DELETE: ({ call, id }) => removeContact(call(), id) },
  },
  {
    path: /^\/admin\/contacts\/([\w-]+)\/test$/,
    methods: { POST: ({ call, id, env }) => testContact(call(), id, env) },
  },
  {
    path: /^\/admin\/contacts\/([\w-]+)\/secret$/,
    methods: { POST: async ({ call, id, body, env }) => rotateSecret(call(), id, await body(), env) },
  },
  { path: /^\/admin\/deliveries$/, methods: { GET: ({ db, query }) => listDeliveries(db, query) } },
  {
    path: /^\/admin\/deliveries\/retry$/,
    methods: { POST: async ({ call, body }) => retryDelivery(call(), await body()) },
  },
  { path: /^\/admin\/audit$/, methods: { GET: ({ db, query }) => listAudit(db, query) } },
];

/**
 * @param {Request} request
 * @param {Env} env
 * @returns {Promise<Response>}
 */
export async function admin(request, env) {
  try {
    return await answer(request, env);
  } catch (error) {
    if (error instanceof HttpError) return error.response();
    logFailure("operator call failed", { error: failureName(error) });
    return json({ error: "internal error" }, 500);
  }
}

/**
 * Authenticates before routing, so that only operators can find out which paths exist.
 *
 * @param {Request} request
 * @param {Env} env
 * @returns {Promise<Response>}
 */
async function answer(request, env) {
  const operator = await authenticated(request, env);
  const { pathname, searchParams } = new URL(request.url);
  const route = ROUTES.find(({ path }) => path.test(pathname));
  if (route === undefined) return notFound();
  const handler = Object.hasOwn(route.methods, request.method) ? route.methods[request.method] : undefined;
  if (handler === undefined) {
    throw new HttpError(405, "method not allowed", {}, { allow: Object.keys(route.methods).join(", ") });
  }
  const db = await openDatabase(env.DB);
  return handler({
    env,
    db,
    id: route.path.exec(pathname)?.[1] ?? "",
    query: searchParams,
    components: catalogue(env.COMPONENTS).map(({ id }) => id),
    call: () => ({ db, operator, key: keyOf(request), time: now(env) }),
    body: () => readJson(request),
  });
}
