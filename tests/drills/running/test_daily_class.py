"""A restore that took hourly backups shows nothing about the daily class."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drills.running.report import Check
from drills.running.stage import NotReachedError
from drills.scenarios import daily_class_left, groups_agree


@pytest.mark.parametrize(("kept_as", "holds"), [("daily", True), ("hourly", False)])
def test_the_class_that_was_restored_is_checked(kept_as: str, holds: bool):
    place = {"socket": "/run/s", "port": "5434"}
    found = {
        "point": "backbuild-1",
        "groups": {"coordinator": {"class": "daily"}, "worker-1": {"class": kept_as}},
        "beside": {"coordinator-2": place, "worker-1-2": place},
    }
    checks: list[Check] = []
    stage = SimpleNamespace(
        restore=lambda *_given, **_options: found,
        members=lambda *_groups: list(found["beside"]),
        fault_time=lambda: "2026-11-30T03:00:00+00:00",
        sql_beside=lambda *_given: "10000 42",
        check=lambda *given: checks.append(Check(*given)),
        served_again=lambda _text: None,
        remove_restore=lambda _name: None,
    )
    daily_class_left.restore(cast(Any, stage))
    assert [one.holds for one in checks] == [holds, True]
    assert checks[0].found == f"coordinator from daily, worker-1 from {kept_as}"


@pytest.mark.parametrize(
    ("rows", "holds"), [(["100 42", "100 42"], True), (["99 42", "99 42"], False), (["100 42", "100 43"], False)]
)
def test_restored_groups_need_the_same_pairs_and_enough_of_them(rows: list[str], holds: bool):
    place = {"socket": "/run/s", "port": "5434"}
    found = {"point": "backbuild-1", "beside": {"coordinator-2": place, "worker-1-2": place}}
    checks: list[Check] = []
    answers = iter(rows)
    stage = SimpleNamespace(
        members=lambda *_groups: list(found["beside"]),
        sql_beside=lambda *_given: next(answers),
        check=lambda *given: checks.append(Check(*given)),
    )
    groups_agree.check_pairs(cast(Any, stage), found, "restored", 100)
    assert [one.holds for one in checks] == [holds]


def test_a_backup_from_before_the_clients_wrote_is_refused():
    begun = datetime(2026, 11, 30, 1, 30, tzinfo=UTC)
    before = {"coordinator": {"20261129-013005F"}, "worker-1": set[str]()}
    later = {"coordinator": {"20261129-013005F", "20261130-013001F"}, "worker-1": {"20261130-013000F"}}
    daily_class_left.refuse_earlier(later, before, begun)
    with pytest.raises(NotReachedError, match=r"of worker-1 \(20261130-012959F\) began before the clients wrote"):
        daily_class_left.refuse_earlier({**later, "worker-1": {"20261130-012959F"}}, before, begun)
