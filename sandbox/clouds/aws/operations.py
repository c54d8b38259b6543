"""Facts of Systems Manager, CloudWatch, EventBridge and SNS.

Limits: the services' API references.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.clouds import rules
from sandbox.clouds.aws.identity import CREATED, KEY
from sandbox.clouds.aws.network import arn
from sandbox.clouds.facts import Facts, Rule
from sandbox.clouds.schedules import aws_schedule
from sandbox.provider import CheckFailure
from sandbox.values import Properties

DOCUMENT = "aws:ssm/document:Document"
WINDOW = "aws:ssm/maintenanceWindow:MaintenanceWindow"
WINDOW_TARGET = "aws:ssm/maintenanceWindowTarget:MaintenanceWindowTarget"
WINDOW_TASK = "aws:ssm/maintenanceWindowTask:MaintenanceWindowTask"
TOPIC = "aws:sns/topic:Topic"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
RULE = "aws:cloudwatch/eventRule:EventRule"
TARGET = "aws:cloudwatch/eventTarget:EventTarget"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
SEVERITIES = ("UNSPECIFIED", "LOW", "MEDIUM", "HIGH", "CRITICAL")

_PLACE = "{account}/{region}"
_RETENTION = (
    0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
)  # fmt: skip
_SSM_NAME = rules.text(r"[\w.-]{3,128}", "3 to 128 letters, digits and _ . -")
_CONCURRENCY = rules.text(r"[1-9]\d*|(100|[1-9]?\d)%", "a number, or a percentage such as 10%")
_ERRORS = rules.text(r"\d+|(100|[1-9]?\d)%", "a number, or a percentage such as 10%")
_COMPARISONS = (
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
    "LessThanLowerOrGreaterThanUpperThreshold",
    "LessThanLowerThreshold",
    "GreaterThanUpperThreshold",
)


def named(pattern: str, longest: int, words: str, **others: Any) -> Facts:
    """Return the facts of an object whose name is unique in an account and region."""
    checks: dict[str, Rule] = {"name": rules.text(pattern, f"1 to {longest} {words}"), **others.pop("rules", {})}
    replaces = ("name", "namePrefix", *others.pop("replaces", ()))
    return Facts(
        id=others.pop("id", "{name}"),
        replaces=replaces,
        rules=checks,
        scope=_PLACE,
        unique=(("name",),),
        autoname="name",
        **others,
    )


def _whole_minutes(value: float) -> str | None:
    if value in {10, 20, 30} or (value >= 60 and value % 60 == 0):
        return None
    return f"{value} is not a period; allowed are 10, 20, 30 and multiples of 60 seconds"


def _datapoints(inputs: Properties) -> Iterator[CheckFailure]:
    needed, of = inputs.get("datapointsToAlarm"), inputs.get("evaluationPeriods")
    if isinstance(needed, int) and isinstance(of, int) and needed > of:
        yield CheckFailure(
            "datapointsToAlarm", f"{needed} is more than evaluationPeriods {of}; allowed is from 1 to {of}"
        )


def _metric(inputs: Properties) -> Iterator[CheckFailure]:
    if inputs.get("metricQueries") is not None:
        for name in ("metricName", "namespace", "period", "statistic", "dimensions"):
            if inputs.get(name) is not None:
                yield CheckFailure(name, "cannot be combined with metricQueries; move it into a query")
        return
    if inputs.get("evaluationCriteria") is not None:
        return
    for name in ("metricName", "namespace", "period", "evaluationPeriods", "comparisonOperator"):
        if inputs.get(name) is None:
            yield CheckFailure(name, "is required unless metricQueries is set; set it")
    if (inputs.get("statistic") is None) == (inputs.get("extendedStatistic") is None):
        yield CheckFailure("statistic", "set exactly one of statistic and extendedStatistic")


def _release_dates(inputs: Properties) -> Iterator[CheckFailure]:
    """Check that rules for Debian and Ubuntu use no release dates: their repositories have none."""
    system, listed = inputs.get("operatingSystem"), inputs.get("approvalRules")
    if system not in {"DEBIAN", "UBUNTU"} or not isinstance(listed, list):
        return
    for index, rule in enumerate(listed):
        for name in ("approveAfterDays", "approveUntilDate"):
            if isinstance(rule, dict) and rule.get(name):  # Systems Manager's own baselines have 0
                why = f"is not supported for {system}, whose repositories have no release dates; remove it"
                yield CheckFailure(f"approvalRules[{index}].{name}", why)


def _window(inputs: Properties) -> Iterator[CheckFailure]:
    duration, cutoff = inputs.get("duration"), inputs.get("cutoff")
    if isinstance(duration, int) and isinstance(cutoff, int) and cutoff >= duration:
        yield CheckFailure("cutoff", f"{cutoff} must be less than duration {duration} (hours)")


def _trigger(inputs: Properties) -> Iterator[CheckFailure]:
    if inputs.get("scheduleExpression") is None and inputs.get("eventPattern") is None:
        yield CheckFailure("scheduleExpression", "set scheduleExpression or eventPattern")


TYPES = {
    "aws:ssm/association:Association": Facts(
        id="{hex8}-0000-4000-8000-{hex12}",
        computed={
            "associationId": "{id}",
            "arn": arn("ssm", "association/{id}"),
            "documentVersion": "$DEFAULT",
            "parameters": {},
            "targets": [],
        },
        replaces=("name",),
        rules={
            "scheduleExpression": aws_schedule,
            "maxConcurrency": _CONCURRENCY,
            "maxErrors": _ERRORS,
            "complianceSeverity": rules.one_of(*SEVERITIES),
            "targets": rules.at_most_items(5),
            "targets[].key": rules.text(
                r"InstanceIds|tag:.{1,128}|resource-groups:(Name|ResourceTypeFilters)", "InstanceIds or tag:NAME"
            ),
            "syncCompliance": rules.one_of("AUTO", "MANUAL"),
            "waitForSuccessTimeoutSeconds": rules.at_least(1),
        },
        references={"name": DOCUMENT},
    ),
    DOCUMENT: named(
        r"(?!AWS|aws-|amazon)[\w.-]{3,128}",
        128,
        "letters, digits and _ . -, at least 3, not beginning with AWS, aws- or amazon",
        computed={
            "arn": arn("ssm", "document/{name}"),
            "owner": "{account}",
            "hash": "{hex64}",
            "hashType": "Sha256",
            "status": "Active",
            "createdDate": CREATED,
            "defaultVersion": "1",
            "documentVersion": "1",
            "latestVersion": "1",
            "schemaVersion": "2.2",
            "description": "",
            "platformTypes": ["Linux"],
            "parameters": [],
        },
        defaults={"documentFormat": "JSON"},
        replaces=("documentType", "documentFormat"),
        rules={
            "documentFormat": rules.one_of("JSON", "YAML", "TEXT"),
            "documentType": rules.one_of("Command", "Automation", "Policy", "Session", "Package", "ChangeCalendar"),
            "content": rules.bytes_at_most(65536),
        },
        deletion_blocked_by=("aws:ssm/association:Association",),
    ),
    "aws:ssm/parameter:Parameter": named(
        r"[\w./-]{1,1011}",
        1011,
        "letters, digits and . _ / -",
        computed={"arn": "arn:{partition}:ssm:{region}:{account}:parameter/{name}", "version": 1, "keyId": None},
        defaults={"tier": "Standard", "dataType": "text"},
        rules={
            "type": rules.one_of("String", "StringList", "SecureString"),
            "tier": rules.one_of("Standard", "Advanced", "Intelligent-Tiering"),
            "value": rules.bytes_at_most(8192),
        },
        references={"keyId": KEY},
    ),
    WINDOW: Facts(
        id="mw-{hex17}",
        defaults={"enabled": True, "allowUnassociatedTargets": False},
        rules={
            "name": _SSM_NAME,
            "schedule": aws_schedule,
            "duration": rules.between(1, 24, "hours"),
            "cutoff": rules.between(0, 23, "hours"),
            "scheduleOffset": rules.between(1, 6, "days"),
        },
        inputs_rules=(_window,),
        deletion_blocked_by=(WINDOW_TARGET, WINDOW_TASK),
        autoname="name",
    ),
    WINDOW_TARGET: Facts(
        id="{hex8}-0000-4000-8000-{hex12}",
        replaces=("windowId", "resourceType"),
        rules={
            "name": _SSM_NAME,
            "resourceType": rules.one_of("INSTANCE", "RESOURCE_GROUP"),
            "targets": rules.at_most_items(5),
        },
        references={"windowId": WINDOW},
        autoname="name",
    ),
    WINDOW_TASK: Facts(
        id="{hex8}-0000-4000-8000-{hex12}",
        computed={"arn": arn("ssm", "windowtask/{id}"), "windowTaskId": "{id}"},
        defaults={"priority": 1},
        replaces=("windowId", "taskType", "taskArn"),
        rules={
            "name": _SSM_NAME,
            "taskType": rules.one_of("AUTOMATION", "LAMBDA", "RUN_COMMAND", "STEP_FUNCTIONS"),
            "maxConcurrency": _CONCURRENCY,
            "maxErrors": _ERRORS,
            "priority": rules.at_least(0),
            "cutoffBehavior": rules.one_of("CONTINUE_TASK", "CANCEL_TASK"),
        },
        references={"windowId": WINDOW},
        autoname="name",
    ),
    "aws:ssm/patchBaseline:PatchBaseline": Facts(
        id="pb-{hex17}",
        computed={"arn": arn("ssm", "patchbaseline/{id}"), "json": "{{}}"},
        defaults={"operatingSystem": "WINDOWS", "approvedPatchesComplianceLevel": "UNSPECIFIED"},
        replaces=("operatingSystem",),
        rules={
            "name": _SSM_NAME,
            "approvalRules[].approveAfterDays": rules.between(0, 360, "days"),
            "approvalRules[].complianceLevel": rules.one_of("INFORMATIONAL", *SEVERITIES),
            "approvedPatchesComplianceLevel": rules.one_of("INFORMATIONAL", *SEVERITIES),
        },
        inputs_rules=(_release_dates,),
        autoname="name",
    ),
    LOG_GROUP: named(
        r"[\w./#-]{1,512}",
        512,
        "letters, digits and _ . / # -",
        computed={"arn": arn("logs", "log-group:{name}"), "logGroupClass": "STANDARD"},
        defaults={"retentionInDays": 0, "skipDestroy": False},
        replaces=("logGroupClass",),
        rules={
            "retentionInDays": rules.one_of(*_RETENTION),
            "logGroupClass": rules.one_of("STANDARD", "INFREQUENT_ACCESS", "DELIVERY"),
        },
        references={"kmsKeyId": KEY},
    ),
    ALARM: named(
        r".{1,255}",
        255,
        "characters",
        computed={"arn": arn("cloudwatch", "alarm:{name}")},
        defaults={"actionsEnabled": True, "treatMissingData": "missing"},
        rules={
            "comparisonOperator": rules.one_of(*_COMPARISONS),
            "evaluationPeriods": rules.at_least(1),
            "datapointsToAlarm": rules.at_least(1),
            "period": _whole_minutes,
            "statistic": rules.one_of("SampleCount", "Average", "Sum", "Minimum", "Maximum"),
            "treatMissingData": rules.one_of("missing", "ignore", "breaching", "notBreaching"),
            "alarmActions": rules.at_most_items(5),
            "okActions": rules.at_most_items(5),
            "alarmActions[]": rules.text(r"arn:aws[a-z-]*:.+", "an ARN"),
        },
        inputs_rules=(_datapoints, _metric),
    ),
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": Facts(
        id="{alarmName}",
        computed={"arn": arn("cloudwatch", "alarm:{alarmName}")},
        defaults={"actionsEnabled": True},
        replaces=("alarmName",),
        rules={"alarmName": rules.at_most_characters(255), "alarmActions": rules.at_most_items(5)},
        scope=_PLACE,
        unique=(("alarmName",),),
    ),
    "aws:cloudwatch/dashboard:Dashboard": Facts(
        id="{dashboardName}",
        computed={"dashboardArn": "arn:{partition}:cloudwatch::{account}:dashboard/{dashboardName}"},
        replaces=("dashboardName",),
        rules={
            "dashboardName": rules.text(r"[\w-]{1,255}", "letters, digits, _ and -"),
            "dashboardBody": rules.json_object,
        },
        scope=_PLACE,
        unique=(("dashboardName",),),
    ),
    RULE: named(
        r"[\w.-]{1,64}",
        64,
        "letters, digits and . _ -",
        computed={"arn": arn("events", "rule/{name}")},
        defaults={"eventBusName": "default", "state": "ENABLED"},
        rules={
            "scheduleExpression": aws_schedule,
            "eventPattern": rules.json_object,
            "state": rules.one_of("ENABLED", "DISABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"),
        },
        inputs_rules=(_trigger,),
        deletion_blocked_by=(TARGET,),
    ),
    TARGET: Facts(
        id="{rule}-{targetId}",
        replaces=("rule", "targetId", "eventBusName"),
        references={"rule": RULE},
        scope=_PLACE,
        unique=(("rule", "targetId"),),
        autoname="targetId",
    ),
    TOPIC: named(
        r"[\w-]{1,256}(\.fifo)?",
        256,
        "letters, digits, _ and -",
        id="arn:{partition}:sns:{region}:{account}:{name}",
        computed={
            "arn": "{id}",
            "owner": "{account}",
            "policy": None,
            "signatureVersion": 1,
            "beginningArchiveTime": "",
        },
        replaces=("fifoTopic",),
        rules={"policy": rules.iam_policy, "displayName": rules.at_most_characters(100)},
        references={"kmsMasterKeyId": KEY},
    ),
    "aws:sns/topicPolicy:TopicPolicy": Facts(
        id="{arn}",
        computed={"owner": "{account}"},
        replaces=("arn",),
        rules={"policy": rules.iam_policy},
        references={"arn": TOPIC},
        known_as=(),
        unique=(("arn",),),
    ),
    "aws:sns/topicSubscription:TopicSubscription": Facts(
        id="{topic}:{hex8}-0000-4000-8000-{hex12}",
        computed={
            "arn": "{id}",
            "ownerId": "{account}",
            "confirmationWasAuthenticated": False,
            "pendingConfirmation": lambda context: context["protocol"] in {"email", "email-json", "http", "https"},
        },
        replaces=("endpoint", "protocol", "topic"),
        rules={
            "protocol": rules.one_of(
                "sqs", "sms", "lambda", "firehose", "application", "email", "email-json", "http", "https"
            )
        },
        references={"topic": TOPIC},
        unique=(("topic", "protocol", "endpoint"),),
    ),
}
