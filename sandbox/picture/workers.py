"""Workers and what they are bound to: the way from customers to the machines, and what runs behind their backs."""

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
# What a Worker's binding to a thing of this type is called in the picture.
BOUND: Final = {
    HYPERDRIVE: "SQL",
    "cloudflare:index/queue:Queue": "sends",
    "cloudflare:index/r2Bucket:R2Bucket": "objects",
    "aws:s3/bucket:Bucket": "objects",
}


def hosts(index: Index) -> dict[str, Resource]:
    """Host name to the Worker that answers it."""
    found = {text(domain, "hostname"): worker_of(index, domain, "service") for domain in index.of(DOMAIN)}
    return {host: worker for host, worker in found.items() if worker is not None}


def in_front(index: Index) -> dict[str, Resource]:
    """Of these, what customers come to: not a Worker that only tells what others remember, which answer nobody."""
    answering = hosts(index)
    urns = {worker.urn for worker in answering.values()}
    memories: dict[str, set[str]] = {}
    for version in index.of(VERSION):
        worker = _worker_behind(index, version, "workerId")
        if worker is not None:
            kept = (one.urn for one in index.named(version, "bindings") if one.type == DATABASE)
            memories.setdefault(worker.urn, set()).update(kept)
    silent = set[str]().union(*(kept for urn, kept in memories.items() if urn not in urns))
    return {host: worker for host, worker in answering.items() if not memories.get(worker.urn, set()) & silent}


def worker_of(index: Index, resource: Resource, property: str = "scriptName") -> Resource | None:
    """The Worker that a property names: by its script's name, or through its deployment where that is unknown."""
    workers = {text(one, "name"): one for one in index.of(WORKER)}
    return workers.get(text(resource, property)) or _worker_behind(index, resource, property)


def _worker_behind(index: Index, resource: Resource, property: str) -> Resource | None:
    behind = [need for named in index.named(resource, property) for need in (named, *index.needs(named))]
    return next((one for one in behind if one.type == WORKER), None)


def boxes(index: Index) -> dict[str, Box]:
    """Every Worker, by URN, with its address where customers have none of it, its schedule and its database."""
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
        crons = [spoken(scalar(schedule.get("cron"))) for schedule in items(trigger, "schedules")]
        add(worker_of(index, trigger), ", ".join(crons))
    for version in index.of(VERSION):
        if any(binding.get("type") == "d1" for binding in items(version, "bindings")):
            add(_worker_behind(index, version, "workerId"), "remembers in D1")
    return found


def spoken(cron: str) -> str:
    """A schedule in words where it is one of the simple ones, else as it stands."""
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
    """What stands between a Worker and a private network."""
    found = [
        Box(one.urn, "Hyperdrive", name(one), tuple(filter(None, [_limit(text(one, "originConnectionLimit"))])))
        for one in index.of(HYPERDRIVE)
    ]
    return [*found, *(Box(one.urn, "Tunnel", name(one), ("dialled from inside",)) for one in index.of(TUNNEL))]


def _limit(connections: str) -> str:
    return f"{connections} connections" if connections else ""


def calls(index: Index) -> Iterator[Edge]:
    """What Workers are bound to or ask by URL, and how Hyperdrive finds its tunnel."""
    answering = hosts(index)
    buckets = {text(one, "name"): one for one in index.of("cloudflare:index/r2Bucket:R2Bucket")}
    for version in index.of(VERSION):
        worker = _worker_behind(index, version, "workerId")
        if worker is None:
            continue
        reached = {one.urn: one for one in index.opens(version, "bindings")}
        for binding in items(version, "bindings"):
            bucket = buckets.get(scalar(binding.get("bucketName")))
            reached |= {bucket.urn: bucket} if bucket else {}
            url = urlsplit(scalar(binding.get("text")))
            asked = answering.get(url.hostname or "")
            if asked is not None and asked is not worker:
                yield Edge(worker.urn, asked.urn, f"GET {url.path or '/'}")
        for one in reached.values():
            if one.type in BOUND:
                yield Edge(worker.urn, one.urn, BOUND[one.type])
    yield from _tunnelled(index)


def _tunnelled(index: Index) -> Iterator[Edge]:
    for config in index.of(TUNNEL_CONFIG):
        served = {scalar(ingress.get("hostname")) for ingress in items(config, "config", "ingresses")}
        for hyperdrive in index.of(HYPERDRIVE):
            if text(hyperdrive, "origin", "host") in served - {""}:
                for tunnel in index.named(config, "tunnelId"):
                    yield Edge(hyperdrive.urn, tunnel.urn, "TLS")
