"""Weakenings of alarms: not declared, never raised, or delivered to nobody."""

from __future__ import annotations

import json
from typing import Any

from policies.graph import Unknown
from policies.mutation.files import DATABASE, KEEPS_DATA, edit
from policies.mutation.operators import (
    ABSENT,
    Operator,
    Where,
    anything,
    drop,
    drop_all,
    having,
    named,
    put,
    substitute,
)
from policies.mutation.weakening import Weakenings
from policies.rules.alarms.rules import ALARM, NOTIFICATION, PUBLISHING, RECORD, SUBSCRIPTION, TOPIC_POLICY

DAY_OF_MINUTES = 1440
MX, HTTPS = having("type", "MX"), having("protocol", "https")
BACKUP = named("-backup")
OTHER_STACK = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def on(metric: str) -> Where:
    """Accept alarms on a metric."""
    return having("metricName", metric)


HEALTHY, LAG, DISK, WAITING = map(on, ("Healthy", "ReplicationLagBytes", "DataDiskUsedPercent", "WalWaitingSeconds"))


def unpublished(metric: str, where: Where = anything) -> Operator:
    """Do not publish a metric."""
    return edit(PUBLISHING, rf"^add {metric} .*\n", "", where)


def never_raised(
    prefix: str, where: Where, threshold: float, *, without_threshold: bool = False
) -> dict[str, Operator]:
    """Return the changes after which an alarm on a figure that must stay low is not raised, or a day late."""
    changes: dict[str, tuple[str, Any]] = {
        "is raised by low values": ("comparisonOperator", "LessThanThreshold"),
        "reads another namespace": ("namespace", "x"),
        "is raised after a day": ("evaluationPeriods", DAY_OF_MINUTES),
        "has a threshold that is too high": ("threshold", threshold),
        **({"has no threshold": ("threshold", ABSENT)} if without_threshold else {}),
    }
    return {f"the alarm on {prefix} {what}": put(ALARM, *change, where) for what, change in changes.items()}


WEAKENINGS: Weakenings = {
    "alarms-tell-somebody": {
        "an alarm has no action": put(ALARM, "alarmActions", []),
        "the end of an alarm has no action": put(ALARM, "okActions", []),
        "an alarm's actions are disabled": put(ALARM, "actionsEnabled", False),
    },
    "topics-reach-two-channels": {
        "a subscription is not declared": drop(SUBSCRIPTION),
        "both subscriptions are by e-mail": put(SUBSCRIPTION, "protocol", "email-json", HTTPS),
        "a subscription filters all messages out": put(SUBSCRIPTION, "filterPolicy", '{"never": ["x"]}'),
    },
    "notifications-reach-two-channels": {
        "a notification has no e-mail address": put(NOTIFICATION, "mechanisms.emails", []),
        "a notification has no webhook": put(NOTIFICATION, "mechanisms.webhooks", ABSENT),
        "a notification is disabled": put(NOTIFICATION, "enabled", False),
        "a notification's webhooks are unknown": put(NOTIFICATION, "mechanisms.webhooks", Unknown.SECRET),
        "a notification's webhook is empty": put(NOTIFICATION, "mechanisms.webhooks", [{"id": ""}]),
        "a notification's e-mail address is empty": put(NOTIFICATION, "mechanisms.emails", [{"id": ""}]),
        "a notification's webhook is of another stack": put(NOTIFICATION, "mechanisms.webhooks", [{"id": OTHER_STACK}]),
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
        "a notification is about recoveries only": put(
            NOTIFICATION, "filters.statuses", ["Healthy"], named("health-check")
        ),
    },
    "members-are-watched": {
        "a machine has no alarm on its health": drop(ALARM, HEALTHY),
        "missing health data raises no alarm": put(ALARM, "treatMissingData", "notBreaching", HEALTHY),
        "bad health raises an alarm after an hour": put(ALARM, "evaluationPeriods", 60, HEALTHY),
        "good health raises the alarm": put(ALARM, "comparisonOperator", "GreaterThanThreshold", HEALTHY),
        "the health threshold is negative": put(ALARM, "threshold", -1, HEALTHY),
        "the health threshold is 0": put(ALARM, "threshold", 0, HEALTHY),
        "the health alarm reads another namespace": put(ALARM, "namespace", "x", HEALTHY),
        "the health alarm's period is 0": put(ALARM, "period", 0, HEALTHY),
        "the health alarm counts samples": put(ALARM, "statistic", "SampleCount", HEALTHY),
        "Healthy is not published": unpublished("Healthy"),
    },
    "replication-is-watched": {
        "the alarm on lag is not declared": drop(ALARM, LAG),
        "the alarm on the disk is not declared": drop(ALARM, DISK),
        "the alarm on the disk is raised at 99 %": put(ALARM, "threshold", 99, DISK),
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
        "CloudWatch may not publish": substitute(TOPIC_POLICY, "policy", "cloudwatch", "codebuild"),
        "the topic's policy denies publishing": substitute(TOPIC_POLICY, "policy", "Allow", "Deny"),
        "another statement denies publishing": put(
            TOPIC_POLICY,
            "policy",
            lambda text: json.dumps(
                {
                    "Statement": [
                        *json.loads(text)["Statement"],
                        {"Effect": "Deny", "Principal": "*", "Action": "sns:*", "Resource": "*"},
                    ]
                }
            ),
        ),
        "the services may only read the topic": substitute(
            TOPIC_POLICY, "policy", "sns:Publish", "sns:GetTopicAttributes"
        ),
    },
    "backup-age-is-watched": {
        "the alarm on backup age is not declared": drop(ALARM, BACKUP),
        "the alarm on backup age is raised after three days": put(ALARM, "threshold", 3 * 86400, BACKUP),
        "missing backup ages raise no alarm": put(ALARM, "treatMissingData", "missing", BACKUP),
        "the alarm is raised by young backups": put(ALARM, "comparisonOperator", "LessThanThreshold", BACKUP),
        "the alarm multiplies the age by 0": put(
            ALARM, "metricQueries[*].expression", lambda old: "0*MIN(METRICS())" if old else ABSENT, BACKUP
        ),
        "the alarm on backup age is raised a week late": put(ALARM, "evaluationPeriods", 10080, BACKUP),
        "the alarm on backup age reads another namespace": put(ALARM, "metricQueries[*].metric.namespace", "x", BACKUP),
        "the alarm on backup age counts samples": put(ALARM, "metricQueries[*].metric.stat", "SampleCount", BACKUP),
        "BackupAgeSeconds is not published": unpublished("BackupAgeSeconds", DATABASE),
    },
}
