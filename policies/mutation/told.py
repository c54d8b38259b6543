"""Weakenings of alarms that stay declared and can never fire, or that nobody hears."""

from __future__ import annotations

import json
from typing import Any

from policies.graph import Unknown
from policies.mutation.edge import (
    ALARM,
    EVENT_RULE,
    HEALTH_CHECK,
    NOTIFICATION,
    RECORD,
    SUBSCRIPTION,
    TOPIC_POLICY,
    silent,
)
from policies.mutation.machines import DATABASE, KEEPS_DATA
from policies.mutation.operators import ABSENT, Change, Operator, anything, drop, drop_all, edit, having, named, put
from policies.mutation.rotation import every
from policies.mutation.weakening import GATE, Weakening

GATED = "gate-waits-for-health"
ASKED = "api-is-asked-from-outside"
CHECK = "/usr/local/sbin/backbuild-healthy --wait"
LAG, DISK, HEALTHY = silent("ReplicationLagBytes"), silent("DataDiskUsedPercent"), silent("Healthy")
WAITING = silent("WalWaitingSeconds")
PUBLISHING = "/usr/local/sbin/backbuild-metrics"
BACKUP = named("-backup")
HTTPS = having("protocol", "https")


def pattern(**changes: Any) -> Operator:
    """The rule for failed gates looks for something else."""
    named_so = {key.replace("_", "-"): value for key, value in changes.items()}
    return put(EVENT_RULE, "eventPattern", lambda text: json.dumps({**json.loads(text), **named_so}))


def queries(change: Change) -> Operator:
    """Each query of a backup alarm is changed."""
    return put(ALARM, "metricQueries", every(change), BACKUP)


def expression(text: str) -> Operator:
    """A backup alarm computes something else."""
    return queries(lambda query: {**query, "expression": text} if "expression" in query else query)


def metric(**changes: Any) -> Operator:
    """A backup alarm looks at other figures."""
    return queries(lambda query: {**query, "metric": {**query["metric"], **changes}} if "metric" in query else query)


def command(text: str) -> Operator:
    """A gate runs something else."""
    return put(GATE, "parameters.commands", text)


