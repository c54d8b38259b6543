"""Facts of R2, D1, KV, Queues and Hyperdrive.

Limits: https://developers.cloudflare.com/r2/buckets/create-buckets/, …/queues/platform/limits/ and
…/queues/configuration/configure-queues/, …/d1/platform/limits/, …/hyperdrive/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from sandbox.clouds import rules
from sandbox.clouds.cloudflare import prerequisites
from sandbox.clouds.facts import EvaluationContext, Facts, Rule, matching
from sandbox.provider import CheckFailure
from sandbox.values import Properties, Value

EPOCH = "2026-01-01T00:00:00Z"
UUID = "{hex8}-0000-4000-8000-{hex12}"
BUCKET = "cloudflare:index/r2Bucket:R2Bucket"
QUEUE = "cloudflare:index/queue:Queue"
DATABASE = "cloudflare:index/d1Database:D1Database"
NAMESPACE = "cloudflare:index/workersKvNamespace:WorkersKvNamespace"
HYPERDRIVE = "cloudflare:index/hyperdriveConfig:HyperdriveConfig"

_JURISDICTION = rules.one_of("default", "eu", "fedramp", "us")
_BUCKET_NAME = rules.text(
    r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
    "3 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends",
)
QUEUE_NAME = rules.text(
    r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
    "1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends",
)
_EVENTS = ("PutObject", "CopyObject", "DeleteObject", "CompleteMultipartUpload", "LifecycleDeletion")
# Ages are in seconds; the limit detects a Unix time (about 1.8e9) in place of an age.
_DAY = 86_400


def bucket_place(properties: Mapping[str, Any]) -> str:
    """Return the jurisdiction of a bucket or of a bucket setting."""
    return str(properties.get("jurisdiction") or "default").lower()


def _other_jurisdiction(context: EvaluationContext) -> str | None:
    """Return an error if the bucket is in another jurisdiction. Each jurisdiction may have a bucket of that name."""
    found = context.objects.look_all(BUCKET, context["bucketName"])
    said = str(context.get("jurisdiction") or "default")
    if not found or any(bucket_place(bucket) == said for bucket in found):
        return None
    places = ", ".join(bucket_place(bucket) for bucket in found)
    return f"jurisdiction {said!r} has no bucket {context['bucketName']!r}; it is in {places}: set that jurisdiction"


def _queue_name(context: EvaluationContext) -> Value:
    return (context.objects.look(QUEUE, context["queueId"]) or {}).get("queueName")


def _read_replication(context: EvaluationContext) -> str | None:
    """Return an error if a new database has read replication, or an update sets it to null."""
    mode: object = cast("dict[str, object]", context.get("readReplication") or {}).get("mode")
    if context.before is None and mode == "auto":
        return "readReplication 'auto' is only valid in an update; create the database with 'disabled', then change it"
    if context.before is not None and mode is None:
        return "readReplication: null is rejected (7400); set 'disabled' or 'auto'"
    return None


def _condition(inputs: Properties, pattern: str, age: str) -> Iterator[CheckFailure]:
    """Check that a condition of type Age has an age, and one of type Date a date."""
    for path, found in matching(inputs, pattern):
        if isinstance(found, dict):
            needed = {"Age": age, "Date": "date"}.get(str(found.get("type")))
            if needed is not None and found.get(needed) is None:
                yield CheckFailure(f"{path}.{needed}", f"is required when type is {found['type']}")


def _locks(inputs: Properties) -> Iterator[CheckFailure]:
    yield from _condition(inputs, "rules[].condition", "maxAgeSeconds")


def _transitions(inputs: Properties) -> Iterator[CheckFailure]:
    for kind in ("deleteObjectsTransition", "abortMultipartUploadsTransition", "storageClassTransitions[]"):
        yield from _condition(inputs, f"rules[].{kind}.condition", "maxAge")


def _dead_letters(inputs: Properties) -> Iterator[CheckFailure]:
    if inputs.get("type") == "worker" and inputs.get("scriptName") is None:
        yield CheckFailure("scriptName", "is required when type is worker")
    settings = inputs.get("settings")
    wrong = {"worker": "visibilityTimeoutMs", "http_pull": "maxConcurrency"}.get(str(inputs.get("type")))
    if wrong and isinstance(settings, dict) and settings.get(wrong) is not None:
        yield CheckFailure(f"settings.{wrong}", f"is not valid for type {inputs['type']}; remove it")


def bucket_setting(
    checks: Mapping[str, Rule] | None = None, key: str = "{bucketName}", unique: tuple[str, ...] = (), **others: Any
) -> Facts:
    """Return the facts of an R2 bucket setting."""
    return Facts(
        id=key,
        defaults={"jurisdiction": "default", **others.pop("defaults", {})},
        replaces=("bucketName", "jurisdiction", *others.pop("replaces", ())),
        rules={"jurisdiction": _JURISDICTION, **(checks or {})},
        references={"bucketName": BUCKET, **others.pop("references", {})},
        known_as=(),
        scope="{accountId}/{jurisdiction}",
        unique=(("bucketName", *unique),),
        rejects=_other_jurisdiction,
        **others,
    )


_PREFIX = rules.at_most_characters(1024)

TYPES = {
    BUCKET: Facts(
        id="{name}",
        computed={"creationDate": EPOCH, "location": "weur"},
        defaults={"jurisdiction": "default", "storageClass": "Standard"},
        replaces=("name", "jurisdiction", "location"),
        rules={"name": _BUCKET_NAME},
        scope="{accountId}/{jurisdiction}",
        unique=(("name",),),
        known_as=("name",),
    ),
    "cloudflare:index/r2BucketLock:R2BucketLock": bucket_setting(
        undeletable=("bucketName", "first declare rules: [] and run `up`, then remove it; until then the rules apply"),
        checks={
            "rules": rules.every(rules.at_most_items(1000), rules.distinct("id")),
            "rules[].condition.maxAgeSeconds": rules.at_least(1),
            "rules[].prefix": _PREFIX,
        },
        inputs_rules=(_locks,),
    ),
    "cloudflare:index/r2BucketLifecycle:R2BucketLifecycle": bucket_setting(
        undeletable=("bucketName", "first declare rules: [] and run `up`, then remove it; until then the rules apply"),
        checks={
            "rules": rules.every(rules.at_most_items(1000), rules.distinct("id")),
            "rules[].deleteObjectsTransition.condition.maxAge": rules.at_least(_DAY),
            "rules[].storageClassTransitions[].condition.maxAge": rules.at_least(_DAY),
            "rules[].storageClassTransitions[].storageClass": rules.one_of("InfrequentAccess"),
            "rules[].abortMultipartUploadsTransition.condition.maxAge": rules.at_least(_DAY),
            "rules[].conditions.prefix": _PREFIX,
        },
        inputs_rules=(_transitions,),
    ),
    "cloudflare:index/r2BucketEventNotification:R2BucketEventNotification": bucket_setting(
        {
            "rules": rules.at_most_items(100),
            "rules[].actions[]": rules.one_of(*_EVENTS),
        },
        key="{queueId}",
        unique=("queueId",),
        replaces=("queueId",),
        references={"queueId": QUEUE},
        computed={"queueName": _queue_name},
    ),
    "cloudflare:index/r2CustomDomain:R2CustomDomain": bucket_setting(
        key="{domain}",
        unique=("domain",),
        replaces=("domain",),
        computed={"zoneName": "{domain}", "status": None},
        defaults={"minTls": "1.0"},
    ),
    "cloudflare:index/r2ManagedDomain:R2ManagedDomain": bucket_setting(
        computed={"bucketId": "{hex32}", "domain": "pub-{hex32}.r2.dev"}
    ),
    "cloudflare:index/r2BucketCors:R2BucketCors": bucket_setting({"rules": rules.at_most_items(100)}),
    QUEUE: Facts(
        computed={
            "queueId": "{id}",
            "createdOn": EPOCH,
            "modifiedOn": EPOCH,
            "consumers": [],
            "producers": [],
            "consumersTotalCount": 0,
            "producersTotalCount": 0,
            "settings": None,
        },
        filled={
            "settings.deliveryDelay": 0,
            "settings.deliveryPaused": False,
            "settings.messageRetentionPeriod": 345_600,
        },
        replaces=("jurisdiction",),
        rules={
            "queueName": QUEUE_NAME,
            "settings.messageRetentionPeriod": rules.between(60, 1_209_600, "seconds"),
            "settings.deliveryDelay": rules.between(0, 86_400, "seconds"),
        },
        unique=(("accountId", "queueName"),),
        known_as=("queueName",),
    ),
    "cloudflare:index/queueConsumer:QueueConsumer": Facts(
        computed={
            "consumerId": "{id}",
            "createdOn": EPOCH,
            "queueName": _queue_name,
            "settings": None,
            "scriptName": None,
        },
        replaces=("queueId", "type"),
        rules={
            "settings.batchSize": rules.between(1, 100, "messages"),
            "settings.maxRetries": rules.between(0, 100),
            "settings.maxWaitTimeMs": rules.between(0, 60_000, "milliseconds"),
            "settings.maxConcurrency": rules.between(1, 250),
            "settings.retryDelay": rules.between(0, 86_400, "seconds"),
            "settings.visibilityTimeoutMs": rules.between(0, 43_200_000, "milliseconds"),
            "deadLetterQueue": QUEUE_NAME,
        },
        inputs_rules=(_dead_letters,),
        references={"queueId": QUEUE, "deadLetterQueue": QUEUE, "scriptName": "Worker"},
        rejects_in_update=prerequisites.script_is_deployed,
        # A queue has at most one push consumer.
        unique=(("queueId", "type"),),
    ),
    DATABASE: Facts(
        id=UUID,
        computed={"uuid": "{id}", "createdAt": EPOCH, "version": "production", "numTables": 0, "fileSize": 12288},
        replaces=("name", "jurisdiction", "primaryLocationHint"),
        rules={"name": rules.text(r"[A-Za-z0-9_-]{1,64}", "1 to 64 letters, digits, _ and -")},
        read_back=lambda outputs: {"readReplication": {"mode": "disabled"}, **outputs},
        rejects_in_update=_read_replication,
        unique=(("accountId", "name"),),
        known_as=("uuid", "name"),
    ),
    NAMESPACE: Facts(
        computed={"supportsUrlEncoding": True},
        replaces=("jurisdiction",),
        rules={"title": rules.text(r"\S(.{0,510}\S)?", "1 to 512 characters, without spaces at the ends")},
        unique=(("accountId", "title"),),
        known_as=(),
    ),
    HYPERDRIVE: Facts(
        computed={"createdOn": EPOCH, "modifiedOn": EPOCH, "restartedOn": EPOCH},
        rules={
            "origin.port": rules.between(1, 65535),
            "caching.maxAge": rules.between(0, 3600, "seconds"),
            "caching.staleWhileRevalidate": rules.between(0, 3600, "seconds"),
            "originConnectionLimit": rules.between(5, 100, "connections"),
        },
        rejects_in_update=prerequisites.database_answers,
        unique=(("accountId", "name"),),
        known_as=(),
    ),
}
