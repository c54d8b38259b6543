"""Weakenings of the rotation: of locks, lifecycles, and what the Workers follow."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from policies.mutation.edge import binding, document
from policies.mutation.operators import Change, Operator, Where, chain, drop, having, named, put, put_everywhere
from policies.mutation.weakening import VERSION, Weakening

LOCK = "cloudflare:index/r2BucketLock:R2BucketLock"
LIFECYCLE = "cloudflare:index/r2BucketLifecycle:R2BucketLifecycle"
S3 = "aws:s3/bucket:Bucket"
S3_LOCK = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
S3_LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
DAY = 86_400


def worker(purpose: str) -> Where:
    """The version of one of the Workers that look after backups."""
    return having("mainModule", f"backups/{purpose}/index.js")


LOOKING_AFTER = having(
    "mainModule", *(f"backups/{one}/index.js" for one in ("replicate", "verify", "age-out", "watch"))
)


def about(*prefixes: str) -> Callable[[dict[str, Any]], bool]:
    """Whether a bucket's rule is about one of these prefixes."""

    def chosen(rule: dict[str, Any]) -> bool:
        part: dict[str, Any] = rule.get("conditions") or rule.get("filter") or {}
        return str(rule.get("prefix") or part.get("prefix") or "").startswith(prefixes)

    return chosen


def aged(days: Callable[[float], float], *prefixes: str) -> dict[str, tuple[str, Change]]:
    """Lifecycle rules about these prefixes expire after other days, in R2's form and in S3's."""
    chosen = about(*prefixes)

    def r2(rule: dict[str, Any]) -> dict[str, Any]:
        old = rule["deleteObjectsTransition"]["condition"]["maxAge"]
        condition = {"type": "Age", "maxAge": int(days(old / DAY) * DAY)}
        return {**rule, "deleteObjectsTransition": {"condition": condition}} if chosen(rule) else rule

    def s3(rule: dict[str, Any]) -> dict[str, Any]:
        return {**rule, "expiration": {"days": int(days(rule["expiration"]["days"]))}} if chosen(rule) else rule

    return {LIFECYCLE: ("rules[*]", r2), S3_LIFECYCLE: ("rules[*]", s3)}


def gone(*prefixes: str) -> Change:
    """A change of a bucket's rules: those about these prefixes are not declared."""
    return lambda rules: [rule for rule in rules if not about(*prefixes)(rule)]


def locked(days: Callable[[float], float], *prefixes: str) -> Change:
    """A change of lock rules: those about these prefixes hold for other days."""

    def change(rule: dict[str, Any]) -> dict[str, Any]:
        old = rule["condition"]["maxAgeSeconds"] / DAY
        condition = {"type": "Age", "maxAgeSeconds": int(days(old) * DAY)}
        return {**rule, "condition": condition} if about(*prefixes)(rule) else rule

    return change


def every(change: Change) -> Change:
    """The same change of each item."""
    return lambda items: [change(item) for item in items]


def expiring(prefix: str, days: int) -> Change:
    """A change of lifecycle rules: one more."""
    return lambda rules: [
        *rules,
        {
            "id": "more",
            "enabled": True,
            "conditions": {"prefix": prefix},
            "deleteObjectsTransition": {"condition": {"type": "Age", "maxAge": days * DAY}},
        },
    ]


def rotation(**changes: Any) -> Operator:
    """All Workers follow another rotation."""

    def change(bindings: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {**one, "json": json.dumps(_merged(json.loads(one["json"]), changes))} if one["name"] == "ROTATION" else one
            for one in bindings
        ]

    return put_everywhere({VERSION: ("bindings", change)})


