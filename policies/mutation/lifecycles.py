"""Weakenings of locks and lifecycles that spare what a glance would look at: a part, a date, a size, another place."""

from __future__ import annotations

from typing import Any

from policies.mutation.operators import Change, New, Operator, chain, named, put, put_everywhere
from policies.mutation.rotation import DAY, LIFECYCLE, LOCK, S3, S3_LIFECYCLE, about, every, gone
from policies.mutation.weakening import Weakening

EVENTS = "cloudflare:index/r2BucketEventNotification:R2BucketEventNotification"


def more(rule: dict[str, Any]) -> Change:
    """A change of a bucket's rules: one more."""
    return lambda rules: [*rules, rule]


def r2(prefix: str, condition: dict[str, Any]) -> Change:
    """One more lifecycle rule in R2's form."""
    conditions = {"prefix": prefix}
    return more(
        {"id": "more", "enabled": True, "conditions": conditions, "deleteObjectsTransition": {"condition": condition}}
    )


def s3(prefix: str, **expiration: Any) -> Change:
    """One more lifecycle rule in S3's form."""
    return more({"id": "more", "status": "Enabled", "filter": {"prefix": prefix}, "expiration": expiration})


def part(prefix: str, days: int) -> Operator:
    """In every copy alike, what lies below a prefix goes earlier than the rest."""
    return put_everywhere(
        {
            LIFECYCLE: ("rules", r2(prefix, {"type": "Age", "maxAge": days * DAY})),
            S3_LIFECYCLE: ("rules", s3(prefix, days=days)),
        }
    )


def each(change: Change) -> Operator:
    """Every rule of S3's lifecycle is changed."""
    return put(S3_LIFECYCLE, "rules", every(change))


def narrower(kind: str, *parts: str) -> Operator:
    """A lock holds for parts of what it held for."""

    def change(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
        chosen = about(kind)
        whole = [rule for rule in rules if not chosen(rule)]
        return whole + [{**rule, "prefix": rule["prefix"] + one} for rule in rules if chosen(rule) for one in parts]

    return put(LOCK, "rules", change)


def elsewhere(type: str, jurisdiction: New = "fedramp") -> Operator:
    """Declared for a bucket of the same name in another jurisdiction."""
    return put(type, "jurisdiction", jurisdiction)


WEAKENINGS = (
    Weakening(
        "WAL of a later timeline goes early",
        "wal-outlives-what-needs-it",
        part("hourly/archive/worker-1/17-1/00000002", 9),
    ),
    Weakening(
        "WAL of a later log goes early",
        "wal-outlives-what-needs-it",
        part("hourly/archive/worker-2/17-1/0000000100000001", 9),
    ),
    Weakening("manifests of this century go early", "manifests-are-kept", part("manifests/coordinator/2", 9)),
    Weakening(
        "backups of a year go early",
        "kept-as-long-as-the-rotation-says",
        part("hourly/backup/worker-1/20270101-010000F_", 9),
    ),
    Weakening("a year's months go early", "kept-as-long-as-the-rotation-says", part("monthly/coordinator/2027", 1)),
    Weakening(
        "WAL of the first timeline alone is locked", "locked-as-long-as-kept", narrower("hourly/archive/", "1/00000001")
    ),
    Weakening(
        "a part of the days alone is locked",
        "locked-as-long-as-kept",
        narrower("daily/", "coordinator/x", "worker-1/x", "worker-2/x"),
    ),
    Weakening("manifests are not locked", "locked-as-long-as-kept", put(LOCK, "rules", gone("manifests/"))),
    Weakening(
        "a group's days are locked for ever",
        "locks-end-before-expiry",
        put(
            LOCK,
            "rules",
            more({"id": "z", "enabled": True, "prefix": "daily/coordinator/", "condition": {"type": "Indefinite"}}),
        ),
    ),
    Weakening("locks of another jurisdiction's bucket", "locked-as-long-as-kept", elsewhere(LOCK)),
    Weakening("lifecycles of another jurisdiction's bucket", "everything-ages-out", elsewhere(LIFECYCLE)),
    Weakening("events of another jurisdiction's bucket", "replicated-at-once", elsewhere(EVENTS)),
    # other actions than age
    Weakening(
        "everything goes on a date",
        "kept-as-long-as-the-rotation-says",
        chain(
            put(LIFECYCLE, "rules", r2("", {"type": "Date", "date": "2027-01-01T00:00:00Z"})),
            put(S3_LIFECYCLE, "rules", s3("", date="2027-01-01T00:00:00Z")),
        ),
    ),
    Weakening(
        "old versions never go",
        "everything-ages-out",
        each(lambda rule: {key: value for key, value in rule.items() if key != "noncurrentVersionExpiration"}),
    ),
    Weakening(
        "old versions are kept for ten thousand days",
        "everything-ages-out",
        each(lambda rule: {**rule, "noncurrentVersionExpiration": {"noncurrentDays": 9999}}),
    ),
    Weakening(
        "some old versions are kept for ever",
        "everything-ages-out",
        each(
            lambda rule: {
                **rule,
                "noncurrentVersionExpiration": {"noncurrentDays": 1, "newerNoncurrentVersions": 100},
            }
        ),
    ),
    Weakening(
        "only what is huge goes",
        "everything-ages-out",
        each(lambda rule: {**rule, "filter": {**rule["filter"], "objectSizeGreaterThan": 10**14}}),
    ),
    Weakening(
        "only what is tagged goes",
        "everything-ages-out",
        each(lambda rule: {**rule, "filter": {"and": {**rule["filter"], "tags": {"old": "yes"}}}}),
    ),
    Weakening("the off-site bucket goes with its objects", "offsite-is-locked-for-good", put(S3, "forceDestroy", True)),
    Weakening(
        "the replica loses a year's days",
        "copies-keep-the-same",
        put(LIFECYCLE, "rules", r2("daily/coordinator/2027", {"type": "Age", "maxAge": DAY}), named("replica")),
    ),
)
