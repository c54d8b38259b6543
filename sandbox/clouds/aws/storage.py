"""Facts of S3 buckets and their settings, and of AWS Backup vaults.

Names: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.clouds import rules
from sandbox.clouds.aws.identity import KEY
from sandbox.clouds.facts import EvaluationContext, Facts, Rule
from sandbox.provider import CheckFailure
from sandbox.values import Properties, Value

BUCKET = "S3 bucket"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
_TOKENS = ("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
# The first day on which S3 allows a transition to the storage class.
_FIRST_TRANSITION = {"STANDARD_IA": 30, "ONEZONE_IA": 30}
_CLASSES = ("STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE")


def bucket_name(value: str) -> str | None:
    """Accept an S3 bucket's name."""
    said = f"{value!r} is not a bucket name: "
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", value):
        return (
            said
            + "it must be 3 to 63 lower-case letters, digits, dots and hyphens, with a letter or digit at both ends"
        )
    if (
        ".." in value
        or value.startswith(("xn--", "sthree-", "amzn-s3-demo-"))
        or value.endswith(("-s3alias", "--ol-s3"))
    ):
        return said + "it must not contain two adjacent dots, or a prefix or suffix that S3 reserves"
    try:
        ipaddress.IPv4Address(value)
    except ValueError:
        return None
    return said + "it must not have the form of an IP address"


def _lock_needs_versioning(inputs: Properties) -> Iterator[CheckFailure]:
    versioning = inputs.get("versioning")
    off = isinstance(versioning, dict) and versioning.get("enabled") is False
    if inputs.get("objectLockEnabled") is True and off:
        yield CheckFailure("versioning.enabled", "must be true if objectLockEnabled is: object lock needs versioning")


def _cannot_lock(context: EvaluationContext) -> str | None:
    """Return the reason why object lock cannot be configured on a bucket, or None."""
    bucket = context.objects.look(BUCKET, context["bucket"])
    if bucket is None or bucket.get("objectLockEnabled") is True:
        return None
    for versioning in context.objects.referring(context["bucket"], (VERSIONING,)):
        configured = versioning.get("versioningConfiguration")
        if isinstance(configured, dict) and configured.get("status") == "Enabled":
            return None
    return "bucket: object lock needs versioning; set objectLockEnabled on the bucket, or enable its versioning first"


def _cannot_suspend_versioning(context: EvaluationContext) -> str | None:
    """Return the reason why versioning cannot be suspended on a bucket, or None."""
    bucket = context.objects.look(BUCKET, context["bucket"]) or {}
    status = context.get("versioningConfiguration").get("status")
    if bucket.get("objectLockEnabled") is True and status != "Enabled":
        return "versioningConfiguration.status: must be Enabled, because the bucket has object lock"
    return None


def _one_period(inputs: Properties) -> Iterator[CheckFailure]:
    rule = inputs.get("rule")
    retention = rule.get("defaultRetention") if isinstance(rule, dict) else None
    if isinstance(retention, dict) and (retention.get("days") is None) == (retention.get("years") is None):
        yield CheckFailure("rule.defaultRetention.days", "set exactly one of days and years")


def _ordered(inputs: Properties) -> Iterator[CheckFailure]:
    """Check that transitions are in ascending order and before the expiration."""
    listed = inputs.get("rules")
    for index, rule in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(rule, dict):
            yield from _ordered_rule(rule, f"rules[{index}]")


def _ordered_rule(rule: Mapping[str, Any], path: str) -> Iterator[CheckFailure]:
    last = 0
    transitions: list[dict[str, Any]] = rule["transitions"] if isinstance(rule.get("transitions"), list) else []
    for index, transition in enumerate(transitions):
        days, storage = transition.get("days"), transition.get("storageClass")
        where = f"{path}.transitions[{index}].days"
        first = _FIRST_TRANSITION.get(storage, 0) if isinstance(storage, str) else 0
        if isinstance(days, int):
            if days < first:
                yield CheckFailure(where, f"{days} is too early; {storage} accepts objects from day {first}")
            if days < last:
                yield CheckFailure(where, f"{days} is before the preceding transition at {last}; sort them by days")
            last = days
    expiration: dict[str, Any] = rule["expiration"] if isinstance(rule.get("expiration"), dict) else {}
    days = expiration.get("days")
    if isinstance(days, int) and days <= last:
        yield CheckFailure(f"{path}.expiration.days", f"{days} must be later than the last transition at {last}")


def _bucket() -> Facts:
    return Facts(
        id="{bucket}",
        kind=BUCKET,
        computed={
            "arn": "arn:{partition}:s3:::{bucket}",
            "bucketDomainName": "{bucket}.s3.{dnsSuffix}",
            "bucketRegionalDomainName": "{bucket}.s3.{region}.{dnsSuffix}",
            "bucketRegion": "{region}",
            "hostedZoneId": "Z3AQBSTGFYJSTF",
            "websiteDomain": None,
            "websiteEndpoint": None,
            "policy": None,
            "accelerationStatus": None,
            "bucketPrefix": None,
        },
        defaults={"objectLockEnabled": False, "forceDestroy": False, "requestPayer": "BucketOwner"},
        replaces=("bucket", "bucketPrefix", "objectLockEnabled"),
        rules={"bucket": bucket_name, "policy": rules.iam_policy},
        inputs_rules=(_lock_needs_versioning,),
        unique=(("bucket",),),
        known_as=("arn", "bucket", "bucketDomainName"),
        autoname="bucket",
    )


