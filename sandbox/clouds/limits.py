"""The documented limits of sizes, counts and name lengths for the types that the platform declares, with sources.

The limits are checked in `check`, so that a preview reports an error that a real cloud would report during an update.
Ranges of numbers and the form of names are in the packages' tables, beside the types.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sandbox.clouds.facts import matching
from sandbox.provider import CheckFailure
from sandbox.values import Properties, holds_unknown

WORKERS: Final = "https://developers.cloudflare.com/workers/platform/limits/"
D1: Final = "https://developers.cloudflare.com/d1/platform/limits/"
DNS: Final = "https://developers.cloudflare.com/dns/manage-dns-records/reference/"
IAM: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"
S3: Final = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/"
CLOUDWATCH: Final = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"
EVENTS: Final = "https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html"
SSM: Final = "https://docs.aws.amazon.com/systems-manager/latest/APIReference/"
MIB: Final = 1024 * 1024


@dataclass(frozen=True)
class Limit:
    """The maximum size of a property, in a unit of `MEASURES`, and its source."""

    type: str
    path: str
    most: int
    unit: str
    source: str


def _decoded(modules: list[dict[str, Any]]) -> bytes:
    try:
        return b"".join(base64.b64decode(str(one.get("contentBase64") or "")) for one in modules)
    except binascii.Error:
        return b""


def _variables(bindings: list[dict[str, Any]]) -> int:
    return sum(1 for one in bindings if one.get("type") in {"plain_text", "secret_text", "json"})


MEASURES: Final[dict[str, Callable[[Any], int]]] = {
    "bytes": lambda value: len(str(value).encode()),
    "bytes of JSON": lambda value: len((value if isinstance(value, str) else json.dumps(value)).encode()),
    "characters": lambda value: len(str(value)),
    "characters without spaces": lambda value: len("".join(str(value).split())),
    "items": len,
    "variables and secrets": _variables,
    "bytes of modules": lambda value: len(_decoded(value)),
    "bytes of compressed modules": lambda value: len(gzip.compress(_decoded(value))),
}

_VERSION = "cloudflare:index/workerVersion:WorkerVersion"
_SCRIPT = "cloudflare:index/workersScript:WorkersScript"

LIMITS: Final[tuple[Limit, ...]] = (
    *(
        Limit(type, path, most, unit, WORKERS)
        for type in (_VERSION, _SCRIPT)
        for path, most, unit in (
            ("bindings[].text", 5 * 1024, "bytes"),
            ("bindings[].json", 5 * 1024, "bytes of JSON"),
            ("bindings", 128, "variables and secrets"),
        )
    ),
    Limit(_VERSION, "modules", 64 * MIB, "bytes of modules", WORKERS),
    Limit(_VERSION, "modules", 10 * MIB, "bytes of compressed modules", WORKERS),
    Limit(_VERSION, "annotations.workersTag", 100, "bytes", "the provider's own description"),
    Limit("cloudflare:index/workersCronTrigger:WorkersCronTrigger", "schedules", 250, "items", WORKERS),
    Limit("cloudflare:index/dnsRecord:DnsRecord", "content", 2048, "characters", DNS),
    Limit("aws:iam/role:Role", "name", 64, "characters", IAM),
    Limit("aws:iam/role:Role", "assumeRolePolicy", 2048, "characters without spaces", IAM),
    Limit("aws:iam/rolePolicy:RolePolicy", "policy", 10_240, "characters without spaces", IAM),
    Limit("aws:iam/user:User", "name", 64, "characters", IAM),
    Limit("aws:iam/userPolicy:UserPolicy", "policy", 2048, "characters without spaces", IAM),
    Limit("aws:iam/policy:Policy", "policy", 6144, "characters without spaces", IAM),
    Limit("aws:iam/instanceProfile:InstanceProfile", "name", 128, "characters", IAM),
    Limit("aws:s3/bucketPolicy:BucketPolicy", "policy", 20 * 1024, "bytes", f"{S3}bucket-policies.html"),
    Limit("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "rules", 1000, "items",
          f"{S3}object-lifecycle-mgmt.html"),
    Limit("aws:kms/key:Key", "policy", 32 * 1024, "bytes",
          "https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html"),
    Limit("aws:kms/alias:Alias", "name", 256, "characters",
          "https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateAlias.html"),
    Limit("aws:sns/topic:Topic", "name", 256, "characters",
          "https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html"),
    Limit("aws:sns/topicPolicy:TopicPolicy", "policy", 30 * 1024, "bytes",
          "https://docs.aws.amazon.com/general/latest/gr/sns.html"),
    Limit("aws:secretsmanager/secret:Secret", "name", 512, "characters",
          "https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html"),
    Limit("aws:cloudwatch/metricAlarm:MetricAlarm", "name", 255, "characters", CLOUDWATCH),
    Limit("aws:cloudwatch/metricAlarm:MetricAlarm", "alarmDescription", 1024, "characters", CLOUDWATCH),
    Limit("aws:cloudwatch/metricAlarm:MetricAlarm", "metricQueries", 20, "items", CLOUDWATCH),
    Limit("aws:cloudwatch/metricAlarm:MetricAlarm", "namespace", 255, "characters", CLOUDWATCH),
    Limit("aws:cloudwatch/logGroup:LogGroup", "name", 512, "characters",
          "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html"),
    Limit("aws:cloudwatch/eventRule:EventRule", "name", 64, "characters", EVENTS),
    Limit("aws:cloudwatch/eventRule:EventRule", "eventPattern", 4096, "characters", EVENTS),
    Limit("aws:cloudwatch/eventRule:EventRule", "description", 512, "characters", EVENTS),
    Limit("aws:ssm/association:Association", "associationName", 128, "characters", f"{SSM}API_CreateAssociation.html"),
    Limit("aws:ssm/maintenanceWindow:MaintenanceWindow", "name", 128, "characters",
          f"{SSM}API_CreateMaintenanceWindow.html"),
    Limit("aws:ssm/maintenanceWindowTarget:MaintenanceWindowTarget", "name", 128, "characters",
          f"{SSM}API_RegisterTargetWithMaintenanceWindow.html"),
    Limit("aws:ssm/patchBaseline:PatchBaseline", "name", 128, "characters", f"{SSM}API_CreatePatchBaseline.html"),
    Limit("aws:ssm/patchBaseline:PatchBaseline", "rejectedPatches", 50, "items", f"{SSM}API_CreatePatchBaseline.html"),
    Limit("aws:ec2/securityGroup:SecurityGroup", "name", 255, "characters",
          "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html"),
)  # fmt: skip


def against_limits(type: str, inputs: Properties) -> Iterator[CheckFailure]:
    """Yield the inputs of a resource that exceed a limit. Unknown values are not checked."""
    for limit in LIMITS:
        if limit.type == type:
            for path, value in matching(inputs, limit.path):
                size = 0 if holds_unknown(value) and limit.unit != "variables and secrets" else _size(limit, value)
                if size > limit.most:
                    reason = f"has {size} {limit.unit}; at most {limit.most} are allowed ({limit.source})"
                    yield CheckFailure(path, reason)


def _size(limit: Limit, value: Any) -> int:
    return MEASURES[limit.unit](value)
