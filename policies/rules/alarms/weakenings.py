"""Weakenings of alarms: not declared, never raised, or delivered to nobody."""

from __future__ import annotations

import json
from typing import Any

from policies.graph import Unknown
from policies.mutation.files import DATABASE, KEEPS_DATA, edit
from policies.mutation.operators import (
    ABSENT,
    New,
    Operator,
    Where,
    anything,
    drop,
    drop_all,
    ending,
    having,
    named,
    put,
    substitute,
)
from policies.mutation.weakening import Weakenings
from policies.rules.alarms.rules import ALARM, NOTIFICATION, PUBLISHING, RECORD, SUBSCRIPTION, TOPIC_POLICY

DAY_OF_MINUTES = 1440
MX, HTTPS = having("type", "MX"), having("protocol", "https")
DENIED = {"Effect": "Deny", "Principal": "*", "Action": "sns:*", "Resource": "*"}
BACKUP, RESTORE = ending("-backup"), ending("-restore")
OTHER_STACK = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def on(metric: str) -> Where:
    """Accept alarms on a metric."""
    return having("metricName", metric)


HEALTHY, LAG, DISK, WAITING = map(on, ("Healthy", "ReplicationLagBytes", "DataDiskUsedPercent", "WalWaitingSeconds"))


def alarm(path: str, change: New, where: Where = anything) -> Operator:
    """Set a property of an alarm."""
    return put(ALARM, path, change, where)


def notification(path: str, change: New, where: Where = anything) -> Operator:
    """Set a property of a notification."""
    return put(NOTIFICATION, path, change, where)


def policy(old: str, new: str) -> Operator:
    """Replace a part of the topic's policy."""
    return substitute(TOPIC_POLICY, "policy", old, new)


def unpublished(metric: str, where: Where = anything) -> Operator:
    """Do not publish a metric."""
    return edit(PUBLISHING, rf"^add {metric} .*\n", "", where)


def never_raised(
    prefix: str, where: Where, threshold: float, *, without_threshold: bool = False
) -> dict[str, Operator]:
    """Return the changes after which an alarm on a metric that must stay low is raised too late or never."""
    changes: dict[str, tuple[str, Any]] = {
        "is raised by low values": ("comparisonOperator", "LessThanThreshold"),
        "reads another namespace": ("namespace", "x"),
        "is raised after a day": ("evaluationPeriods", DAY_OF_MINUTES),
        "has a threshold that is too high": ("threshold", threshold),
        **({"has no threshold": ("threshold", ABSENT)} if without_threshold else {}),
    }
    return {f"the alarm on {prefix} {what}": alarm(*change, where) for what, change in changes.items()}


