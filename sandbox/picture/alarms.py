"""Alarms, notification policies, and the channels that receive them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from sandbox.engine.state import Resource
from sandbox.picture import machines, workers
from sandbox.picture.diagram import Box, Edge
from sandbox.picture.index import Index, items, name, scalar, text

ALARM: Final = "aws:cloudwatch/metricAlarm:MetricAlarm"
RULE: Final = "aws:cloudwatch/eventTarget:EventTarget"
TOPIC: Final = "aws:sns/topic:Topic"
SUBSCRIPTION: Final = "aws:sns/topicSubscription:TopicSubscription"
POLICY: Final = "cloudflare:index/notificationPolicy:NotificationPolicy"
HOOK: Final = "cloudflare:index/notificationPolicyWebhooks:NotificationPolicyWebhooks"
NOTIFICATIONS: Final = "notifications"  # the key of the box for all notification policies


def boxes(index: Index) -> Iterator[Box]:
    """Yield one box for all notification policies, and one for each topic with the number of its alarms."""
    if policies := index.of(POLICY):
        watched = [text(one, "alertType").replace("_", " ") for one in policies]
        yield Box(NOTIFICATIONS, "Cloudflare", _counted(len(policies), "notification rule"), tuple(watched))
    for topic in index.of(TOPIC):
        count = sum(topic in index.named(one, "alarmActions") for one in index.of(ALARM))
        rules = sum(topic in index.named(one, "arn") for one in index.of(RULE))
        counts = [_counted(count, "alarm"), *([_counted(rules, "event rule")] if rules else [])]
        yield Box(topic.urn, "CloudWatch, SNS", ", ".join(counts), (f"topic {name(topic)}",))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def channels(index: Index) -> list[Box]:
    """Return the receivers of alarms: mail addresses, and the hosts of webhooks (their paths may be secrets)."""
    found = {edge.target for edge in calls(index) if edge.target.startswith(("mail:", "webhook:"))}
    return [Box(key, key.partition(":")[0].title(), key.partition(":")[2]) for key in sorted(found)]


def calls(index: Index) -> Iterator[Edge]:
    """Yield the edges from monitored objects to alarms, and from alarms to channels."""
    yield from _metrics(index)
    for subscription in index.of(SUBSCRIPTION):
        for topic in index.named(subscription, "topic"):
            yield Edge(topic.urn, _channel(text(subscription, "endpoint")))
    for policy in index.of(POLICY):
        for watched in index.named(policy, "filters"):
            for one in _watched(index, watched):
                yield Edge(one.urn, NOTIFICATIONS, "health")
        for mail in items(policy, "mechanisms", "emails"):
            yield Edge(NOTIFICATIONS, _channel(scalar(mail.get("id"))))
        for hook in index.named(policy, "mechanisms"):
            if hook.type == HOOK:
                yield Edge(NOTIFICATIONS, _channel(text(hook, "url")))


def _metrics(index: Index) -> Iterator[Edge]:
    """Yield the edge from the role of the machine in an alarm's dimension to the alarm's topic."""
    roles = {name(one): machines.role_of(one) for one in index.of(machines.INSTANCE)}
    for alarm in index.of(ALARM):
        dimensions = alarm.inputs.get("dimensions")
        for value in dimensions.values() if isinstance(dimensions, dict) else ():
            for topic in index.named(alarm, "alarmActions") if scalar(value) in roles else ():
                yield Edge(roles[scalar(value)], topic.urn, "metrics")


def _watched(index: Index, resource: Resource) -> Iterator[Resource]:
    """Yield the object that a policy monitors: a tunnel, or the Cloudflare Worker that a health check requests."""
    if resource.type == workers.CHECK:
        answering = workers.hosts(index).get(text(resource, "address"))
        yield from [answering] if answering else []
    elif resource.type == workers.TUNNEL:
        yield resource


def _channel(endpoint: str) -> str:
    host = urlsplit(endpoint).hostname
    return f"webhook:{host}" if host else f"mail:{endpoint}"
