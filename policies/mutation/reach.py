"""Weakenings of ways that stay declared and lead elsewhere: through the network, at the edge, and between copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from policies.graph import Graph, Resource, Value
from policies.mutation.copies import CONSUMER, QUEUE, drilled
from policies.mutation.edge import (
    DEPLOYMENT,
    HYPERDRIVE,
    INGRESS,
    NAT,
    RECORD,
    ROUTE,
    STATUS,
    TUNNEL_CONFIG,
    WORKERS_ROUTE,
    binding,
    document,
)
from policies.mutation.operators import Change, Mutant, Operator, drop, having, named, put
from policies.mutation.rotation import worker
from policies.mutation.weakening import CRON, VERSION, ZONE, Weakening

EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
GATEWAY = "aws:ec2/internetGateway:InternetGateway"
TUNNEL = "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared"
TASK = "aws:ssm/maintenanceWindowTask:MaintenanceWindowTask"
REPLICATE = named("backups-replicate")
ELSEWHERE = "10.20.0.5"


def between(rule: Resource) -> bool:
    """Doors between members."""
    return "endpoints" not in rule.name


def bound(purpose: str, change: Change) -> Operator:
    """One of the Workers that look after backups is bound otherwise."""
    return put(VERSION, "bindings", change, worker(purpose))


def without(prefix: str = "", type: str = "") -> Change:
    """A change of bindings: those whose name begins so, or of a type, go."""

    def change(bindings: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            one
            for one in bindings
            if not (prefix and one["name"].startswith(prefix)) and not (type and one["type"] == type)
        ]

    return change


def said_drill(graph: Graph) -> Resource:
    """A task that speaks of a drill, outside any window."""
    prefix = "::".join(graph.stack.urn.split("::")[:2])
    parameters: Value = [{"name": "commands", "values": ["echo no backbuild-drill"]}]
    return Resource(
        f"{prefix}::{TASK}::more",
        TASK,
        {"taskInvocationParameters": {"runCommandParameters": {"parameters": parameters}}},
    )


def then(operator: Operator, make_one: Callable[[Graph], Resource]) -> Operator:
    """An operator's mutants, each with one more resource."""

    def make(graph: Graph) -> Iterator[Mutant]:
        for mutant in operator(graph):
            yield Mutant(mutant.subject, Graph([*mutant.graph.resources, make_one(graph)]))

    return make


WEAKENINGS = (
    # the network
    Weakening("doors for datagrams alone", "members-reach-each-other", put(INGRESS, "ipProtocol", "udp", between)),
    Weakening("nobody gets out to the members", "members-reach-each-other", drop(EGRESS, named("-inside"))),
    Weakening(
        "out to another network alone",
        "members-reach-each-other",
        put(EGRESS, "cidrIpv4", "192.0.2.0/24", named("-inside")),
    ),
    Weakening("nobody gets out to the vault", "members-reach-each-other", drop(EGRESS, named("-https"))),
    Weakening("a NAT gateway without the internet", "nat-in-each-zone", put(NAT, "connectivityType", "private")),
    Weakening("the public subnets lead nowhere", "nat-in-each-zone", drop(ROUTE, named("public"))),
    Weakening("no way to the internet", "nat-in-each-zone", drop(GATEWAY)),
    Weakening(
        "Hyperdrive goes to a machine", "tunnel-leads-to-the-gateways", put(HYPERDRIVE, "origin.host", ELSEWHERE)
    ),
    Weakening(
        "the tunnel goes to a machine first",
        "tunnel-leads-to-the-gateways",
        put(TUNNEL_CONFIG, "config.ingresses", lambda told: [{"service": f"tcp://{ELSEWHERE}:5432"}, *told]),
    ),
    Weakening("the tunnel is configured by hand", "tunnel-leads-to-the-gateways", put(TUNNEL, "configSrc", "local")),
    # the edge
    Weakening(
        "CAA records of another name",
        "issuers-are-named",
        put(RECORD, "name", "x.example", having("data.tag", "iodef")),
    ),
    Weakening("a zone that is paused", "tls-is-strict", put(ZONE, "paused", True)),
    Weakening(
        "the API's route is of another name", "edge-answers-everywhere", put(WORKERS_ROUTE, "pattern", "x.example/*")
    ),
    Weakening(
        "nothing goes to the newest version",
        "deployments-are-whole",
        put(
            DEPLOYMENT,
            "versions",
            lambda told: [{**told[0], "percentage": 0}, {"versionId": "old", "percentage": 100}],
        ),
    ),
    Weakening(
        "a credit that nobody notices",
        "uptime-is-counted-as-promised",
        put(VERSION, "bindings", document("SLA", credits=[{"below": 99900, "credit": 0.001}]), STATUS),
    ),
    Weakening(
        "somebody speaks of a drill",
        "restore-drill-is-scheduled",
        then(drop(CRON, named("restore-drill")), said_drill),
        drilled,
    ),
    # between copies
    Weakening(
        "the API is told of new backups",
        "replicated-at-once",
        put(CONSUMER, "scriptName", "backbuild-prod-api", REPLICATE),
    ),
    Weakening(
        "one failure is one too many", "recovery-point-adds-up", put(CONSUMER, "settings.maxRetries", 0, REPLICATE)
    ),
    Weakening(
        "the next try is half a day later",
        "recovery-point-adds-up",
        put(CONSUMER, "settings.retryDelay", 43200, REPLICATE),
    ),
    Weakening(
        "messages come half a day late",
        "recovery-point-adds-up",
        put(QUEUE, "settings.deliveryDelay", 43200, named("events")),
    ),
    *(
        Weakening(f"{what} {purpose}", rule, bound(purpose, change))
        for purpose, rule in (("verify", "verification-is-scheduled"), ("age-out", "age-out-is-scheduled"))
        for what, change in (
            ("the replica's jurisdiction is mistaken by", binding("REPLICA", jurisdiction="eu")),
            ("the off-site region is mistaken by", binding("OFFSITE_REGION", text="us-east-1")),
            ("no off-site key for", without("OFFSITE_SECRET")),
            ("no off-site copy for", without("OFFSITE")),
        )
    ),
    Weakening(
        "the watchdog looks into another jurisdiction",
        "watchdog-within-the-recovery-point",
        bound("watch", binding("PRIMARY", jurisdiction="us")),
    ),
    Weakening(
        "the watchdog writes to an address that is none",
        "backup-alarms-reach-two-channels",
        bound("watch", binding("ALARM_EMAILS", json='[""]')),
    ),
    Weakening(
        "the watchdog has no name", "backup-alarms-reach-two-channels", bound("watch", without(type="plain_text"))
    ),
    Weakening(
        "the watchdog may not send",
        "backup-alarms-reach-two-channels",
        bound("watch", binding("SENDER", text="x@example.com")),
    ),
    Weakening(
        "the watchdog calls an address that is none",
        "backup-alarms-reach-two-channels",
        bound("watch", binding("ALARM_WEBHOOKS", text="[]")),
    ),
)
