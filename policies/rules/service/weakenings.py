"""Weakenings of the API at the edge and of the status page."""

from __future__ import annotations

from policies.graph import Graph, Resource
from policies.mutation.bindings import bind, in_folder, rebind, rebound, redocument, silenced, unbind
from policies.mutation.operators import assigned, drop, each, named, put, relink, revised
from policies.mutation.weakening import Weakenings
from policies.rules.service.rules import HEALTH_CHECK
from policies.views.edge import CRON, D1, DEPLOYMENT, DOMAIN, ROUTE, VERSION, ZONE

STATUS = named("status")


def other_zone(graph: Graph, domain: Resource) -> Resource | None:
    """Return the DNS zone that a domain is not in."""
    own = graph.target(domain, "zoneId", ZONE)
    return next((one for one in graph.of(ZONE) if one is not own), None)


def backups_database(graph: Graph, worker: Resource) -> Resource | None:
    """Return the status page's Worker, bound to the database of the backup Workers."""
    other = next(one for one in graph.of(D1) if one.name == "backups")
    changed = assigned(worker, "bindings", rebound("DB", id=other.properties.get("id")))
    needs = {**worker.property_dependencies, "bindings": (other.urn,)}
    return None if changed is None else revised(changed, property_dependencies=needs)


WEAKENINGS: Weakenings = {
    "edge-answers-everywhere": {
        "the API has no domain": drop(DOMAIN, named("api")),
        "the API has no route": drop(ROUTE),
        "the API's route is for another name": put(ROUTE, "pattern", "x.example/*"),
    },
    "deployments-are-whole": {
        "half of the requests go to no version": put(DEPLOYMENT, "versions[0].percentage", 50),
        "a Worker is not deployed": drop(DEPLOYMENT),
        "no request goes to the newest version": put(
            DEPLOYMENT, "versions", lambda old: [{**old[0], "percentage": 0}, {"versionId": "old", "percentage": 100}]
        ),
    },
    "api-is-asked-from-outside": {
        "the API is checked every ten minutes": put(HEALTH_CHECK, "interval", 600),
        "the API is checked from one region": put(HEALTH_CHECK, "checkRegions", ["WEU"]),
        "the health check is suspended": put(HEALTH_CHECK, "suspended", True),
        "the health check requests another path": put(HEALTH_CHECK, "httpConfig.path", "/"),
        "the health check asks another host": put(HEALTH_CHECK, "address", "www.example.net"),
        "the health check is not declared": drop(HEALTH_CHECK),
        "the health check expects errors": put(HEALTH_CHECK, "httpConfig.expectedCodes", ["5xx"]),
        "the health check accepts errors": put(HEALTH_CHECK, "httpConfig.expectedCodes", ["200", "5xx"]),
        "the health check waits for a thousand failures": put(HEALTH_CHECK, "consecutiveFails", 1000),
    },
    "status-page-stands-alone": {
        "the page is bound to the database": bind("status", name="X", type="hyperdrive", id="x"),
        "the page is bound to the API": bind("status", name="X", type="service", service="backbuild-prod-api"),
        "the page is in the platform's zone": relink(DOMAIN, "zoneId", other_zone, STATUS),
        "the page uses the backup Workers' database": each(VERSION, in_folder("status"), backups_database),
        "the page has no domain": drop(DOMAIN, STATUS),
    },
    "status-page-probes": {
        "the page probes every five minutes": put(CRON, "schedules[0].cron", "*/5 * * * *", STATUS),
        "the page has no cron trigger": drop(CRON, STATUS),
        "the page probes another host": rebind("HEALTH_URL", "status", text="https://example.com/health"),
        "the page has no database": unbind("DB", "status"),
    },
    "contacts-are-told": {
        "the page cannot send e-mail": unbind("EMAIL", "status"),
        "the page cannot sign webhooks": unbind("WEBHOOK_KEY", "status"),
        "the page has no operators": unbind("OPERATORS", "status"),
        "the page's sender address is not allowed": rebind("SENDER", "status", text="x@example.com"),
    },
    "status-alarms-reach-two-channels": {
        **silenced("status"),
        "the page has no list of e-mail addresses": unbind("ALARM_EMAILS", "status"),
        "the page cannot send e-mail": unbind("EMAIL", "status"),
    },
    "uptime-is-counted-as-promised": {
        "the uptime target is lower": redocument("SLA", "status", target=99000),
        "there are no credits": redocument("SLA", "status", credits=[]),
        "the credit is tiny": redocument("SLA", "status", credits=[{"below": 99900, "credit": 0.001}]),
    },
    "one-contact": {"the contact is another address": rebind("CONTACT", "status", text="nobody@example.com")},
    "domains-are-two": {
        "the status page's zone is not declared": drop(ZONE, STATUS),
        "the status page's zone is below the platform's": put(ZONE, "name", "status.backbuild.ai", STATUS),
    },
}