WEAKENINGS: Weakenings = {
    "alarms-tell-somebody": {
        "an alarm has no action": alarm("alarmActions", []),
        "the end of an alarm has no action": alarm("okActions", []),
        "an alarm's actions are disabled": alarm("actionsEnabled", False),
    },
    "topics-reach-two-channels": {
        "a subscription is not declared": drop(SUBSCRIPTION),
        "both subscriptions are by e-mail": put(SUBSCRIPTION, "protocol", "email-json", HTTPS),
        "a subscription filters all messages out": put(SUBSCRIPTION, "filterPolicy", '{"never": ["x"]}'),
    },
    "notifications-reach-two-channels": {
        "a notification has no e-mail address": notification("mechanisms.emails", []),
        "a notification has no webhook": notification("mechanisms.webhooks", ABSENT),
        "a notification is disabled": notification("enabled", False),
        "a notification's webhooks are unknown": notification("mechanisms.webhooks", Unknown.SECRET),
        "a notification's webhook is empty": notification("mechanisms.webhooks", [{"id": ""}]),
        "a notification's e-mail address is empty": notification("mechanisms.emails", [{"id": ""}]),
        "a notification's webhook is of another stack": notification("mechanisms.webhooks", [{"id": OTHER_STACK}]),
    },
    "contacts-receive-mail": {
        "the zone's MX records are not declared": drop_all(RECORD, MX),
        "an MX record is null": put(RECORD, "content", ".", MX),
        "an alarm's address is in a subdomain without MX": put(
            SUBSCRIPTION, "endpoint", "oncall@alarms.backbuild.ai", having("protocol", "email")
        ),
    },
    "outside-is-watched": {
        "a notification is not declared": drop(NOTIFICATION),
        "a notification is about recoveries only": notification("filters.statuses", ["Healthy"], named("health-check")),
    },
    "members-are-watched": {
        "a machine has no alarm on its health": drop(ALARM, HEALTHY),
        "missing health data raises no alarm": alarm("treatMissingData", "notBreaching", HEALTHY),
        "bad health raises an alarm after an hour": alarm("evaluationPeriods", 60, HEALTHY),
        "good health raises the alarm": alarm("comparisonOperator", "GreaterThanThreshold", HEALTHY),
        "the health threshold is negative": alarm("threshold", -1, HEALTHY),
        "the health threshold is 0": alarm("threshold", 0, HEALTHY),
        "the health alarm reads another namespace": alarm("namespace", "x", HEALTHY),
        "the health alarm's period is 0": alarm("period", 0, HEALTHY),
        "the health alarm counts samples": alarm("statistic", "SampleCount", HEALTHY),
        "Healthy is not published": unpublished("Healthy"),
    },
    "replication-is-watched": {
        "the alarm on lag is not declared": drop(ALARM, LAG),
        "the alarm on the disk is not declared": drop(ALARM, DISK),
        "the alarm on the disk is raised at 99 %": alarm("threshold", 99, DISK),
        **never_raised("lag", LAG, 1e15, without_threshold=True),
        **never_raised("the disk", DISK, 1e15, without_threshold=True),
        "DataDiskUsedPercent is not published": unpublished("DataDiskUsedPercent", KEEPS_DATA),
        "ReplicationLagBytes is not published": unpublished("ReplicationLagBytes", DATABASE),
    },
    "archiving-is-watched": {
        "the alarm on waiting WAL is not declared": drop(ALARM, WAITING),
        **never_raised("waiting WAL", WAITING, 7200),
        "WalWaitingSeconds is not published": unpublished("WalWaitingSeconds", DATABASE),
    },
    "topics-may-be-written": {
        "the topic's policy is not declared": drop(TOPIC_POLICY),
        "CloudWatch may not publish": policy("cloudwatch", "codebuild"),
        "the topic's policy denies publishing": policy("Allow", "Deny"),
        "another statement denies publishing": put(
            TOPIC_POLICY, "policy", lambda text: json.dumps({"Statement": [*json.loads(text)["Statement"], DENIED]})
        ),
        "the services may only read the topic": policy("sns:Publish", "sns:GetTopicAttributes"),
    },
    "backup-age-is-watched": {
        "the age alarm is not declared": drop(ALARM, BACKUP),
        "the age alarm is raised after three days": alarm("threshold", 3 * 86400, BACKUP),
        "missing backup ages raise no alarm": alarm("treatMissingData", "missing", BACKUP),
        "the alarm is raised by young backups": alarm("comparisonOperator", "LessThanThreshold", BACKUP),
        "the alarm multiplies the age by 0": alarm(
            "metricQueries[*].expression", lambda old: "0*MIN(METRICS())" if old else ABSENT, BACKUP
        ),
        "the age alarm is raised a week late": alarm("evaluationPeriods", 10080, BACKUP),
        "the age alarm reads another namespace": alarm("metricQueries[*].metric.namespace", "x", BACKUP),
        "the age alarm reads another member": alarm("metricQueries[*].metric.dimensions.Member", "gateway-0", BACKUP),
        "the age alarm counts samples": alarm("metricQueries[*].metric.stat", "SampleCount", BACKUP),
        "BackupAgeSeconds is not published": unpublished("BackupAgeSeconds", DATABASE),
    },
    "restore-age-is-watched": {
        "the rehearsal alarm is not declared": drop(ALARM, RESTORE),
        "the rehearsal alarm is raised after three months": alarm("threshold", 92 * 86400, RESTORE),
        "missing rehearsal ages raise no alarm": alarm("treatMissingData", "notBreaching", RESTORE),
        "the alarm is raised by new rehearsals": alarm("comparisonOperator", "LessThanThreshold", RESTORE),
        "the alarm multiplies the rehearsal's age by 0": alarm(
            "metricQueries[*].expression", lambda old: "0*MIN(METRICS())" if old else ABSENT, RESTORE
        ),
        "the rehearsal alarm is raised a week late": alarm("evaluationPeriods", 10080, RESTORE),
        "the rehearsal alarm reads another namespace": alarm("metricQueries[*].metric.namespace", "x", RESTORE),
        "the rehearsal alarm reads another member": alarm(
            "metricQueries[*].metric.dimensions.Member", "gateway-0", RESTORE
        ),
        "the rehearsal alarm counts samples": alarm("metricQueries[*].metric.stat", "SampleCount", RESTORE),
        "RestoreAgeSeconds is not published": unpublished("RestoreAgeSeconds", DATABASE),
    },
}
