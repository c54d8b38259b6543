"""Weakenings of the network, of what runs at the edge, and of who is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from policies.graph import Graph, Resource
from policies.mutation.operators import (
    ABSENT,
    Absent,
    Change,
    Mutant,
    Operator,
    Where,
    assigned,
    chain,
    drop,
    drop_all,
    having,
    named,
    put,
    relink,
    replaced,
    revised,
    unprotect,
)
from policies.mutation.weakening import CRON, VERSION, ZONE, Weakening

ROUTE = "aws:ec2/route:Route"
NAT = "aws:ec2/natGateway:NatGateway"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
TUNNEL_CONFIG = "cloudflare:index/zeroTrustTunnelCloudflaredConfig:ZeroTrustTunnelCloudflaredConfig"
HYPERDRIVE = "cloudflare:index/hyperdriveConfig:HyperdriveConfig"
SETTING = "cloudflare:index/zoneSetting:ZoneSetting"
DNSSEC = "cloudflare:index/zoneDnssec:ZoneDnssec"
RECORD = "cloudflare:index/dnsRecord:DnsRecord"
CERTIFICATES = "cloudflare:index/certificatePack:CertificatePack"
DOMAIN = "cloudflare:index/workersCustomDomain:WorkersCustomDomain"
WORKERS_ROUTE = "cloudflare:index/workersRoute:WorkersRoute"
DEPLOYMENT = "cloudflare:index/workersDeployment:WorkersDeployment"
HEALTH_CHECK = "cloudflare:index/healthcheck:Healthcheck"
D1 = "cloudflare:index/d1Database:D1Database"
NOTIFICATION = "cloudflare:index/notificationPolicy:NotificationPolicy"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
TOPIC_POLICY = "aws:sns/topicPolicy:TopicPolicy"
EVENT_RULE = "aws:cloudwatch/eventRule:EventRule"
EVENT_TARGET = "aws:cloudwatch/eventTarget:EventTarget"
STATUS = having("mainModule", "status/index.js")


def other_zones_nat(graph: Graph, route: Resource) -> Resource | None:
    """A NAT gateway that the route does not lead to; None for a route that leads to none."""
    own = graph.target(route, "natGatewayId", NAT)
    return next((one for one in graph.of(NAT) if one is not own), None) if own is not None else None


def other_zone(graph: Graph, domain: Resource) -> Resource | None:
    """The other DNS zone."""
    own = graph.target(domain, "zoneId", ZONE)
    return next((one for one in graph.of(ZONE) if one is not own), None)


def binding(name: str, **changes: Any) -> Change:
    """A change of a Worker's bindings: one gets other fields, or goes where there are none."""

    def change(bindings: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not changes:
            return [one for one in bindings if one["name"] != name]
        return [{**one, **changes} if one["name"] == name else one for one in bindings]

    return change


def document(name: str, **changes: Any) -> Change:
    """A change of a JSON binding's document."""

    def change(bindings: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {**one, "json": json.dumps({**json.loads(one["json"]), **changes})} if one["name"] == name else one
            for one in bindings
        ]

    return change


def added(**fields: Any) -> Change:
    """A change of a Worker's bindings: one more."""
    return lambda bindings: [*bindings, fields]


def lent_database(graph: Graph) -> Iterator[Mutant]:
    """The status page uses the database of the backup Workers."""
    other = next(one for one in graph.of(D1) if one.name == "backups")
    for worker in filter(STATUS, graph.of(VERSION)):
        changed = assigned(worker, "bindings", binding("DB", id=other.properties.get("id")))
        if changed is not None:
            needs = {**changed.property_dependencies, "bindings": (other.urn,)}
            yield Mutant(worker.label, replaced(graph, revised(changed, property_dependencies=needs)))


def setting(name: str, value: str | Absent) -> Operator:
    """A zone's setting gets another value, or is not declared."""
    where = having("settingId", name)
    return drop(SETTING, where) if value is ABSENT else put(SETTING, "value", value, where)


def hsts(key: str, value: int) -> Operator:
    """A part of what browsers remember gets another value."""
    return put(SETTING, f"value.strict_transport_security.{key}", value, having("settingId", "security_header"))


def caa(tag: str) -> Operator:
    """None of a zone's CAA records of a kind is declared."""
    return chain(*(drop_all(RECORD, _caa_of(prefix, tag)) for prefix in ("zone-", "status-zone-")))


def _caa_of(prefix: str, tag: str) -> Where:
    tagged = having("data.tag", tag)
    return lambda record: record.name.startswith(prefix) and tagged(record)


def silent(metric: str) -> Where:
    """Alarms about a metric."""
    return having("metricName", metric)


WEAKENINGS = (
    # ways in and out
    Weakening(
        "a zone leaves through another's gateway", "nat-in-each-zone", relink(ROUTE, "natGatewayId", other_zones_nat)
    ),
    Weakening("a NAT gateway is not declared", "nat-in-each-zone", drop(NAT)),
    Weakening("a zone's default route is not declared", "nat-in-each-zone", drop(ROUTE, named("-data-"))),
    Weakening("a subnet has no route table", "nat-in-each-zone", drop(ASSOCIATION, named("-data"))),
    Weakening("a NAT gateway without an address", "nat-in-each-zone", drop("aws:ec2/eip:Eip")),
    Weakening(
        "an endpoint that a zone cannot reach",
        "endpoints-in-each-zone",
        put(ENDPOINT, "subnetIds", lambda ids: ids[:-1], having("vpcEndpointType", "Interface")),
    ),
    Weakening(
        "a door between members is shut",
        "members-reach-each-other",
        drop(INGRESS, lambda rule: "endpoints" not in rule.name),
    ),
    Weakening(
        "a door at another port",
        "members-reach-each-other",
        put(INGRESS, "toPort", 1, lambda rule: "endpoints" not in rule.name),
    ),
    Weakening(
        "the tunnel leads to one machine",
        "tunnel-leads-to-the-gateways",
        put(TUNNEL_CONFIG, "config.ingresses[0].service", "tcp://10.20.16.24:5432"),
    ),
    Weakening("the tunnel leads nowhere", "tunnel-leads-to-the-gateways", drop(TUNNEL_CONFIG)),
    Weakening("the edge caches answers", "nothing-stale-after-failover", put(HYPERDRIVE, "caching.disabled", False)),
    # domains
    *(
        Weakening(f"{name} is {'not set' if value is ABSENT else value}", "tls-is-strict", setting(name, value))
        for name, value in (
            ("ssl", "flexible"),
            ("ssl", "full"),
            ("min_tls_version", "1.0"),
            ("min_tls_version", ABSENT),
            ("tls_1_3", "off"),
            ("always_use_https", "off"),
        )
    ),
    Weakening("browsers forget HTTPS", "https-is-remembered", setting("security_header", ABSENT)),
    Weakening("browsers remember HTTPS for a day", "https-is-remembered", hsts("max_age", 86400)),
    Weakening("browsers are told nothing", "https-is-remembered", hsts("enabled", False)),
    Weakening("subdomains are left out", "https-is-remembered", hsts("include_subdomains", False)),
    Weakening("names are not signed", "names-are-signed", drop(DNSSEC)),
    Weakening("signing is switched off", "names-are-signed", put(DNSSEC, "status", "disabled")),
    *(Weakening(f"no CAA record {tag}", "issuers-are-named", caa(tag)) for tag in ("issue", "issuewild", "iodef")),
    Weakening(
        "a certificate from an authority that is not named",
        "issuers-are-named",
        put(CERTIFICATES, "certificateAuthority", "digicert"),
    ),
    Weakening("no certificate", "certificates-cover-the-domain", drop(CERTIFICATES)),
    Weakening(
        "a certificate for the apex alone",
        "certificates-cover-the-domain",
        put(CERTIFICATES, "hosts", lambda hosts: hosts[:1]),
    ),
    Weakening("the status page's zone is not declared", "domains-are-two", drop(ZONE, named("status"))),
    Weakening(
        "the status page's domain lies below the platform's",
        "domains-are-two",
        put(ZONE, "name", "status.backbuild.ai", named("status")),
    ),
    Weakening("an unprotected zone", "data-is-protected", unprotect(ZONE)),
    # the API and the status page
    Weakening("the API has no name", "edge-answers-everywhere", drop(DOMAIN, named("api"))),
    Weakening("the API has no route", "edge-answers-everywhere", drop(WORKERS_ROUTE)),
    Weakening(
        "half of the requests go nowhere", "deployments-are-whole", put(DEPLOYMENT, "versions[0].percentage", 50)
    ),
    Weakening("a Worker is not deployed", "deployments-are-whole", drop(DEPLOYMENT)),
    Weakening("the API is asked every ten minutes", "api-is-asked-from-outside", put(HEALTH_CHECK, "interval", 600)),
    Weakening(
        "the API is asked from one place", "api-is-asked-from-outside", put(HEALTH_CHECK, "checkRegions", ["WEU"])
    ),
    Weakening("the API's health check is suspended", "api-is-asked-from-outside", put(HEALTH_CHECK, "suspended", True)),
    Weakening(
        "the API's health check asks something else",
        "api-is-asked-from-outside",
        put(HEALTH_CHECK, "httpConfig.path", "/"),
    ),
    Weakening("nobody asks the API", "api-is-asked-from-outside", drop(HEALTH_CHECK)),
    Weakening(
        "the status page asks the database",
        "status-page-stands-alone",
        put(VERSION, "bindings", added(name="X", type="hyperdrive", id="x"), STATUS),
    ),
    Weakening(
        "the status page calls a Worker of the platform",
        "status-page-stands-alone",
        put(VERSION, "bindings", added(name="X", type="service", service="backbuild-prod-api"), STATUS),
    ),
    Weakening(
        "the status page in the platform's zone",
        "status-page-stands-alone",
        relink(DOMAIN, "zoneId", other_zone, named("status")),
    ),
    Weakening("the status page keeps its samples with the backups'", "status-page-stands-alone", lent_database),
    Weakening("the status page without a name", "status-page-stands-alone", drop(DOMAIN, named("status"))),
    Weakening(
        "the status page looks every five minutes",
        "status-page-probes",
        put(CRON, "schedules[0].cron", "*/5 * * * *", named("status")),
    ),
    Weakening("the status page looks only when asked", "status-page-probes", drop(CRON, named("status"))),
    Weakening(
        "the status page asks another host",
        "status-page-probes",
        put(VERSION, "bindings", binding("HEALTH_URL", text="https://example.com/health"), STATUS),
    ),
    Weakening("the status page forgets", "status-page-probes", put(VERSION, "bindings", binding("DB"), STATUS)),
    Weakening("contacts get no e-mail", "contacts-are-told", put(VERSION, "bindings", binding("EMAIL"), STATUS)),
    Weakening("webhooks are not signed", "contacts-are-told", put(VERSION, "bindings", binding("WEBHOOK_KEY"), STATUS)),
    Weakening("no operator may speak", "contacts-are-told", put(VERSION, "bindings", binding("OPERATORS"), STATUS)),
    Weakening(
        "mail from an address that may not send",
        "contacts-are-told",
        put(VERSION, "bindings", binding("SENDER", text="x@example.com"), STATUS),
    ),
    Weakening(
        "a lower target",
        "uptime-is-counted-as-promised",
        put(VERSION, "bindings", document("SLA", target=99000), STATUS),
    ),
    Weakening(
        "no credits", "uptime-is-counted-as-promised", put(VERSION, "bindings", document("SLA", credits=[]), STATUS)
    ),
    Weakening(
        "another contact",
        "one-contact",
        put(VERSION, "bindings", binding("CONTACT", text="nobody@example.com"), STATUS),
    ),
    Weakening(
        "an hour's notice",
        "disruption-is-announced",
        put(VERSION, "bindings", binding("NOTICE_HOURS", json="1"), STATUS),
    ),
    # alarms
    Weakening("an alarm that tells nobody", "alarms-tell-somebody", put(ALARM, "alarmActions", [])),
    Weakening("an alarm whose end is not told", "alarms-tell-somebody", put(ALARM, "okActions", [])),
    Weakening("an alarm whose actions are off", "alarms-tell-somebody", put(ALARM, "actionsEnabled", False)),
    Weakening("one channel from inside", "topics-reach-two-channels", drop(SUBSCRIPTION)),
    Weakening("no e-mail from outside", "notifications-reach-two-channels", put(NOTIFICATION, "mechanisms.emails", [])),
    Weakening(
        "no webhook from outside", "notifications-reach-two-channels", put(NOTIFICATION, "mechanisms.webhooks", ABSENT)
    ),
    Weakening("a notification that is off", "notifications-reach-two-channels", put(NOTIFICATION, "enabled", False)),
    Weakening("nothing is watched from outside", "outside-is-watched", drop(NOTIFICATION)),
    Weakening("a machine that nobody watches", "members-are-watched", drop(ALARM, silent("Healthy"))),
    Weakening(
        "silence is taken for health",
        "members-are-watched",
        put(ALARM, "treatMissingData", "notBreaching", silent("Healthy")),
    ),
    Weakening(
        "an hour until somebody hears", "members-are-watched", put(ALARM, "evaluationPeriods", 60, silent("Healthy"))
    ),
    Weakening("lag that nobody watches", "replication-is-watched", drop(ALARM, silent("ReplicationLagBytes"))),
    Weakening("a disk that nobody watches", "replication-is-watched", drop(ALARM, silent("DataDiskUsedPercent"))),
    Weakening(
        "a disk that may fill up", "replication-is-watched", put(ALARM, "threshold", 99, silent("DataDiskUsedPercent"))
    ),
    Weakening("alarms that may not be published", "topics-may-be-written", drop(TOPIC_POLICY)),
    Weakening(
        "alarms that CloudWatch may not publish",
        "topics-may-be-written",
        put(TOPIC_POLICY, "policy", lambda text: text.replace("cloudwatch", "codebuild")),
    ),
    Weakening("backups that grow old unseen", "backup-age-is-watched", drop(ALARM, named("-backup"))),
    Weakening(
        "backups that may be three days old",
        "backup-age-is-watched",
        put(ALARM, "threshold", 3 * 86400, named("-backup")),
    ),
    Weakening(
        "backup figures that may be missing",
        "backup-age-is-watched",
        put(ALARM, "treatMissingData", "missing", named("-backup")),
    ),
    Weakening("a failed gate that nobody hears of", "failed-gates-alarm", chain(drop(EVENT_RULE), drop(EVENT_TARGET))),
    Weakening(
        "gates that succeed are told instead",
        "failed-gates-alarm",
        put(EVENT_RULE, "eventPattern", lambda text: text.replace("Failed", "Success").replace("FAILED", "SUCCESS")),
    ),
)
