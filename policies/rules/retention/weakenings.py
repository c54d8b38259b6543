"""Weakenings of the rotation, and of the locks and lifecycle rules that carry it out."""

from __future__ import annotations

import copy
import functools
import operator
from collections.abc import Callable
from typing import Any

from policies.mutation.bindings import redocumented
from policies.mutation.files import edit
from policies.mutation.operators import (
    ABSENT,
    Change,
    Operator,
    Where,
    anything,
    chain,
    drop,
    named,
    put,
    put_everywhere,
)
from policies.mutation.weakening import Weakenings
from policies.rules.retention.rules import VERSIONING
from policies.views.edge import VERSION
from policies.views.lifecycles import DAY, R2_LIFECYCLE, R2_LOCK, S3_LIFECYCLE, S3_LOCK
from policies.views.machines import PGBACKREST
from policies.views.vault import S3

# Type to the path of a rule's age, and how many of its units are a day.
AGES = {
    R2_LIFECYCLE: ("deleteObjectsTransition.condition.maxAge", DAY),
    R2_LOCK: ("condition.maxAgeSeconds", DAY),
    S3_LIFECYCLE: ("expiration.days", 1),
}

OFFSITE = named("offsite")
Days = Callable[[float], float]
ALL_CLASSES = ("hourly", "daily", "monthly", "yearly")
REPLICA = named("replica")
OLD_VERSIONS = "rules[*].noncurrentVersionExpiration"
NEW_YEAR = "2027-01-01T00:00:00Z"


def about(*prefixes: str) -> Callable[[dict[str, Any]], bool]:
    """Accept a bucket's rules whose prefix begins with one of these."""

    def chosen(rule: dict[str, Any]) -> bool:
        part: dict[str, Any] = rule.get("conditions") or rule.get("filter") or {}
        return str(rule.get("prefix") or part.get("prefix") or "").startswith(prefixes)

    return chosen


def aged(type: str, days: Days, *prefixes: str) -> Change:
    """Return the change of a rule's age in days, if the rule is about one of these prefixes."""
    *outer, last = AGES[type][0].split(".")
    unit = AGES[type][1]

    def change(rule: dict[str, Any]) -> dict[str, Any]:
        changed = copy.deepcopy(rule)
        part = functools.reduce(operator.getitem, outer, changed)
        part[last] = int(days(part[last] / unit) * unit)
        return changed if about(*prefixes)(rule) else rule

    return change


def age(days: Days, *prefixes: str) -> Operator:
    """Change the age at which lifecycle rules delete, in all copies in one mutant."""
    types = (R2_LIFECYCLE, S3_LIFECYCLE)
    return put_everywhere({type: ("rules[*]", aged(type, days, *prefixes)) for type in types})


def one_age(type: str, days: Days, *prefixes: str, where: Where = anything) -> Operator:
    """Change the age of one bucket's rules."""
    return put(type, "rules[*]", aged(type, days, *prefixes), where)


def without(*prefixes: str) -> Change:
    """Remove a bucket's rules about these prefixes."""
    return lambda rules: [rule for rule in rules if not about(*prefixes)(rule)]


def and_also(rule: dict[str, Any]) -> Change:
    """Add a rule to a bucket."""
    return lambda rules: [*rules, rule]


def r2_rule(prefix: str, condition: dict[str, Any]) -> Change:
    """Add a lifecycle rule of R2."""
    deleting = {"conditions": {"prefix": prefix}, "deleteObjectsTransition": {"condition": condition}}
    return and_also({"id": "more", "enabled": True, **deleting})


def r2_days(prefix: str, days: int) -> Change:
    """Add a lifecycle rule of R2 that deletes at an age."""
    return r2_rule(prefix, {"type": "Age", "maxAge": days * DAY})


def s3_rule(prefix: str, **expiration: Any) -> Change:
    """Add a lifecycle rule of S3."""
    return and_also({"id": "more", "status": "Enabled", "filter": {"prefix": prefix}, "expiration": expiration})


def part(prefix: str, days: int) -> Operator:
    """Delete the objects below a prefix earlier than others, in all copies in one mutant."""
    return put_everywhere(
        {R2_LIFECYCLE: ("rules", r2_days(prefix, days)), S3_LIFECYCLE: ("rules", s3_rule(prefix, days=days))}
    )


