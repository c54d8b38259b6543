"""A bucket's lock and lifecycle rules: for how many days they lock objects, and after how many they delete them.

Only rules with a prefix and an age are read; other rules are undetermined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from policies.graph import Graph, Node, Resource, Undetermined

R2_LOCK: Final = "cloudflare:index/r2BucketLock:R2BucketLock"
R2_LIFECYCLE: Final = "cloudflare:index/r2BucketLifecycle:R2BucketLifecycle"
S3_LIFECYCLE: Final = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
S3_LOCK: Final = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"

DAY: Final = 86_400
NEVER: Final = float("inf")


@dataclass(frozen=True)
class Expiry:
    """The days after which lifecycle rules delete objects, by prefix.

    `gone` includes the days for which S3 keeps an old version of a deleted object; in R2 both are the same.
    """

    deleted: dict[str, float]
    gone: dict[str, float]


def r2_expiry(graph: Graph, bucket: Resource) -> Expiry:
    """Return when R2 deletes objects."""
    days: dict[str, float] = {}
    for lifecycle in in_place(graph, bucket, R2_LIFECYCLE):
        for rule in lifecycle.items("rules"):
            if rule.flag("enabled") and rule.read("deleteObjectsTransition") is not None:
                _nothing_but(rule, "conditions", "prefix")
                seconds = _aged(rule, "deleteObjectsTransition.condition", "maxAge")
                _keep(days, rule.text("conditions.prefix"), seconds / DAY, min)
    return Expiry(days, days)


def r2_lock(graph: Graph, bucket: Resource) -> dict[str, float]:
    """Return how long R2 locks objects: days by prefix."""
    days: dict[str, float] = {}
    for lock in in_place(graph, bucket, R2_LOCK):
        for rule in lock.items("rules"):
            if rule.flag("enabled"):
                for_ever = rule.text("condition.type") == "Indefinite"
                seconds = NEVER if for_ever else _aged(rule, "condition", "maxAgeSeconds")
                _keep(days, rule.text("prefix"), seconds / DAY, max)
    return days


def s3_expiry(graph: Graph, bucket: Resource) -> Expiry:
    """Return when S3 deletes objects; a deleted object's version remains until it expires, too."""
    deleted: dict[str, float] = {}
    gone: dict[str, float] = {}
    for lifecycle in graph.referring(bucket, S3_LIFECYCLE, "bucket"):
        for rule in lifecycle.items("rules"):
            if rule.text("status") != "Enabled":
                continue
            _nothing_but(rule, "", "filter", "expiration", "noncurrentVersionExpiration", *_HARMLESS)
            _nothing_but(rule, "filter", "prefix")
            _nothing_but(rule, "expiration", "days")
            _nothing_but(rule, "noncurrentVersionExpiration", "noncurrentDays")
            days, old = rule.number("expiration.days"), rule.number("noncurrentVersionExpiration.noncurrentDays")
            if days:
                prefix = rule.text("filter.prefix")
                _keep(deleted, prefix, days, min)
                _keep(gone, prefix, days + (old or NEVER), min)
    return Expiry(deleted, gone)


_HARMLESS: Final = ("id", "status", "abortIncompleteMultipartUpload", "transitions", "noncurrentVersionTransitions")


def s3_lock(graph: Graph, bucket: Resource) -> dict[str, float]:
    """Return S3's default retention, for the whole bucket; a writer may set a later date for an object."""
    days = [
        found
        for lock in graph.referring(bucket, S3_LOCK, "bucket")
        if (found := _retention(lock)) is not None
    ]  # fmt: skip
    return {"": max(days)} if days else {}


def _retention(lock: Resource) -> float | None:
    years = lock.number("rule.defaultRetention.years")
    return years * 365 if years else lock.number("rule.defaultRetention.days")


def in_place(graph: Graph, bucket: Resource, type: str) -> list[Resource]:
    """Return the resources for an R2 bucket in its own jurisdiction; in another, they are for another bucket."""
    own = _jurisdiction(bucket)
    return [one for one in graph.referring(bucket, type, "bucketName") if _jurisdiction(one) == own]


def _jurisdiction(resource: Resource) -> str:
    return resource.text("jurisdiction") or "default"


def _aged(rule: Node, path: str, figure: str) -> float:
    """Return the seconds of a condition on age; another condition is undetermined."""
    kind, seconds = rule.text(f"{path}.type"), rule.number(f"{path}.{figure}")
    if kind not in {"Age", ""} or seconds is None:
        raise Undetermined(rule.urn, f"{rule.path}.{path}", f"is of type {kind or 'nothing'}; Age is expected")
    return seconds


def _nothing_but(rule: Node, path: str, *names: str) -> None:
    found = rule.read(path) if path else dict(rule.properties)
    strange = (
        sorted(key for key, value in found.items() if value and key not in names) if isinstance(found, dict) else []
    )
    if strange:
        place = ".".join(part for part in (rule.path, path, strange[0]) if part)
        raise Undetermined(rule.urn, place, f"is not read by the rules; use {' and '.join(names[:3])} alone")


def _keep(days: dict[str, float], prefix: str, found: float, better: Callable[[float, float], float]) -> None:
    days[prefix] = better(days.get(prefix, found), found)
