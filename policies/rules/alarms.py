"""Redundancy: what goes wrong is noticed, and reaches people through two channels."""

from __future__ import annotations

from policies.controls import MONITORING
from policies.graph import Graph, Resource
from policies.promises import number
from policies.rule import NotApplicable, Severity, Subject, define
from policies.views.machines import DATABASE, KEEPS_DATA, Group, Machine, database_groups, machines

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
TOPIC = "aws:sns/topic:Topic"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
TOPIC_POLICY = "aws:sns/topicPolicy:TopicPolicy"
NOTIFICATION = "cloudflare:index/notificationPolicy:NotificationPolicy"
# What Cloudflare tells from outside: when the API does not answer, and when the tunnel has lost its connectors.
OUTSIDE = ("health_check_status_notification", "tunnel_health_event")


def alarms(graph: Graph) -> list[Resource]:
    """Alarms."""
    return graph.of(ALARM)


def topics(graph: Graph) -> list[Resource]:
    """Topics that tell people."""
    return graph.of(TOPIC)


def notifications(graph: Graph) -> list[Resource]:
    """Notifications from outside."""
    return graph.of(NOTIFICATION)


def whole(graph: Graph) -> list[Subject]:
    """Stack."""
    return [graph.stack]


@define(
    "redundancy",
    "alarms-tell-somebody",
    Severity.HIGH,
    "Every alarm goes to the topic, when it begins and when it is over",
    over=alarms,
    promises=("RED-2", "SLA-1"),
    controls=MONITORING,
    remedy="give the alarm the topic as alarm and ok action (components/alarms.py)",
)
def alarms_tell(graph: Graph, alarm: Resource) -> str | None:
    """An alarm without an action is a light in an empty room."""
    if alarm.read("actionsEnabled") is False:
        return "its actions are not enabled"
    for actions in ("alarmActions", "okActions"):
        if not graph.targets(alarm, actions, TOPIC):
            return f"{actions} names no topic of this stack"
    return None


@define(
    "redundancy",
    "topics-reach-two-channels",
    Severity.HIGH,
    "Alarms from inside reach people by mail and by webhook",
    over=topics,
    promises=("RED-2", "SLA-1"),
    controls=MONITORING,
    remedy="name at least one address in alarms.emails and one in alarms.webhooks",
)
def topics_two_channels(graph: Graph, topic: Resource) -> str | None:
    """One channel alone fails unnoticed."""
    channels = {one.text("protocol") for one in graph.referring(topic, SUBSCRIPTION, "topic")}
    if len(channels) < 2:
        return f"its subscriptions use {', '.join(sorted(channels)) or 'no channel'}; two kinds are expected"
    return None


@define(
    "redundancy",
    "notifications-reach-two-channels",
    Severity.HIGH,
    "Alarms from outside reach people by mail and by webhook",
    over=notifications,
    promises=("RED-1", "SLA-1"),
    controls=MONITORING,
    remedy="name at least one address in alarms.emails and one in alarms.webhooks",
)
def notifications_two_channels(_: Graph, notification: Resource) -> str | None:
    """The same, where AWS itself may be what is down."""
    if not notification.flag("enabled"):
        return "it is not enabled"
    mechanisms = notification.read("mechanisms")
    used = [name for name, told in (mechanisms if isinstance(mechanisms, dict) else {}).items() if told]
    return None if len(used) >= 2 else f"it uses {', '.join(used) or 'no channel'}; two kinds are expected"


@define(
    "redundancy",
    "outside-is-watched",
    Severity.HIGH,
    "The API and the tunnel are watched from outside",
    over=whole,
    promises=("RED-1", "SLA-1"),
    controls=MONITORING,
    remedy="restore the notification policies (components/alarms.py)",
)
def outside_watched(graph: Graph, _: Resource) -> str | None:
    """What has lost its connection cannot say so itself."""
    for alert in OUTSIDE:
        found = [one for one in notifications(graph) if one.text("alertType") == alert]
        if not found:
            return f"no notification policy is about {alert}"
        key = "filters.healthCheckIds" if alert == OUTSIDE[0] else "filters.tunnelIds"
        types = (
            "cloudflare:index/healthcheck:Healthcheck",
            "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared",
        )
        if not graph.targets(found[0], key, *types):
            return f"{found[0].name} is about nothing of this stack"
    return None