def _setting(checks: Mapping[str, Rule] | None = None, **others: Any) -> Facts:
    """Return the facts of a bucket setting. A bucket has at most one of each type."""
    return Facts(
        id="{bucket}",
        replaces=("bucket", "expectedBucketOwner", *others.pop("replaces", ())),
        rules=checks or {},
        references={"bucket": BUCKET, **others.pop("references", {})},
        unique=(("bucket",),),
        **others,
    )


def _transition_rules(prefix: str) -> dict[str, Rule]:
    return {
        f"{prefix}.transitions[].storageClass": rules.one_of(*_CLASSES),
        f"{prefix}.noncurrentVersionTransitions[].storageClass": rules.one_of(*_CLASSES),
        f"{prefix}.expiration.days": rules.at_least(1),
        f"{prefix}.noncurrentVersionExpiration.noncurrentDays": rules.at_least(1),
        f"{prefix}.abortIncompleteMultipartUpload.daysAfterInitiation": rules.at_least(1),
    }


def _one_content(inputs: Properties) -> Iterator[CheckFailure]:
    given = [name for name in ("content", "contentBase64", "source") if inputs.get(name) is not None]
    for name in given[1:]:
        yield CheckFailure(name, f"cannot be combined with {given[0]}; set one of them")


_ALGORITHM = "rules[].applyServerSideEncryptionByDefault.sseAlgorithm"
_LOCK_MODE = rules.one_of("GOVERNANCE", "COMPLIANCE")


def _needs_key(inputs: Properties) -> Iterator[CheckFailure]:
    listed: Value = inputs.get("rules")
    for index, rule in enumerate(listed if isinstance(listed, list) else ()):
        default = rule.get("applyServerSideEncryptionByDefault") if isinstance(rule, dict) else None
        if isinstance(default, dict) and default.get("kmsMasterKeyId") and default.get("sseAlgorithm") == "AES256":
            where = f"rules[{index}].applyServerSideEncryptionByDefault.kmsMasterKeyId"
            yield CheckFailure(where, "is only valid for sseAlgorithm aws:kms; remove it, or use aws:kms")


TYPES = {
    **dict.fromkeys(_TOKENS, _bucket()),
    VERSIONING: _setting(
        {
            "versioningConfiguration.status": rules.one_of("Enabled", "Suspended", "Disabled"),
            "versioningConfiguration.mfaDelete": rules.one_of("Enabled", "Disabled"),
        },
        rejects=_cannot_suspend_versioning,
    ),
    "aws:s3/bucketObjectv2:BucketObjectv2": Facts(
        id="{bucket}/{key}",
        computed={
            "arn": "arn:{partition}:s3:::{bucket}/{key}",
            "etag": "{hex32}",
            "versionId": "",
            "checksumCrc32": "",
            "checksumCrc32c": "",
            "checksumCrc64nvme": "",
            "checksumSha1": "",
            "checksumSha256": "",
        },
        defaults={
            "bucketKeyEnabled": False,
            "contentType": "application/octet-stream",
            "forceDestroy": False,
            "serverSideEncryption": "AES256",
            "storageClass": "STANDARD",
        },
        replaces=("bucket", "key"),
        rules={
            "key": rules.bytes_at_most(1024),
            "contentBase64": rules.base64_of_at_most(5 * 1024**3),
        },
        inputs_rules=(_one_content,),
        references={"bucket": BUCKET},
        unique=(("bucket", "key"),),
    ),
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": _setting(
        {
            "objectLockEnabled": rules.one_of("Enabled"),
            "rule.defaultRetention.mode": _LOCK_MODE,
            "rule.defaultRetention.days": rules.between(1, 36500, "days"),
            "rule.defaultRetention.years": rules.between(1, 100, "years"),
        },
        inputs_rules=(_one_period,),
        defaults={"objectLockEnabled": "Enabled"},
        rejects=_cannot_lock,
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _setting(
        {_ALGORITHM: rules.one_of("AES256", "aws:kms", "aws:kms:dsse")},
        inputs_rules=(_needs_key,),
        references={"rules[].applyServerSideEncryptionByDefault.kmsMasterKeyId": KEY},
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _setting(
        defaults=dict.fromkeys(
            ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), False
        )
    ),
    "aws:s3/bucketPolicy:BucketPolicy": _setting({"policy": rules.iam_policy}),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _setting(
        {
            "rules": rules.every(rules.at_most_items(1000), rules.distinct("id")),
            "rules[].id": rules.at_most_characters(255),
            "rules[].status": rules.one_of("Enabled", "Disabled"),
            **_transition_rules("rules[]"),
        },
        inputs_rules=(_ordered,),
        computed={"expectedBucketOwner": "", "transitionDefaultMinimumObjectSize": "all_storage_classes_128K"},
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _setting(
        {"rule.objectOwnership": rules.one_of("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")}
    ),
    "aws:s3/bucketLogging:BucketLogging": _setting(references={"targetBucket": BUCKET}),
    "aws:s3/bucketNotification:BucketNotification": _setting(),
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig": _setting(
        {"rules[].status": rules.one_of("Enabled", "Disabled")}
    ),
    "aws:backup/vault:Vault": Facts(
        id="{name}",
        computed={"arn": "arn:{partition}:backup:{region}:{account}:backup-vault:{name}", "recoveryPoints": 0},
        replaces=("name", "kmsKeyArn"),
        rules={"name": rules.text(r"[A-Za-z0-9_-]{2,50}", "2 to 50 letters, digits, hyphens and underscores")},
        references={"kmsKeyArn": KEY},
        scope="{account}/{region}",
        unique=(("name",),),
        autoname="name",
    ),
}
