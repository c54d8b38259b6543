"""A restore that took hourly backups shows nothing about the daily class."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from drills.running.report import Check
from drills.scenarios import daily_class_left


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
