"""Test cases for every setting at both ends of its range, generated from the models and packed into few plans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from harness.stacks import REMOVED, configured, problems_of
from model.settings import Settings
from tests.components.planning import STABLE_VERSION

Changes = dict[str, Any]

_LABEL = "a" + "-1" * 31  # 63 characters, the longest label
_PRIMARY = {"name": "primary", "kind": "r2", "jurisdiction": "us"}
_AWS = {"name": "offsite", "kind": "s3", "region": "ap-southeast-2"}
_STORE = {
    "name": "archive",
    "kind": "s3",
    "region": "nord-1",
    "endpoint": "https://s3.example.net",
    "bucket": "backups",
    "accessKeyId": "AKIDEXAMPLE",
    "secretAccessKey": "secret",
    "readAccessKeyId": "AKIDREADER",
    "readSecretAccessKey": "read-only",
    "lockMode": "GOVERNANCE",
}
# Values of settings without a range or a list of values: the shortest and the longest, or one of each kind.
EXAMPLES: Mapping[str, tuple[Any, ...]] = {
    "backups.formerGroups": ([], [f"worker-{number}" for number in range(63, 65)]),
    "domain": ("a.io", f"{_LABEL}.{'b' * 40}.example"),
    "statusDomain": ("b.io", f"{_LABEL}.{'c' * 40}.example"),
    "contact": ("a@c.io", f"{'a' * 64}@{_LABEL}.example"),
    "mail.exchangers": (
        [{"host": "mx.example.org"}],
        [{"host": f"mx{index}.example.org", "priority": index * 65535 // 9} for index in range(10)],
    ),
    "mail.senders": ([], [f"spf{index}.example.org" for index in range(5)]),
    "mail.dkim": ([], [{"selector": f"s{index}", "target": f"s{index}.example.org"} for index in range(10)]),
    "tags": ({}, {f"key-{index:02}": "v" * 256 for index in range(40)}),
    "edge.accountId": ("f" * 32,),
    "api.hostname": ("a", _LABEL),
    "api.script": ("workers/api",),
    "api.rollout.stableVersion": (STABLE_VERSION,),
    "database.region": ("us-west-2",),
    "database.zones": (["eu-central-1d", "eu-central-1e", "eu-central-1f"],),
    "database.network": ("10.0.0.0/16", "192.168.64.0/18"),
    "database.image": ("ami-01234567", "ami-0123456789abcdef0"),
    "database.imagePipeline.baseImage": ("ami-01234567", "ami-0123456789abcdef0"),
    "database.imagePipeline.instanceType": ("t4g.small",),
    "database.consensus.instanceType": ("t4g.small",),
    "database.coordinator.instanceType": ("r8g.metal-48xl",),
    "database.workers.instanceType": ("r8g.metal-48xl",),
    "database.gateways.instanceType": ("t4g.small",),
    "database.certificateAuthorities": (["2027"], ["first", "0123456789abcdef", "z"]),
    "backups.copies": (
        [_PRIMARY, {"name": "replica", "kind": "r2", "jurisdiction": "eu"}, _AWS | {"region": "us-east-1"}],
        [_PRIMARY, _AWS, _STORE],
        [
            _PRIMARY,
            {"name": "replica", "kind": "r2", "jurisdiction": "fedramp"},
            *(
                _AWS
                | {"name": f"aws{index}", "region": region, "roleArn": f"arn:aws:iam::12345678901{index}:role/copies"}
                for index, region in enumerate(("eu-north-1", "us-east-1", "ap-southeast-2"))
            ),
            *(_STORE | {"name": f"{'s' * 10}{index}", "region": f"region-{index}"} for index in range(3)),
        ],
    ),
    "uptime.targetPercent": (0.001, 100.0),
    "uptime.credits": (
        [],
        [{"belowPercent": 0.001, "creditPercent": 1}],
        [{"belowPercent": 99.9, "creditPercent": 1}, {"belowPercent": 50.0, "creditPercent": 100}],
    ),
    "status.operators": ([], ["a"], [f"operator-{index:02}" for index in range(20)]),
    "status.components": (
        [],
        [{"id": f"component-{index:02}", "name": "n" * 40, "url": "https://example.com/up"} for index in range(14)],
    ),
    "maintenance.noticeHours": (24, 8760),
    "alarms.emails": (["a@b.io"], [f"person-{index}@example.com" for index in range(10)]),
    "alarms.webhooks": (["https://example.com"], [f"https://example.com/{index}" for index in range(5)]),
    "alarms.replicationLagBytes": (1, 2**40),
}
# Other settings that a value requires, because contradicting settings are refused.
_ROTATION = ("hourlyDays", "dailyDays", "monthlyMonths", "yearlyYears")


def _rotation(*kept: int) -> Changes:
    return {f"backups.rotation.{name}": value for name, value in zip(_ROTATION, kept, strict=True)}


_ELSEWHERE: Changes = {"contact": "a@elsewhere.example", "alarms.emails": ["b@elsewhere.example"]}
BESIDE: Mapping[tuple[str, Any], Changes] = {
    ("mail", REMOVED): _ELSEWHERE,
    ("mail.exchangers", REMOVED): _ELSEWHERE,
    ("database.imagePipeline.baseImage", REMOVED): {"database.imagePipeline": REMOVED},
    ("tier", "production"): {"database.coordinator.members": 3, "database.workers.members": 3, "protect": True},
    ("tier", "staging"): {},
    ("protect", False): {"tier": "staging"},
    ("api.rollout.percentage", 1): {"api.rollout.stableVersion": STABLE_VERSION},
    ("database.coordinator.members", 2): {"tier": "staging"},
    ("database.workers.members", 2): {"tier": "staging"},
    # Two members in each group keep the plan small.
    ("database.workers.groups", 64): {"tier": "staging", "database.workers.members": 2},
    ("database.region", "us-west-2"): {"database.zones": ["us-west-2a", "us-west-2b", "us-west-2c"]},
    ("backups.rotation.hourlyDays", 1): {"backups.pointInTimeDays": 1},
    ("backups.rotation.hourlyDays", 90): _rotation(90, 91, 3, 1),
    ("backups.rotation.dailyDays", 2): {"backups.pointInTimeDays": 1, **_rotation(1, 2, 1, 1)},
    ("backups.rotation.dailyDays", 366): _rotation(7, 366, 12, 2),
    ("backups.rotation.monthlyMonths", 1): _rotation(7, 14, 1, 1),
    ("backups.rotation.monthlyMonths", 120): _rotation(7, 35, 120, 11),
    ("backups.rotation.yearlyYears", 1): _rotation(7, 14, 1, 1),
    ("backups.pointInTimeDays", 90): _rotation(90, 91, 3, 1),
    ("uptime.targetPercent", 0.001): {"uptime.credits": []},
}


@dataclass(frozen=True)
class Case:
    """One setting with one value, and the other settings that this value requires."""

    path: str
    words: str
    changes: Changes

    def __str__(self) -> str:
        return f"{self.path} {self.words}"


def cases(stack: str) -> list[Case]:
    """Return the cases of all settings: absent if optional, both ends of a range, and each listed value."""
    shipped = configured(stack)
    return [case for path, field in leaves(Settings) for case in _of(path, field, shipped)]


def leaves(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every field with its dotted path, a section before its fields."""
    for field in model.model_fields.values():
        here = f"{path}.{field.alias}" if path else str(field.alias)
        yield here, field
        if _section(field.annotation):
            yield from leaves(field.annotation, here)


