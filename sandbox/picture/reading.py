"""Converts resources to a diagram."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sandbox.engine import urns
from sandbox.engine.state import Resource
from sandbox.picture import alarms, machines, storage, workers
from sandbox.picture.diagram import Box, Diagram, Edge
from sandbox.picture.index import Index, text

CUSTOMERS = "customers"
ZONE = "cloudflare:index/zone:Zone"


def read(resources: Iterable[Resource]) -> Diagram:
    """Return the diagram of a stack."""
    index = Index(resources)
    all_workers = workers.boxes(index)
    answering = {worker.urn for worker in workers.in_front(index).values()}
    edges = list(dict.fromkeys(_edges(index)))
    front = [box for box in all_workers.values() if box.key in answering] + workers.way_in(index)
    behind = [box for box in all_workers.values() if box.key not in answering]
    return Diagram(
        title=_title(index),
        domains=tuple(text(zone, "name") for zone in index.of(ZONE)),
        front=tuple(_callers_first(front, edges)),
        machines=machines.read(index),
        storage=storage.read(index, behind, edges),
        alarms=tuple(alarms.boxes(index)),
        channels=tuple(alarms.channels(index)),
        edges=tuple(edges),
    )


def _title(index: Index) -> str:
    if not index.resources:
        return "an empty stack"
    urn = urns.parse(index.resources[0].urn)
    return f"{urn.project} · {urn.stack}"


def _edges(index: Index) -> Iterator[Edge]:
    for host, worker in sorted(workers.in_front(index).items()):
        yield Edge(CUSTOMERS, worker.urn, host)
    flow = list(storage.flow(index))
    feeds = {edge.target: {up.source for up in flow if up.target == edge.source} for edge in flow}
    for edge in workers.calls(index):
        # A Worker that consumes a bucket's event queue also reads the bucket; the edges through the queue imply that.
        if edge.target not in feeds.get(edge.source, ()):
            yield edge
    yield from flow
    yield from machines.calls(index)
    yield from _credentials(index)
    yield from alarms.calls(index)


def _credentials(index: Index) -> Iterator[Edge]:
    """Yield the edges between roles and the tunnels and buckets whose keys their instance profile may read."""
    for instance in index.of(machines.INSTANCE):
        role = machines.role_of(instance)
        for opened in index.reachable(instance, "iamInstanceProfile"):
            if opened.type == workers.TUNNEL:
                yield Edge(opened.urn, role, "tunnel")
            elif opened.type in {storage.R2, storage.S3}:
                yield Edge(role, opened.urn, "writes")


def _callers_first(boxes: list[Box], edges: list[Edge]) -> Iterator[Box]:
    """Sort boxes so that callers come before the boxes they call."""
    waiting = list(boxes)
    while waiting:
        keys = {box.key for box in waiting}
        called = {edge.target for edge in edges if edge.source in keys and edge.source != edge.target}
        first = next((box for box in waiting if box.key not in called), waiting[0])
        waiting.remove(first)
        yield first
