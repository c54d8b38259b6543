"""The lock and lifecycle rules of all copies are computed from one rotation, in each cloud's units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given

from components.offsite import s3_lifecycle_rules
from components.vault import r2_lifecycle_rules, r2_lock_rules
from harness.stacks import topology_of
from model.rotation import FORMER_POSTGRES_MAJORS, Retention, retention_of
from model.settings import Rotation
from model.topology import ABANDONED_UPLOAD_DAYS, POSTGRES_MAJOR
from tests.model.rotations import RETENTIONS

DAY = 24 * 60 * 60
ROTATION = Rotation.model_validate({"hourlyDays": 7, "dailyDays": 35, "monthlyMonths": 13, "yearlyYears": 7})
GROUPS = ["coordinator", "worker-1"]
# Computed by hand from the rotation above. Hourly: one day more, for a full backup that may be a day older.
LOCKED_DAYS = {"hourly": 8, "daily": 35, "monthly": 13 * 31, "yearly": 7 * 366, "manifests": 8}
# Lifecycle rules delete 30 days after the age-out Worker. Manifests are kept as long as the longest class.
EXPIRY_DAYS = {"hourly": 38, "daily": 65, "monthly": 13 * 31 + 30, "yearly": 7 * 366 + 30, "manifests": 7 * 366 + 30}
KEPT = retention_of(ROTATION, GROUPS, (17,))


def locks_of(retention: Sequence[Retention]) -> list[Any]:
    return list(r2_lock_rules(retention))


def expiries_of(retention: Sequence[Retention]) -> list[Any]:
    return list(r2_lifecycle_rules(retention))


def offsite_of(retention: Sequence[Retention]) -> list[Any]:
    return list(s3_lifecycle_rules(retention))


def test_locks_and_expiries_have_the_exact_ages_of_the_rotation():
    wal = ["hourly-archive-coordinator-17", "hourly-archive-worker-1-17"]
    whole = ["daily", "monthly", "yearly", "manifests"]
    locked = {f"lock-{rule}": LOCKED_DAYS[rule.split("-")[0]] * DAY for rule in [*wal, *whole]}
    expiring = {f"expire-{rule}": EXPIRY_DAYS[rule.split("-")[0]] for rule in ["hourly-backup", *wal, *whole]}
    assert {rule["id"]: rule["condition"]["max_age_seconds"] for rule in locks_of(KEPT)} == locked
    assert {rule["id"]: rule["delete_objects_transition"]["condition"]["max_age"] for rule in expiries_of(KEPT)} == {
        rule: days * DAY for rule, days in expiring.items()
    }
    assert {rule["id"]: rule["expiration"]["days"] for rule in offsite_of(KEPT)} == expiring


REWRITTEN = ["hourly/backup/coordinator/backup.info", "hourly/backup/coordinator/20261124-010000F/backup.manifest.copy"]
NEVER_EXPIRING = ["hourly/archive/coordinator/archive.info", "hourly/archive/worker-1/archive.info.copy"]


def test_rewritten_files_are_not_locked_and_archive_info_does_not_expire():
    locked = tuple(rule["prefix"] for rule in locks_of(KEPT))
    expiring = tuple(rule["conditions"]["prefix"] for rule in expiries_of(KEPT))
    assert not [key for key in [*REWRITTEN, *NEVER_EXPIRING] if key.startswith(locked)]
    assert not [key for key in NEVER_EXPIRING if key.startswith(expiring)]
    assert "hourly/archive/worker-1/17-1/0000000100000000/000000010000000000000001-abc.zst".startswith(locked)


@given(RETENTIONS)
def test_every_class_has_a_lock_and_an_expiry_under_its_own_prefix(retention: list[Retention]):
    expiring = [prefix for kept in retention for prefix in kept.expiring]
    locks, expiries, offsite = (
        locks_of(retention),
        expiries_of(retention),
        offsite_of(retention),
    )
    locked = [prefix for kept in retention for prefix in kept.locked]
    assert sorted(rule["prefix"] for rule in locks) == sorted(locked)
    assert sorted(rule["conditions"]["prefix"] for rule in expiries) == sorted(expiring)
    assert sorted(rule["filter"]["prefix"] for rule in offsite) == sorted(expiring)
    assert all(rule["enabled"] for rule in [*locks, *expiries])
    assert {rule["status"] for rule in offsite} == {"Enabled"}
    assert {rule["condition"]["type"] for rule in locks} == {"Age"}
    for rules in (locks, expiries, offsite):
        assert len({rule["id"] for rule in rules}) == len(rules)


@given(RETENTIONS)
def test_no_object_expires_before_its_lock_and_retention_end_in_r2_and_s3(retention: list[Retention]):
    locked = {rule["prefix"]: rule["condition"]["max_age_seconds"] for rule in locks_of(retention)}
    kept = {prefix: one.keep_days * DAY for one in retention for prefix in one.expiring}
    for expiry, offsite in zip(expiries_of(retention), offsite_of(retention), strict=True):
        prefix, expires = (
            expiry["conditions"]["prefix"],
            expiry["delete_objects_transition"]["condition"]["max_age"],
        )
        assert 0 < locked.pop(prefix, 1) <= kept[prefix] <= expires - 30 * DAY
        assert expires == offsite["expiration"]["days"] * DAY
    assert not locked  # each lock is under an expiry's prefix


def test_minimum_fulls_extend_the_expiry_of_a_short_rotation():
    """Thirty full backups, one a day, are at most 30 days old; the rule deletes 30 days later, after 60 days."""
    rotation = Rotation.model_validate(ROTATION.model_dump(by_alias=True) | {"hourlyDays": 1, "minimumFulls": 30})
    hourly, *_ = retention_of(rotation, GROUPS, (17,))
    assert (hourly.lock_days, hourly.keep_days, hourly.expire_days) == (2, 2, 60)


def test_unfinished_uploads_are_aborted():
    r2 = {rule["abort_multipart_uploads_transition"]["condition"]["max_age"] for rule in expiries_of(KEPT)}
    s3 = {rule["abort_incomplete_multipart_upload"]["days_after_initiation"] for rule in offsite_of(KEPT)}
    assert (r2, s3) == ({ABANDONED_UPLOAD_DAYS * DAY}, {ABANDONED_UPLOAD_DAYS})


def test_old_versions_are_deleted_after_a_day():
    assert {rule["noncurrent_version_expiration"]["noncurrent_days"] for rule in offsite_of(KEPT)} == {1}


@pytest.mark.parametrize("rules", [r2_lock_rules, r2_lifecycle_rules, s3_lifecycle_rules])
def test_a_new_worker_group_appends_its_rules(rules: Callable[[Sequence[Retention]], list[Any]]):
    """A plan compares lists by index, so a rule that moves would appear as a changed rule."""
    before, after = (rules(topology_of("staging", {"database.workers.groups": groups}).retention) for groups in (1, 2))
    assert after[: len(before)] == before
    assert len(after) == len(before) + 1


@pytest.mark.parametrize("rules", [r2_lock_rules, r2_lifecycle_rules, s3_lifecycle_rules])
def test_removed_group_keeps_its_rules_while_it_is_a_former_group(rules: Callable[[Sequence[Retention]], list[Any]]):
    with_group = topology_of("staging", {"database.workers.groups": 3}).retention
    changes = {"database.workers.groups": 1, "backups.formerGroups": ["worker-3", "worker-2"]}
    assert rules(topology_of("staging", changes).retention) == rules(with_group)


def test_wal_of_a_former_major_version_keeps_its_rules():
    hourly, *_ = retention_of(ROTATION, ["coordinator", "worker-1"], (18, 17))
    prefixes = tuple(f"hourly/archive/{group}/{major}-" for group in ("coordinator", "worker-1") for major in (18, 17))
    assert hourly.locked == prefixes
    assert hourly.expiring == ("hourly/backup/", *prefixes)


def test_present_major_version_is_not_a_former_one():
    assert POSTGRES_MAJOR not in FORMER_POSTGRES_MAJORS
