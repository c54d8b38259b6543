"""Cloudflare Workers and their bindings: the path from customers to machines, and background Workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from sandbox.engine.state import Resource
from sandbox.picture.diagram import Box, Edge
from sandbox.picture.index import Index, items, name, scalar, text

WORKER: Final = "cloudflare:index/worker:Worker"
VERSION: Final = "cloudflare:index/workerVersion:WorkerVersion"
DOMAIN: Final = "cloudflare:index/workersCustomDomain:WorkersCustomDomain"
CRON: Final = "cloudflare:index/workersCronTrigger:WorkersCronTrigger"
CHECK: Final = "cloudflare:index/healthcheck:Healthcheck"
HYPERDRIVE: Final = "cloudflare:index/hyperdriveConfig:HyperdriveConfig"
TUNNEL: Final = "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared"
TUNNEL_CONFIG: Final = "cloudflare:index/zeroTrustTunnelCloudflaredConfig:ZeroTrustTunnelCloudflaredConfig"
DATABASE: Final = "cloudflare:index/d1Database:D1Database"
# Labels of the edges for a Worker's bindings, by the type of the bound object.
BINDING_LABELS: Final = {
    HYPERDRIVE: "SQL",
    "cloudflare:index/queue:Queue": "sends",
    "cloudflare:index/r2Bucket:R2Bucket": "objects",
    "aws:s3/bucket:Bucket": "objects",
}


def hosts(index: Index) -> dict[str, Resource]:
    """Return the Worker that serves each host name."""
    found = {text(domain, "hostname"): worker_of(index, domain, "service") for domain in index.of(DOMAIN)}
    return {host: worker for host, worker in found.items() if worker is not None}


def in_front(index: Index) -> dict[str, Resource]:
    """Return the Workers that serve customers, by host name.

    A Worker that shares a D1 database with a Worker without a host name is left out: it only reports on that Worker.
    """
    answering = hosts(index)
    urns = {worker.urn for worker in answering.values()}
    databases: dict[str, set[str]] = {}
    for version in index.of(VERSION):
        worker = _worker_behind(index, version, "workerId")
        if worker is not None:
            kept = (one.urn for one in index.named(version, "bindings") if one.type == DATABASE)
            databases.setdefault(worker.urn, set()).update(kept)
    background = set[str]().union(*(kept for urn, kept in databases.items() if urn not in urns))
    return {host: worker for host, worker in answering.items() if not databases.get(worker.urn, set()) & background}


def worker_of(index: Index, resource: Resource, property: str = "scriptName") -> Resource | None:
    """Return the Worker that a property refers to: by script name, or through its deployment if that is unknown."""
    workers = {text(one, "name"): one for one in index.of(WORKER)}
    return workers.get(text(resource, property)) or _worker_behind(index, resource, property)


def _worker_behind(index: Index, resource: Resource, property: str) -> Resource | None:
    behind = [need for named in index.named(resource, property) for need in (named, *index.needs(named))]
    return next((one for one in behind if one.type == WORKER), None)


def boxes(index: Index) -> dict[str, Box]:
    """Return a box for every Worker, by URN. It lists schedule, database, and a host name that customers do not use."""
    found = {one.urn: Box(one.urn, "Worker", name(one)) for one in index.of(WORKER)}

    def add(worker: Resource | None, line: str) -> None:
        if worker is not None:
            box = found[worker.urn]
            found[worker.urn] = replace(box, lines=(*box.lines, line))

    front = in_front(index)
    for host, worker in hosts(index).items():
        if host not in front:
            add(worker, host)
    for check in index.of(CHECK):
        every = text(check, "interval")
        add(hosts(index).get(text(check, "address")), f"checked every {every} s")
    for trigger in index.of(CRON):
        crons = [describe_cron(scalar(schedule.get("cron"))) for schedule in items(trigger, "schedules")]
        add(worker_of(index, trigger), ", ".join(crons))
    for version in index.of(VERSION):
        if any(binding.get("type") == "d1" for binding in items(version, "bindings")):
            add(_worker_behind(index, version, "workerId"), "stores in D1")
    return found


def describe_cron(cron: str) -> str:
    """Describe a simple cron schedule in words; return others unchanged."""
    minute, _, rest = cron.partition(" ")
    hour, _, days = rest.partition(" ")
    if rest == "* * * *" and minute == "*":
        return "every minute"
    if rest == "* * * *" and minute.startswith("*/"):
        return f"every {minute.removeprefix('*/')} minutes"
    if rest == "* * * *" and minute.isdigit():
        return f"hourly at :{minute:0>2}"
    if days == "* * *" and minute.isdigit() and hour.isdigit():
        return f"daily at {hour:0>2}:{minute:0>2} UTC"
    return f"cron {cron}"


def way_in(index: Index) -> list[Box]:
    """Return the boxes between a Worker and a private network: Hyperdrive and tunnels."""
    found = [
        Box(one.urn, "Hyperdrive", name(one), tuple(filter(None, [_limit(text(one, "originConnectionLimit"))])))
        for one in index.of(HYPERDRIVE)
    ]
    return [*found, *(Box(one.urn, "Tunnel", name(one), ("dialled from inside",)) for one in index.of(TUNNEL))]


def _limit(connections: str) -> str:
    return f"{connections} connections" if connections else ""


def calls(index: Index) -> Iterator[Edge]:
    """Yield edges for Workers' bindings and the URLs they request, and from Hyperdrive to its tunnel."""
    answering = hosts(index)
    buckets = {text(one, "name"): one for one in index.of("cloudflare:index/r2Bucket:R2Bucket")}
    for version in index.of(VERSION):
        worker = _worker_behind(index, version, "workerId")
        if worker is None:
            continue
        reached = {one.urn: one for one in index.reachable(version, "bindings")}
        for binding in items(version, "bindings"):
            bucket = buckets.get(scalar(binding.get("bucketName")))
            reached |= {bucket.urn: bucket} if bucket else {}
            url = urlsplit(scalar(binding.get("text")))
            asked = answering.get(url.hostname or "")
            if asked is not None and asked is not worker:
                yield Edge(worker.urn, asked.urn, f"GET {url.path or '/'}")
        for one in reached.values():
            if one.type in BINDING_LABELS:
                yield Edge(worker.urn, one.urn, BINDING_LABELS[one.type])
    yield from _tunnelled(index)


def _tunnelled(index: Index) -> Iterator[Edge]:
    for config in index.of(TUNNEL_CONFIG):
        served = {scalar(ingress.get("hostname")) for ingress in items(config, "config", "ingresses")}
        for hyperdrive in index.of(HYPERDRIVE):
            if text(hyperdrive, "origin", "host") in served - {""}:
                for tunnel in index.named(config, "tunnelId"):
                    yield Edge(hyperdrive.urn, tunnel.urn, "TLS")
