"""Redundancy: failures raise alarms, which reach operators through two channels."""

from __future__ import annotations

import re

from policies.controls import MONITORING
from policies.graph import Graph, Resource, Undetermined
from policies.promises import number
from policies.rule import NotApplicable, Severity, define
from policies.views.edge import backup_workers, status_workers, zones
from policies.views.machines import (
    DATABASE,
    ENVIRONMENT,
    KEEPS_DATA,
    Group,
    Machine,
    database_groups,
    database_machines,
    machines,
)
from policies.views.permissions import statements
from policies.views.shared import stack

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
TOPIC = "aws:sns/topic:Topic"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
TOPIC_POLICY = "aws:sns/topicPolicy:TopicPolicy"
NOTIFICATION = "cloudflare:index/notificationPolicy:NotificationPolicy"
RECORD = "cloudflare:index/dnsRecord:DnsRecord"
WEBHOOK = "cloudflare:index/notificationPolicyWebhooks:NotificationPolicyWebhooks"
PUBLISHING = "/usr/local/sbin/backbuild-metrics"
ABOVE = ("GreaterThanThreshold", "GreaterThanOrEqualToThreshold")
BELOW = ("LessThanThreshold", "LessThanOrEqualToThreshold")
PUBLISH = {"sns:publish", "sns:*", "*"}
# Cloudflare's alerts from outside: the API's health check fails, or the tunnel loses its connectors.
OUTSIDE = ("health_check_status_notification", "tunnel_health_event")


def alarms(graph: Graph) -> list[Resource]:
    """Alarms."""
    return graph.of(ALARM)


def topics(graph: Graph) -> list[Resource]:
    """Topics that notify operators."""
    return graph.of(TOPIC)


def notifications(graph: Graph) -> list[Resource]:
    """Notifications from outside."""
    return graph.of(NOTIFICATION)


@define(
    "redundancy",
    "alarms-tell-somebody",
    Severity.HIGH,
    "Every alarm notifies the topic when it is raised and when it ends",
    over=alarms,
    promises=("RED-2", "SLA-1"),
    controls=MONITORING,
    remedy="set the topic as the alarm's alarm action and ok action (components/alarms.py)",
)
def alarms_tell(graph: Graph, alarm: Resource) -> str | None:
    """An alarm without an action notifies nobody."""
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
    "CloudWatch alarms reach operators by e-mail and by webhook",
    over=topics,
    promises=("RED-2", "SLA-1"),
    controls=MONITORING,
    remedy="name at least one address in alarms.emails and one in alarms.webhooks",
)
def topics_two_channels(graph: Graph, topic: Resource) -> str | None:
    """If there is one channel only, its failure goes unnoticed."""
    told = [one for one in graph.referring(topic, SUBSCRIPTION, "topic") if not one.text("filterPolicy")]
    used = {one.text("protocol") for one in told if one.text("endpoint")}
    missing = sorted({"email", "https"} - used)
    return f"no subscription delivers all messages by {' or '.join(missing)}" if missing else None


@define(
    "redundancy",
    "notifications-reach-two-channels",
    Severity.HIGH,
    "Cloudflare's notifications reach operators by e-mail and by webhook",
    over=notifications,
    promises=("RED-1", "SLA-1"),
    controls=MONITORING,
    remedy="name at least one address in alarms.emails and one in alarms.webhooks",
)
def notifications_two_channels(graph: Graph, notification: Resource) -> str | None:
    """Cloudflare still notifies operators while AWS is down, so its notifications need two channels, too."""
    if not notification.flag("enabled"):
        return "it is not enabled"
    if not any(one.text("id") for one in notification.items("mechanisms.emails")):
        return "it has no e-mail address"
    hooks = notification.items("mechanisms.webhooks") and graph.targets(notification, "mechanisms.webhooks", WEBHOOK)
    return None if hooks else "it has no webhook of this stack"


@define(
    "redundancy",
    "contacts-receive-mail",
    Severity.HIGH,
    "The domain of each contact's and alarm's e-mail address has an MX record, if the stack declares its zone",
    over=zones,
    promises=("CON-1",),
    controls=MONITORING,
    remedy="use an address outside the declared zones, or name the zone's mail servers in `mail.exchangers`",
)
def contacts_receive_mail(graph: Graph, zone: Resource) -> str | None:
    """A domain without an MX record receives no mail."""
    domain = zone.text("name").lower()
    records = graph.referring(zone, RECORD, "zoneId")
    exchanged = {one.text("name").lower() for one in records if one.text("type") == "MX" and one.text("content") != "."}
    for address, user in sorted(_addresses(graph).items()):
        host = address.rpartition("@")[2].lower()
        if (host == domain or host.endswith(f".{domain}")) and host not in exchanged:
            return f"{user} is {address}, and {host} has no MX record in this zone"
    return None


