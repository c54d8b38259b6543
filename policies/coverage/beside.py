"""Resources beside the platform: those that the coverage table does not expect, and that a person reviewed."""

from __future__ import annotations

from dataclasses import replace

from policies.baseline import committed
from policies.coverage.table import covering, table
from policies.graph import Graph, Resource


def key_of(resource: Resource) -> str:
    """Return the key of a resource's review."""
    return f"beside {resource.type} {resource.name}"


def expected(resource: Resource) -> bool:
    """Return whether a resource is in the coverage table, or is a component, which exists in no cloud."""
    return resource.is_component or covering(table(), resource.type, resource.name) is not None


def set_apart(graph: Graph) -> Graph:
    """Return the graph with the reviewed resources beside the platform in `beside`; its rules ignore them."""
    baseline = committed().get(graph.name)
    reviewed = set[str]() if baseline is None else baseline.reviews.keys()
    beside = [one for one in graph.resources if not expected(one) and key_of(one) in reviewed]
    if not beside:
        return graph
    left = [one for one in graph.resources if one not in beside]
    return replace(graph, resources=left, beside=[*graph.beside, *beside])