def _merged(policy: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {**policy, **changes, "keepDays": {**policy["keepDays"], **changes.get("keepDays", {})}}


WEAKENINGS = (
    # the rotation as rules
    Weakening(
        "every class expires a day before its time",
        "kept-as-long-as-the-rotation-says",
        put_everywhere(aged(lambda days: days - 31, "hourly", "daily", "monthly", "yearly")),
    ),
    *(
        Weakening(
            f"{kind} backups expire after a day",
            "kept-as-long-as-the-rotation-says",
            put_everywhere(aged(lambda _: 1, f"{kind}/")),
        )
        for kind in ("daily", "monthly", "yearly")
    ),
    Weakening(
        "hourly backups expire a day early, in one copy",
        "copies-keep-the-same",
        put(LIFECYCLE, "rules", every(aged(lambda days: days - 1, "hourly/backup/")[LIFECYCLE][1]), named("replica")),
    ),
    Weakening(
        "the off-site copy lets go a month early",
        "copies-keep-the-same",
        put(S3_LIFECYCLE, "rules", every(aged(lambda days: days - 30, "daily/")[S3_LIFECYCLE][1])),
    ),
    Weakening("hourly backups never expire", "everything-ages-out", put(LIFECYCLE, "rules", gone("hourly/backup/"))),
    Weakening(
        "yearly backups never expire off-site", "everything-ages-out", put(S3_LIFECYCLE, "rules", gone("yearly/"))
    ),
    Weakening("no lifecycle at all", "everything-ages-out", chain(drop(LIFECYCLE), drop(S3_LIFECYCLE))),
    Weakening(
        "backups are kept a year too long",
        "everything-ages-out",
        put_everywhere(aged(lambda days: days + 365, "daily/")),
    ),
    Weakening("a lifecycle rule that is off", "everything-ages-out", put(LIFECYCLE, "rules[0].enabled", False)),
    Weakening(
        "WAL goes before its backups",
        "wal-outlives-what-needs-it",
        put_everywhere(aged(lambda days: days - 2, "hourly/archive/")),
    ),
    Weakening(
        "the archive's description expires",
        "wal-outlives-what-needs-it",
        put(LIFECYCLE, "rules", expiring("hourly/archive/", 60)),
    ),
    Weakening(
        "everything hourly expires by one rule",
        "wal-outlives-what-needs-it",
        put(LIFECYCLE, "rules", expiring("hourly/", 38)),
    ),
    Weakening("WAL of a group never goes", "wal-ages-out", put(LIFECYCLE, "rules", gone("hourly/archive/worker-2/"))),
    Weakening(
        "the window's first day cannot be restored", "window-is-covered", put_everywhere(aged(lambda _: 7, "hourly/"))
    ),
    Weakening("a window of a day", "window-is-covered", rotation(pointInTimeDays=1)),
    Weakening("hourly backups are kept for three days", "window-is-covered", rotation(keepDays={"hourly": 3})),
    Weakening(
        "a lock that outlasts the expiry",
        "locks-end-before-expiry",
        put(LOCK, "rules", every(locked(lambda days: days + 90, "daily/", "monthly/"))),
    ),
    Weakening(
        "a lock for ever",
        "locks-end-before-expiry",
        put(LOCK, "rules", every(lambda rule: {**rule, "condition": {"type": "Indefinite"}})),
    ),
    Weakening(
        "locks a day shorter",
        "locked-as-long-as-kept",
        put(LOCK, "rules", every(locked(lambda days: days - 1, "hourly", "daily", "monthly", "yearly"))),
    ),
    Weakening("locks that are off", "locked-as-long-as-kept", put(LOCK, "rules[*].enabled", False)),
    Weakening("a bucket without locks", "locked-as-long-as-kept", drop(LOCK)),
    Weakening(
        "a group's WAL is not locked", "locked-as-long-as-kept", put(LOCK, "rules", gone("hourly/archive/worker-1/"))
    ),
    Weakening("the off-site lock is a day", "locked-as-long-as-kept", put(S3_LOCK, "rule.defaultRetention.days", 1)),
    Weakening(
        "the replica's locks differ", "copies-keep-the-same", put(LOCK, "rules", gone("yearly/"), named("replica"))
    ),
    Weakening("months go with the days", "classes-build-on-each-other", rotation(keepDays={"monthly": 30})),
    Weakening("a year is a month", "classes-build-on-each-other", rotation(keepDays={"yearly": 31})),
    Weakening("the last backups may age out", "fulls-are-always-left", rotation(minimumFulls=1)),
    Weakening(
        "the owner can shorten the off-site lock",
        "offsite-is-locked-for-good",
        put(S3_LOCK, "rule.defaultRetention.mode", "GOVERNANCE"),
    ),
    Weakening("no object lock", "offsite-is-locked-for-good", put(S3, "objectLockEnabled", False)),
    Weakening(
        "no versions off-site",
        "offsite-is-locked-for-good",
        put(VERSIONING, "versioningConfiguration.status", "Suspended"),
    ),
    Weakening(
        "manifests go before what they list", "manifests-are-kept", put_everywhere(aged(lambda _: 40, "manifests/"))
    ),
    Weakening(
        "one Worker follows a rotation of its own",
        "workers-share-one-rotation",
        put(VERSION, "bindings", document("ROTATION", pointInTimeDays=9), LOOKING_AFTER),
    ),
    Weakening(
        "a Worker without the rotation",
        "workers-share-one-rotation",
        put(VERSION, "bindings", binding("ROTATION"), LOOKING_AFTER),
    ),
    Weakening(
        "a Worker that mistakes the lock",
        "workers-share-one-rotation",
        put(VERSION, "bindings", binding("LOCK_MODE", text="GOVERNANCE"), worker("replicate")),
    ),
)