def narrower(prefix: str, *parts: str) -> Operator:
    """Lock parts of what a lock rule locked."""

    def change(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
        chosen = about(prefix)
        others = [rule for rule in rules if not chosen(rule)]
        return others + [{**rule, "prefix": rule["prefix"] + one} for rule in rules if chosen(rule) for one in parts]

    return put(R2_LOCK, "rules", change)


def rotation(**changes: Any) -> Operator:
    """Change the rotation that all Workers follow, in one mutant."""

    def change(policy: dict[str, Any]) -> dict[str, Any]:
        return {**policy, **changes, "keepDays": {**policy["keepDays"], **changes.get("keepDays", {})}}

    return put_everywhere({VERSION: ("bindings", redocumented("ROTATION", change))})


WEAKENINGS: Weakenings = {
    "kept-as-long-as-the-rotation-says": {
        "every class is deleted a day early": age(lambda days: days - 31, *ALL_CLASSES),
        **{f"{kind} backups are deleted after a day": age(lambda _: 1, f"{kind}/") for kind in ALL_CLASSES[1:]},
        "one year's hourly backups are deleted early": part("hourly/backup/worker-1/20270101-010000F_", 9),
        "one year's monthly backups are deleted early": part("monthly/coordinator/2027", 1),
        "all objects are deleted on a date": chain(
            put(R2_LIFECYCLE, "rules", r2_rule("", {"type": "Date", "date": NEW_YEAR})),
            put(S3_LIFECYCLE, "rules", s3_rule("", date=NEW_YEAR)),
        ),
    },
    "everything-ages-out": {
        "hourly backups are never deleted": put(R2_LIFECYCLE, "rules", without("hourly/backup/")),
        "yearly backups are never deleted off-site": put(S3_LIFECYCLE, "rules", without("yearly/")),
        "a bucket has no lifecycle": chain(drop(R2_LIFECYCLE), drop(S3_LIFECYCLE)),
        "daily backups are kept a year too long": age(lambda days: days + 365, "daily/"),
        "a lifecycle rule is disabled": put(R2_LIFECYCLE, "rules[0].enabled", False),
        "the lifecycle is for another jurisdiction's bucket": put(R2_LIFECYCLE, "jurisdiction", "fedramp"),
        "old versions are never deleted": put(S3_LIFECYCLE, OLD_VERSIONS, ABSENT),
        "old versions are kept for 9999 days": put(S3_LIFECYCLE, OLD_VERSIONS, {"noncurrentDays": 9999}),
        "the newest old versions are never deleted": put(
            S3_LIFECYCLE, OLD_VERSIONS, {"noncurrentDays": 1, "newerNoncurrentVersions": 100}
        ),
        "only huge objects are deleted": put(S3_LIFECYCLE, "rules[*].filter.objectSizeGreaterThan", 10**14),
        "only tagged objects are deleted": put(
            S3_LIFECYCLE, "rules[*].filter", lambda old: {"and": {**old, "tags": {"old": "yes"}}}
        ),
    },
    "wal-outlives-what-needs-it": {
        "WAL is deleted before its backups": age(lambda days: days - 2, "hourly/archive/"),
        "pgBackRest's archive.info is deleted": put(R2_LIFECYCLE, "rules", r2_days("hourly/archive/", 60)),
        "one rule deletes the whole hourly class": put(R2_LIFECYCLE, "rules", r2_days("hourly/", 38)),
        "WAL of a later timeline is deleted early": part("hourly/archive/worker-1/17-1/00000002", 9),
        "WAL of a later log is deleted early": part("hourly/archive/worker-2/17-1/0000000100000001", 9),
    },
    "wal-ages-out": {
        "WAL of a group is never deleted": put(R2_LIFECYCLE, "rules", without("hourly/archive/worker-2/")),
    },
    "window-is-covered": {
        "the window's first day cannot be restored": age(lambda _: 7, "hourly/"),
        "the window is one day": rotation(pointInTimeDays=1),
        "hourly backups are kept for three days": rotation(keepDays={"hourly": 3}),
    },
    "locks-end-before-expiry": {
        "a lock ends after the deletion": one_age(R2_LOCK, lambda days: days + 90, "daily/", "monthly/"),
        "a lock never ends": put(R2_LOCK, "rules[*].condition", {"type": "Indefinite"}),
        "a lock on one group's daily backups never ends": put(
            R2_LOCK,
            "rules",
            and_also({"id": "z", "enabled": True, "prefix": "daily/coordinator/", "condition": {"type": "Indefinite"}}),
        ),
    },
    "locked-as-long-as-kept": {
        "locks end a day early": one_age(R2_LOCK, lambda days: days - 1, *ALL_CLASSES),
        "locks are disabled": put(R2_LOCK, "rules[*].enabled", False),
        "a bucket has no locks": drop(R2_LOCK),
        "a group's WAL is not locked": put(R2_LOCK, "rules", without("hourly/archive/worker-1/")),
        "the off-site lock lasts a day": put(S3_LOCK, "rule.defaultRetention.days", 1),
        "only WAL of the first timeline is locked": narrower("hourly/archive/", "1/00000001"),
        "only some daily backups are locked": narrower("daily/", "coordinator/x", "worker-1/x", "worker-2/x"),
        "manifests are not locked": put(R2_LOCK, "rules", without("manifests/")),
        "the locks are for another jurisdiction's bucket": put(R2_LOCK, "jurisdiction", "fedramp"),
    },
    "copies-keep-the-same": {
        "the replica deletes hourly backups a day early": one_age(
            R2_LIFECYCLE, lambda days: days - 1, "hourly/backup/", where=REPLICA
        ),
        "the off-site copy deletes daily backups early": one_age(S3_LIFECYCLE, lambda days: days - 30, "daily/"),
        "the replica has fewer locks": put(R2_LOCK, "rules", without("yearly/"), REPLICA),
        "the replica deletes a year's daily backups early": put(
            R2_LIFECYCLE, "rules", r2_days("daily/coordinator/2027", 1), REPLICA
        ),
    },
    "classes-build-on-each-other": {
        "monthly backups are kept as long as daily ones": rotation(keepDays={"monthly": 30}),
        "yearly backups are kept for a month": rotation(keepDays={"yearly": 31}),
    },
    "tool-and-rules-agree": {
        "pgBackRest has another retention": edit(PGBACKREST, "repo1-retention-full=.*", "repo1-retention-full=7"),
    },
    "fulls-are-always-left": {"the last full backups may be deleted": rotation(minimumFulls=1)},
    "offsite-is-locked-for-good": {
        "the owner can shorten the off-site lock": put(S3_LOCK, "rule.defaultRetention.mode", "GOVERNANCE"),
        "object lock is not enabled": put(S3, "objectLockEnabled", False, OFFSITE),
        "versioning is suspended": put(VERSIONING, "versioningConfiguration.status", "Suspended"),
        "the bucket can be deleted with its objects": put(S3, "forceDestroy", True, OFFSITE),
    },
    "manifests-are-kept": {
        "manifests are deleted before their backups": age(lambda _: 40, "manifests/"),
        "manifests of this century are deleted early": part("manifests/coordinator/2", 9),
    },
}
