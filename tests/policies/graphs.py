"""Small graphs for tests."""

from __future__ import annotations

from typing import Any

from policies.graph import Graph, Resource

PREFIX = "urn:pulumi:test::backbuild::"


def resource(type: str, name: str, properties: dict[str, Any] | None = None, **options: Any) -> Resource:
    """Return a resource of the stack `test`."""
    return Resource(f"{PREFIX}{type}::{name}", type, properties or {}, **options)


def graph(*resources: Resource) -> Graph:
    """Return a graph of some resources."""
    return Graph(list(resources))


def export(*resources: dict[str, Any]) -> dict[str, Any]:
    """Return an exported state of some resources."""
    return {"version": 3, "deployment": {"manifest": {}, "resources": list(resources)}}