def _addresses(graph: Graph) -> dict[str, str]:
    """Return each e-mail address of the platform's contact and alarms, and what uses it."""
    found = {worker.text("CONTACT"): f"CONTACT of {worker.label}" for worker in status_workers(graph)}
    for subscription in graph.of(SUBSCRIPTION):
        if subscription.text("protocol") == "email":
            found.setdefault(subscription.text("endpoint"), f"the endpoint of {subscription.label}")
    for notification in graph.of(NOTIFICATION):
        for mail in notification.items("mechanisms.emails"):
            found.setdefault(mail.text("id"), f"an address of {notification.label}")
    for worker in status_workers(graph) + backup_workers(graph):
        for address in worker.names("ALARM_EMAILS") or ():
            found.setdefault(address, f"an address in ALARM_EMAILS of {worker.label}")
    return found


@define(
    "redundancy",
    "outside-is-watched",
    Severity.HIGH,
    "Cloudflare monitors the API and the tunnel from outside",
    over=stack,
    promises=("RED-1", "SLA-1"),
    controls=MONITORING,
    remedy="restore the notification policies (components/alarms.py)",
)
def outside_watched(graph: Graph, _: Resource) -> str | None:
    """A platform that has lost its connection cannot report that itself."""
    for alert in OUTSIDE:
        found = [one for one in notifications(graph) if one.text("alertType") == alert]
        if not found:
            return f"there is no notification policy for {alert}"
        key = "filters.healthCheckIds" if alert == OUTSIDE[0] else "filters.tunnelIds"
        types = (
            "cloudflare:index/healthcheck:Healthcheck",
            "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared",
        )
        if not graph.targets(found[0], key, *types):
            return f"{found[0].name} is for no health check or tunnel of this stack ({key})"
        statuses = found[0].words("filters.statuses")
        if statuses and "Unhealthy" not in statuses:
            return f"{found[0].name} is for {', '.join(statuses)} and not for Unhealthy"
    return None


@define(
    "redundancy",
    "members-are-watched",
    Severity.HIGH,
    "Each machine has an alarm on its health, and missing data raises it",
    over=machines,
    promises=("RED-2", "SLA-1"),
    controls=MONITORING,
    remedy="restore the machine's Healthy alarm with treat_missing_data=breaching (components/alarms.py)",
)
def members_watched(graph: Graph, machine: Machine) -> str | None:
    """The second failure interrupts the service; operators must hear of the first."""
    # Healthy is 1 and unhealthy is 0: the threshold must be between them.
    return _unwatched(graph, machine, "Healthy", BELOW, 1, breaching=True)


@define(
    "redundancy",
    "replication-is-watched",
    Severity.HIGH,
    "Each database machine has alarms on replication lag and disk usage",
    over=machines,
    promises=("RED-2",),
    controls=MONITORING,
    remedy="restore the machine's alarms (components/alarms.py)",
)
def replication_watched(graph: Graph, machine: Machine) -> str | None:
    """A standby that lags, or whose disk is full, cannot take over although it seems healthy."""
    if machine.role not in KEEPS_DATA:
        raise NotApplicable("it keeps no data")
    needed = {"DataDiskUsedPercent": number("RED-2", "disk_percent")}
    if machine.role in DATABASE:
        needed["ReplicationLagBytes"] = number("RED-2", "lag_bytes")
    found = (_unwatched(graph, machine, metric, ABOVE, most) for metric, most in needed.items())
    return next((wrong for wrong in found if wrong), None)


@define(
    "redundancy",
    "topics-may-be-written",
    Severity.MEDIUM,
    "CloudWatch and EventBridge may publish to the topic",
    over=topics,
    promises=("RED-2",),
    controls=MONITORING,
    remedy="restore the topic's policy (components/alarms.py)",
)
def topics_may_be_written(graph: Graph, topic: Resource) -> str | None:
    """If publishing is denied, the alarm's message is lost."""
    policies = graph.referring(topic, TOPIC_POLICY, "arn")
    if not policies:
        return "it has no policy that allows CloudWatch and EventBridge to publish"
    admitted: set[str] = set()
    for statement in statements(policies[0]):
        if statement.condition:
            raise Undetermined(policies[0].urn, "policy", "has a Condition, which this rule does not read; remove it")
        if statement.effect == "Deny":
            return f"its policy denies {', '.join(statement.actions)}"
        names = {*topic.identities, "*"}
        if PUBLISH & {action.lower() for action in statement.actions} and names & set(statement.resources):
            admitted.update(statement.services)
    missing = [one for one in ("cloudwatch.amazonaws.com", "events.amazonaws.com") if one not in admitted]
    return f"its policy does not allow {missing[0]} to publish" if missing else None


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
    """The machines report the age themselves, independently of the Cloudflare Workers that watch the buckets."""
    return _unwatched_age(graph, group, "BackupAgeSeconds", number("BAK-1", "alarm_hours") * 3600)


@define(
    "retention",
    "restore-age-is-watched",
    Severity.HIGH,
    "Each database group has an alarm on the age of its last successful restore rehearsal",
    over=database_groups,
    promises=("REC-5", "BAK-2"),
    controls=MONITORING,
    remedy="restore the group's restore alarm (components/alarms.py)",
)
def restore_age_watched(graph: Graph, group: Group) -> str | None:
    """A drill that does not start, or fails each month, must not go unnoticed."""
    return _unwatched_age(graph, group, "RestoreAgeSeconds", number("REC-5", "alarm_days") * 86_400)


