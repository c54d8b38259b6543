"""Views are computed once for each graph and shared by all rules."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar, cast

from policies.graph import Graph, Resource, Undetermined

T = TypeVar("T")


def stack(graph: Graph) -> list[Resource]:
    """Stack."""
    return [graph.stack]


def once(view: Callable[[Graph], T]) -> Callable[[Graph], T]:
    """Compute a view of a graph at its first use and cache it, or the `Undetermined` that it raised."""

    @wraps(view)
    def look(graph: Graph) -> T:
        if view not in graph.views:
            try:
                graph.views[view] = view(graph)
            except Undetermined as unknown:
                graph.views[view] = unknown
        found = graph.views[view]
        if isinstance(found, Undetermined):
            raise found.with_traceback(None)
        return cast(T, found)

    return look