@define(
    "redundancy",
    "members-are-watched",
    Severity.HIGH,
    "Each machine has an alarm on its health, and one that says nothing counts as ill",
    over=machines,
    promises=("RED-2", "SLA-1"),
    controls=MONITORING,
    remedy="restore the machine's Healthy alarm with treat_missing_data=breaching (components/alarms.py)",
)
def members_watched(graph: Graph, machine: Machine) -> str | None:
    """The second failure is what interrupts the service; somebody must hear of the first."""
    found = _alarm(graph, machine, "Healthy")
    if found is None:
        return "no alarm is about its Healthy"
    if found.text("treatMissingData") != "breaching":
        return f"{found.name} does not take silence for an alarm"
    minutes = (found.number("evaluationPeriods") or 0) * (found.number("period") or 0) / 60
    if minutes > (most := number("RED-2", "notice_minutes")):
        return f"{found.name} waits {minutes:g} minutes; {most:g} at most are expected"
    return None


@define(
    "redundancy",
    "replication-is-watched",
    Severity.HIGH,
    "Each database machine has alarms on its lag and on its disk",
    over=machines,
    promises=("RED-2",),
    controls=MONITORING,
    remedy="restore the machine's alarms (components/alarms.py)",
)
def replication_watched(graph: Graph, machine: Machine) -> str | None:
    """A standby that fell behind, or a full disk, is a member lost that still looks well."""
    if machine.role not in KEEPS_DATA:
        raise NotApplicable("it keeps no data")
    needed = ["DataDiskUsedPercent", *(["ReplicationLagBytes"] if machine.role in DATABASE else [])]
    for metric in needed:
        found = _alarm(graph, machine, metric)
        if found is None:
            return f"no alarm is about its {metric}"
        if metric == "DataDiskUsedPercent" and (found.number("threshold") or 0) > number("RED-2", "disk_percent"):
            return f"{found.name} is raised above {found.number('threshold'):g} % only"
    return None


@define(
    "redundancy",
    "topics-may-be-written",
    Severity.MEDIUM,
    "The monitoring services may publish to the topic",
    over=topics,
    promises=("RED-2",),
    controls=MONITORING,
    remedy="restore the topic's policy (components/alarms.py)",
)
def topics_may_be_written(graph: Graph, topic: Resource) -> str | None:
    """An alarm whose message is refused is told to nobody."""
    policies = graph.referring(topic, TOPIC_POLICY, "arn")
    if not policies:
        return "it has no policy that admits CloudWatch and EventBridge"
    text = policies[0].text("policy")
    missing = [one for one in ("cloudwatch.amazonaws.com", "events.amazonaws.com") if one not in text]
    return f"its policy does not admit {missing[0]}" if missing else None


@define(
    "retention",
    "backup-age-is-watched",
    Severity.HIGH,
    "Each database group has an alarm on the age of its last backup",
    over=database_groups,
    promises=("BAK-1", "REC-4"),
    controls=MONITORING,
    remedy="restore the group's backup alarm (components/alarms.py)",
)
def backup_age_watched(graph: Graph, group: Group) -> str | None:
    """Independent of the Workers that watch the buckets: the machines themselves say how old their last backup is."""
    members = {machine.name for machine in group.members}
    most = number("BAK-1", "alarm_hours") * 3600
    for alarm in alarms(graph):
        queries = alarm.items("metricQueries")
        about = {one.text("metric.dimensions.Member") for one in queries if one.read("metric") is not None}
        if about and about <= members and any(one.text("metric.metricName") == "BackupAgeSeconds" for one in queries):
            if about != members:
                return f"{alarm.name} does not ask {', '.join(sorted(members - about))}"
            if (threshold := alarm.number("threshold") or 0) > most:
                return f"{alarm.name} is raised after {threshold / 3600:g} h; {most / 3600:g} h at most are expected"
            if alarm.text("treatMissingData") != "breaching":
                return f"{alarm.name} does not take silence for an alarm"
            return None
    return "no alarm is about the age of its backups"


def _alarm(graph: Graph, machine: Machine, metric: str) -> Resource | None:
    key = ("alarms by member", ALARM)
    index = graph.views.get(key)
    if not isinstance(index, dict):
        index = {
            (one.text("dimensions.Member"), one.text("metricName")): one
            for one in alarms(graph)
            if one.read("dimensions") is not None
        }
        graph.views[key] = index
    return index.get((machine.name, metric))  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
