"""Small graphs, written down by hand."""

from __future__ import annotations

from typing import Any

from policies.graph import Graph, Resource

PREFIX = "urn:pulumi:test::backbuild::"


def resource(type: str, name: str, properties: dict[str, Any] | None = None, **options: Any) -> Resource:
    """One resource of the stack `test`."""
    return Resource(f"{PREFIX}{type}::{name}", type, properties or {}, **options)


def graph(*resources: Resource) -> Graph:
    """A graph of these."""
    return Graph(list(resources))


def export(*resources: dict[str, Any]) -> dict[str, Any]:
    """An exported state of these."""
    return {"version": 3, "deployment": {"manifest": {}, "resources": list(resources)}}