def packed(stack: str) -> list[list[Case]]:
    """Return the cases in groups without contradictions. Each group becomes one plan."""
    groups: list[list[Case]] = []
    for case in cases(stack):
        for group in groups:
            changes = changes_of(group)
            if _compatible(changes, case.changes) and not problems_of(stack, changes | case.changes):
                group.append(case)
                break
        else:
            groups.append([case])
    return groups


def changes_of(group: list[Case]) -> Changes:
    """Return the changes of all cases of a group."""
    return {path: value for case in group for path, value in case.changes.items()}


def _of(path: str, field: FieldInfo, shipped: Changes) -> Iterator[Case]:
    if not field.is_required() and _present(shipped, path):
        yield Case(path, "absent", {path: REMOVED, **BESIDE.get((path, REMOVED), {})})
    for value in _values(path, field):
        yield Case(path, f"= {str(value)[:40]}", {path: value, **BESIDE.get(_hashable(path, value), {})})


def _values(path: str, field: FieldInfo) -> Iterator[Any]:
    if path in EXAMPLES:
        yield from EXAMPLES[path]
    elif field.annotation is bool:
        yield from (True, False)
    elif isinstance(field.annotation, type) and issubclass(field.annotation, StrEnum):
        yield from (str(value) for value in field.annotation)
    else:
        yield from (end.ge if isinstance(end, Ge) else end.le for end in field.metadata if isinstance(end, Ge | Le))


def _hashable(path: str, value: Any) -> tuple[str, Any]:
    return (path, None if isinstance(value, list | dict) else value)


def _present(shipped: Changes, path: str) -> bool:
    first, *inner = path.split(".")
    section: Any = shipped.get(f"backbuild:{first}")
    for part in inner:
        section = section.get(part) if isinstance(section, dict) else None
    return section is not None


def _compatible(one: Changes, other: Changes) -> bool:
    """Whether no path of one equals or contains a path of the other, except for equal paths with equal values."""
    return not any(
        (mine == theirs and one[mine] != other[theirs])
        or mine.startswith(f"{theirs}.")
        or theirs.startswith(f"{mine}.")
        for mine in one
        for theirs in other
    )


def _section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
