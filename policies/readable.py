"""Values that rules may read although providers or engines mark them as secret or unknown.

- The engine marks a whole list as secret if one element is secret and the provider does not accept secrets.
  Cloudflare's provider marks the text of every binding as sensitive. Here only the text and keys of secret bindings are
  hidden.
- A first preview leaves a computed property unknown even if the program does not set it and its default is documented.
  Here it has the documented default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from policies.graph import Unknown, Value

OVERMARKED: Final[Mapping[str, str]] = {
    "cloudflare:index/workerVersion:WorkerVersion": "bindings",
    "cloudflare:index/workersScript:WorkersScript": "bindings",
}
"""Resource type to the property whose elements are hidden one by one, by each element's type."""
# The fields of a secret binding that are not secret. All other fields stay hidden, including future ones.
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
    # A new token is active; https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/
    "cloudflare:index/accountToken:AccountToken": {"status": "active"},
    "cloudflare:index/apiToken:ApiToken": {"status": "active"},
    # https://developers.cloudflare.com/d1/best-practices/read-replication/
    "cloudflare:index/d1Database:D1Database": {"readReplication.mode": "disabled"},
}


def unhidden(type: str, name: str, open_value: Callable[[], Value], hidden_value: Callable[[], Value]) -> Value:
    """Return a property with all secrets hidden; in over-marked lists, only those that are secret by their type."""
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
    """Return `properties` with documented defaults for unknown values.

    A property that depends on another resource is set by the program, and stays unknown.
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
