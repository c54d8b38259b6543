"""Which stacks a drill may break, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from console.errors import CommandError, InputError
from drills import guard
from harness.stacks import topology_of
from model.settings import Maintenance, Weekday
from sandbox.engine.errors import EngineError

ROOT = Path(__file__).parents[2]
STAGING, PROD = topology_of("staging"), topology_of("prod")


def window(weekday: Weekday, hour: int, hours: int) -> Maintenance:
    return Maintenance.model_validate({"weekday": weekday, "startHourUtc": hour, "durationHours": hours})


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-11-29T02:59:59", False),
        ("2026-11-29T03:00:00", True),
        ("2026-11-29T06:59:59", True),
        ("2026-11-29T07:00:00", False),
        ("2026-11-28T04:00:00", False),
        ("2026-11-30T04:00:00", False),
    ],
)
def test_a_window_begins_at_its_hour_and_ends_after_its_duration(moment: str, inside: bool):
    assert guard.in_window(window(Weekday.SUN, 3, 4), datetime.fromisoformat(moment).replace(tzinfo=UTC)) is inside


@pytest.mark.parametrize(
    ("moment", "inside"),
    [("2026-11-29T23:00", True), ("2026-11-30T02:59", True), ("2026-11-30T03:00", False), ("2026-11-29T22:59", False)],
)
def test_a_window_may_last_beyond_midnight_and_into_the_next_week(moment: str, inside: bool):
    assert guard.in_window(window(Weekday.SUN, 23, 4), datetime.fromisoformat(moment).replace(tzinfo=UTC)) is inside


def test_a_window_is_in_utc():
    moment = datetime(2026, 11, 29, 5, 30, tzinfo=timezone(timedelta(hours=3)))  # 02:30 UTC
    assert not guard.in_window(window(Weekday.SUN, 3, 4), moment)


def test_production_is_told_by_its_tier_or_its_protection():
    assert guard.is_production(PROD.settings)
    assert not guard.is_production(STAGING.settings)
    assert guard.is_production(STAGING.settings.model_copy(update={"protect": True}))


def test_staging_may_be_drilled_at_any_time_without_a_question():
    guard.require_at_aws(STAGING, datetime(2026, 11, 27, tzinfo=UTC))

    def ask(question: str) -> str:
        raise AssertionError(question)

    guard.confirm(STAGING, interactive=False, ask=ask)


def test_an_engines_error_during_a_drill_is_no_error_of_the_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SANDBOX_HOME", str(tmp_path))
    with pytest.raises(CommandError, match="broken") as failed, guard.only_drill(STAGING, ROOT, "a drill"):
        raise EngineError("the stack is broken")
    assert failed.value.exit_code == 1


def test_a_second_drill_is_refused_before_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SANDBOX_HOME", str(tmp_path))
    with (
        guard.only_one(ROOT, "staging", "the first drill"),
        pytest.raises(InputError, match="the first drill"),
        guard.only_drill(STAGING, ROOT, "the second drill"),
    ):
        pytest.fail("it begins")