WEAKENINGS = (
    Weakening("mail servers removed from the zone", "contacts-receive-mail", drop_all(RECORD, having("type", "MX"))),
    Weakening(
        "a null MX record",
        "contacts-receive-mail",
        put(RECORD, "content", ".", having("type", "MX")),
    ),
    Weakening(
        "an alarm address below a zone",
        "contacts-receive-mail",
        put(SUBSCRIPTION, "endpoint", "oncall@alarms.backbuild.ai", having("protocol", "email")),
    ),
    Weakening(
        "webhooks that nobody knows",
        "notifications-reach-two-channels",
        put(NOTIFICATION, "mechanisms.webhooks", Unknown.SECRET),
    ),
    Weakening(
        "a webhook without an address",
        "notifications-reach-two-channels",
        put(NOTIFICATION, "mechanisms.webhooks", [{"id": ""}]),
    ),
    Weakening(
        "an address that is none",
        "notifications-reach-two-channels",
        put(NOTIFICATION, "mechanisms.emails", [{"id": ""}]),
    ),
    Weakening(
        "a webhook of another stack",
        "notifications-reach-two-channels",
        put(NOTIFICATION, "mechanisms.webhooks", [{"id": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"}]),
    ),
    Weakening("two kinds of mail", "topics-reach-two-channels", put(SUBSCRIPTION, "protocol", "email-json", HTTPS)),
    Weakening(
        "a subscription that passes nothing on",
        "topics-reach-two-channels",
        put(SUBSCRIPTION, "filterPolicy", '{"never": ["x"]}'),
    ),
    Weakening(
        "only good news from outside",
        "outside-is-watched",
        put(NOTIFICATION, "filters.statuses", ["Healthy"], named("health-check")),
    ),
    Weakening("ill is well", "members-are-watched", put(ALARM, "comparisonOperator", "GreaterThanThreshold", HEALTHY)),
    Weakening("never ill enough", "members-are-watched", put(ALARM, "threshold", -1, HEALTHY)),
    Weakening("ill is not little enough", "members-are-watched", put(ALARM, "threshold", 0, HEALTHY)),
    Weakening("another platform's health", "members-are-watched", put(ALARM, "namespace", "x", HEALTHY)),
    Weakening("health over no time", "members-are-watched", put(ALARM, "period", 0, HEALTHY)),
    Weakening("how often health was told", "members-are-watched", put(ALARM, "statistic", "SampleCount", HEALTHY)),
    *(
        Weakening(f"{what}: {name}", "replication-is-watched", put(ALARM, path, value, where))
        for what, where in (("lag", LAG), ("disk", DISK))
        for name, path, value in (
            ("less is more", "comparisonOperator", "LessThanThreshold"),
            ("another platform's", "namespace", "x"),
            ("a day of it", "evaluationPeriods", 1440),
            ("no limit", "threshold", 1e15),
            ("no limit said", "threshold", ABSENT),
        )
    ),
    Weakening("no alarm on WAL that waits", "archiving-is-watched", drop(ALARM, WAITING)),
    *(
        Weakening(f"WAL that waits: {name}", "archiving-is-watched", put(ALARM, path, value, WAITING))
        for name, path, value in (
            ("less is more", "comparisonOperator", "LessThanThreshold"),
            ("another platform's", "namespace", "x"),
            ("a day of it", "evaluationPeriods", 1440),
            ("an hour and more", "threshold", 7200),
        )
    ),
    *(
        Weakening(f"{figure} is not published", rule, edit(PUBLISHING, rf"^add {figure} .*\n", "", roles))
        for figure, rule, roles in (
            ("Healthy", "members-are-watched", anything),
            ("DataDiskUsedPercent", "replication-is-watched", KEEPS_DATA),
            ("ReplicationLagBytes", "replication-is-watched", DATABASE),
            ("WalWaitingSeconds", "archiving-is-watched", DATABASE),
            ("BackupAgeSeconds", "backup-age-is-watched", DATABASE),
        )
    ),
    Weakening(
        "young backups alarm", "backup-age-is-watched", put(ALARM, "comparisonOperator", "LessThanThreshold", BACKUP)
    ),
    Weakening("backups are always new", "backup-age-is-watched", expression("0*MIN(METRICS())")),
    Weakening("a week of old backups", "backup-age-is-watched", put(ALARM, "evaluationPeriods", 10080, BACKUP)),
    Weakening("another platform's backups", "backup-age-is-watched", metric(namespace="x")),
    Weakening("how often an age was told", "backup-age-is-watched", metric(stat="SampleCount")),
    Weakening(
        "alarms are refused",
        "topics-may-be-written",
        put(TOPIC_POLICY, "policy", lambda text: text.replace("Allow", "Deny")),
    ),
    Weakening(
        "alarms are refused after all",
        "topics-may-be-written",
        put(
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
    ),
    Weakening(
        "the services may read the topic",
        "topics-may-be-written",
        put(TOPIC_POLICY, "policy", lambda text: text.replace("sns:Publish", "sns:GetTopicAttributes")),
    ),
    # gates
    Weakening("the rule for failed gates is off", "failed-gates-alarm", put(EVENT_RULE, "state", "DISABLED")),
    Weakening("another kind of event", "failed-gates-alarm", pattern(detail_type=["nothing"])),
    Weakening(
        "one gate's failure alone",
        "failed-gates-alarm",
        pattern(detail={"status": ["Failed", "FAILED"], "association-id": ["x"]}),
    ),
    Weakening("another region's failures", "failed-gates-alarm", pattern(region=["mars-north-1"])),
    Weakening(
        "a gate that is always passed",
        GATED,
        command(f"{CHECK} 1740 || true"),
    ),
    Weakening("a gate that looks for a second", GATED, command(f"{CHECK} 1")),
    Weakening("a gate that gives up at once", GATED, put(GATE, "waitForSuccessTimeoutSeconds", 1)),
    Weakening("a gate whose command is cut short", GATED, put(GATE, "parameters.executionTimeout", "1")),
    Weakening("a gate that looks by the clock", GATED, put(GATE, "applyOnlyAtCronInterval", True)),
    Weakening("a gate that runs something else", GATED, put(GATE, "name", "AWS-GatherSoftwareInventory")),
    # the API's health
    Weakening("errors are expected", ASKED, put(HEALTH_CHECK, "httpConfig.expectedCodes", ["5xx"])),
    Weakening(
        "anything is expected",
        ASKED,
        put(HEALTH_CHECK, "httpConfig.expectedCodes", ["200", "5xx"]),
    ),
    Weakening("a thousand failures in a row", ASKED, put(HEALTH_CHECK, "consecutiveFails", 1000)),
)