def _unwatched_age(graph: Graph, group: Group, metric: str, most: float) -> str | None:
    """Return why no alarm is raised if no member reports an age, or if the smallest one exceeds `most` seconds."""
    members = {machine.name for machine in group.members}
    for alarm in alarms(graph):
        queries = alarm.items("metricQueries")
        about = {one.text("metric.dimensions.Member") for one in queries if one.read("metric") is not None}
        if about and about <= members and any(one.text("metric.metricName") == metric for one in queries):
            if about != members:
                return f"{alarm.name} does not include {', '.join(sorted(members - about))}"
            wrong = next((said for member in group.members if (said := _computes(member, alarm))), None)
            return _missed(alarm) or wrong or _compares(alarm, ABOVE, 0, most) or _in_time(alarm)
    return f"it has no alarm on {metric}"


@define(
    "retention",
    "archiving-is-watched",
    Severity.HIGH,
    "Each database machine has an alarm on WAL that is not archived",
    over=database_machines,
    promises=("BAK-4", "REC-4"),
    controls=MONITORING,
    remedy="restore the machine's WalWaitingSeconds alarm (components/alarms.py)",
)
def archiving_watched(graph: Graph, machine: Machine) -> str | None:
    """If the repository refuses a group's WAL, the group's disks fill up even if the last backup is recent."""
    return _unwatched(graph, machine, "WalWaitingSeconds", ABOVE, number("BAK-4", "waiting_seconds"))


def _computes(machine: Machine, alarm: Resource) -> str | None:
    """Return what is wrong with an alarm's expression: it must be the group's smallest or largest age."""
    for query in alarm.items("metricQueries"):
        if query.read("metric") is None:
            if query.text("expression") not in {"MIN(METRICS())", "MAX(METRICS())"}:
                return f"{alarm.name} computes {query.text('expression')!r}; MIN(METRICS()) is expected"
        elif query.flag("returnData"):
            return f"{alarm.name} compares {query.text('id')}, the metric of one member, not the expression over all"
        else:
            looks = (query.text(f"metric.{name}") for name in ("namespace", "metricName", "stat"))
            wrong = _looks(machine, alarm, *looks)
            if wrong:
                return wrong
    return None


def _unwatched(
    graph: Graph, machine: Machine, metric: str, compares: tuple[str, str], most: float, *, breaching: bool = False
) -> str | None:
    """Return why no alarm is raised in time if a machine's metric passes a threshold of at most `most`.

    `breaching`: missing data must raise it, too.
    """
    found = _alarm(graph, machine, metric)
    if found is None:
        return f"it has no alarm on {metric}"
    wrong = _missed(found) if breaching else None
    wrong = wrong or _looks(machine, found, *(found.text(key) for key in ("namespace", "metricName", "statistic")))
    return wrong or _compares(found, compares, 0, most) or _in_time(found)


def _missed(alarm: Resource) -> str | None:
    """Return what is wrong with an alarm that missing data must raise."""
    if alarm.text("treatMissingData") != "breaching":
        return f"{alarm.name} is not raised by missing data (treatMissingData is not breaching)"
    return None


def _looks(machine: Machine, alarm: Resource, namespace: str, metric: str, statistic: str) -> str | None:
    own = machine.figure(ENVIRONMENT, "STACK")
    if namespace != own:
        return f"{alarm.name} reads the namespace {namespace or '(none)'}; its metrics are published in {own}"
    if not re.search(rf"^add {metric} ", machine.file(PUBLISHING), re.MULTILINE):
        return f"{alarm.name} reads {metric}, which {PUBLISHING} does not publish"
    if statistic not in {"Maximum", "Minimum", "Average"}:
        return f"{alarm.name} has the statistic {statistic or '(none)'}; Maximum, Minimum or Average is expected"
    return None


def _compares(alarm: Resource, compares: tuple[str, str], least: float, most: float) -> str | None:
    """Return what is wrong with an alarm's threshold; `compares` are its operators, exclusive and inclusive."""
    operator, threshold = alarm.text("comparisonOperator"), alarm.number("threshold")
    if operator not in compares:
        return f"{alarm.name} has the operator {operator or '(none)'}; {compares[0]} is expected"
    never = operator == BELOW[0] and threshold == least
    if threshold is None or not least <= threshold <= most or never:
        told = "(none)" if threshold is None else f"{threshold:g}"
        return f"{alarm.name} is raised by {operator} {told}; a threshold of {least:g} to {most:g} is expected"
    return None


def _in_time(alarm: Resource) -> str | None:
    """Return what is wrong with the time until an alarm is raised."""
    periods = [one.number("metric.period") for one in alarm.items("metricQueries") if one.read("metric") is not None]
    period = max((one or 0 for one in [*periods, alarm.number("period")] if one is not None), default=0.0)
    minutes, most = (alarm.number("evaluationPeriods") or 0) * period / 60, number("RED-2", "notice_minutes")
    if not 0 < minutes <= most:
        return f"{alarm.name} is raised after {minutes:g} minutes; {most:g} at most are expected"
    return None


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
