"""What rules may read although it is marked as secret or unknown: providers and engines mark more than they must.

- A provider that accepts no secrets makes the engine mark a whole list as secret when one element is, and Cloudflare's
  declares the text of a binding sensitive whatever its type. Only the text and keys of secret bindings are hidden here.
- A first preview leaves a computed property unknown even where nobody sets it and its default is documented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from policies.graph import Unknown, Value

OVERMARKED: Final[Mapping[str, str]] = {
    "cloudflare:index/workerVersion:WorkerVersion": "bindings",
    "cloudflare:index/workersScript:WorkersScript": "bindings",
}
"""Type to the property whose elements are hidden one by one, by their own type."""
# What says nothing of a secret binding's content. Everything else of it stays hidden, also what is yet to be invented.
_PUBLIC: Final = ("name", "type", "algorithm", "format", "usages")
_OPEN: Final = frozenset(
    {
        "ai", "analytics_engine", "assets", "browser", "d1", "dispatch_namespace", "durable_object_namespace",
        "hyperdrive", "images", "json", "kv_namespace", "mtls_certificate", "pipelines", "plain_text", "queue",
        "r2_bucket", "ratelimit", "send_email", "service", "vectorize", "version_metadata", "workflow",
    }
)  # fmt: skip
_DEFAULTS: Final[Mapping[str, Mapping[str, Value]]] = {
    # https://developers.cloudflare.com/queues/configuration/configure-queues/
    "cloudflare:index/queue:Queue": {"settings.deliveryDelay": 0, "settings.deliveryPaused": False},
    # A token is made active; https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/
    "cloudflare:index/accountToken:AccountToken": {"status": "active"},
    "cloudflare:index/apiToken:ApiToken": {"status": "active"},
    # https://developers.cloudflare.com/d1/best-practices/read-replication/
    "cloudflare:index/d1Database:D1Database": {"readReplication.mode": "disabled"},
}


def unhidden(type: str, name: str, open_value: Callable[[], Value], hidden_value: Callable[[], Value]) -> Value:
    """A property's value: with every secret in it hidden, or for over-marked lists only what is secret by its type."""
    if OVERMARKED.get(type) != name:
        return hidden_value()
    opened = open_value()
    return [_binding(one) for one in opened] if isinstance(opened, list) else opened


def _binding(one: Value) -> Value:
    if not isinstance(one, dict):
        return one if isinstance(one, Unknown) else Unknown.SECRET
    if one.get("type") in _OPEN:
        return one
    return {key: value if key in _PUBLIC else _hidden(value) for key, value in one.items()}


def _hidden(value: Value) -> Value:
    return value if value is None or value is Unknown.LATER else Unknown.SECRET


def with_defaults(type: str, properties: Mapping[str, Value], depends: Mapping[str, Any]) -> dict[str, Value]:
    """`properties` with documented defaults in place of what is unknown, where nothing else decides about it.

    A property that depends on another resource is set by the program: it stays unknown.
    """
    result = dict(properties)
    for path, default in _DEFAULTS.get(type, {}).items():
        name, *deeper = path.split(".")
        if depends.get(name):
            continue
        result[name] = _filled(result.get(name), deeper, default)
    return result


def _filled(value: Value, deeper: list[str], default: Value) -> Value:
    if not deeper:
        return default if value is Unknown.LATER else value
    if value is Unknown.LATER:
        return {deeper[0]: _filled(value, deeper[1:], default)}
    if isinstance(value, dict) and deeper[0] in value:
        return {**value, deeper[0]: _filled(value[deeper[0]], deeper[1:], default)}
    return value
