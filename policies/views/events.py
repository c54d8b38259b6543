"""EventBridge rules that notify operators of failures in Systems Manager."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from policies.graph import Graph, Resource

EVENT_RULE = "aws:cloudwatch/eventRule:EventRule"
EVENT_TARGET = "aws:cloudwatch/eventTarget:EventTarget"


def unreported(
    graph: Graph, kind: str, field: str, failures: Iterable[str], only: Mapping[str, str] | None = None
) -> str | None:
    """Return why no rule notifies operators of each event of a kind with one of these values in a field of its detail.

    `only`: the fields to which the rule may be limited besides, each with the value that it must match.
    """
    found = {one.name: _misses(graph, one, kind, field, failures, only or {}) for one in graph.of(EVENT_RULE)}
    if None in found.values():
        return None
    reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(found.items())) or "there is no rule"
    return f"no EventBridge rule reports each {kind!r} that is {' or '.join(failures)} ({reasons})"


def enabled(rule: Resource) -> bool:
    """Return whether a rule matches events. AWS's own events arrive on the default bus only."""
    is_on = rule.text("state") in {"ENABLED", ""} and rule.read("isEnabled") is not False
    return is_on and rule.text("eventBusName") in {"", "default"}


def _misses(
    graph: Graph, rule: Resource, kind: str, field: str, failures: Iterable[str], only: Mapping[str, str]
) -> str | None:
    """Return why a rule does not notify operators of a failure."""
    if not enabled(rule):
        return "it is not enabled, or not on the default bus"
    pattern = cast("dict[str, Any]", json.loads(rule.text("eventPattern") or "{}"))
    detail = cast("dict[str, Any]", pattern.pop("detail", None) or {})
    if pattern != {"source": ["aws.ssm"], "detail-type": [kind]}:
        return "it matches other events"
    missed = [one for one in failures if one not in detail.get(field, [])]
    # A field without an expected value may match nothing: the value null in a pattern is one that can match, too.
    narrowed = [name for name in detail if name != field and (name not in only or only[name] not in detail[name])]
    if missed or narrowed:
        return "its pattern does not match every failure"
    targets = graph.referring(rule, EVENT_TARGET, "rule")
    if not any(graph.targets(target, "arn", "aws:sns/topic:Topic") for target in targets):
        return "it has no topic as its target"
    return None
