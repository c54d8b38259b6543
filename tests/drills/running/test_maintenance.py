"""What the month's statement says of a maintenance."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drills.running.edge import StatusPage
from drills.running.maintenance import Accounted, Maintenance, accounted, months
from drills.sites.site import SiteError
from status import uptime

BEFORE, WINDOW = "2026-11-30T03:00:00.000Z", ("2026-11-30T03:10:00.000Z", "2026-11-30T03:20:00.000Z")


def account(*, emergency: bool, minutes: dict[str, int], starts: str = WINDOW[0]) -> uptime.Account:
    """Return an account of half an hour with three failed minutes in the maintenance and one before it."""
    return uptime.parse(
        json.dumps(
            {
                "month": "2026-11",
                "agreement": {"target": 99900, "credits": []},
                "essential": ["api", "database"],
                "statement": {
                    "month": "2026-11",
                    "complete": False,
                    "from": BEFORE,
                    "to": "2026-11-30T03:30:00.000Z",
                    "minutes": minutes,
                    "uptimePercent": "96.2962",
                    "atLeastPercent": "96.2962",
                    "targetPercent": "99.900",
                    "met": False,
                    "budgetMinutes": "2.70",
                    "leftMinutes": "1.70",
                    "creditPercent": 0,
                },
                "maintenances": [
                    {
                        "id": "work",
                        "title": "Work",
                        "status": "completed",
                        "components": ["database"],
                        "emergency": emergency,
                        "announcedAt": "2026-11-29T00:00:00.000Z",
                        "startsAt": starts,
                        "endsAt": WINDOW[1],
                    }
                ],
                "runs": [
                    [BEFORE, 5, "ok"],
                    ["2026-11-30T03:05:00.000Z", 1, "down"],
                    ["2026-11-30T03:06:00.000Z", 5, "ok"],
                    ["2026-11-30T03:11:00.000Z", 3, "down"],
                    ["2026-11-30T03:14:00.000Z", 16, "ok"],
                ],
            }
        ),
        "the test",
    )


ANNOUNCED = {"up": 26, "down": 1, "unknown": 0, "excused": 3}


def test_the_failed_minutes_of_announced_maintenance_are_excused():
    found = accounted(account(emergency=False, minutes=ANNOUNCED), "work")
    assert (found.failed, found.excused, found.down) == (3, 3, 1)
    assert not [one for one in found.unexplained if one.startswith("minutes")]


def test_a_wrong_statement_is_noticed():
    found = accounted(account(emergency=True, minutes=ANNOUNCED), "work")
    assert any("down" in one or "excused" in one for one in found.unexplained)


@pytest.mark.parametrize("id", ["another", ""])
def test_an_unknown_maintenance_has_no_failed_minutes(id: str):
    assert accounted(account(emergency=False, minutes=ANNOUNCED), id).failed == 0


def test_only_minutes_within_it_are_its_own():
    late = account(emergency=False, minutes=ANNOUNCED, starts="2026-11-30T03:13:00.000Z")
    assert accounted(late, "work").failed == 1


def test_minutes_of_it_without_a_sample_are_excused_too():
    whole = account(emergency=False, minutes=ANNOUNCED)
    runs = (*whole.runs[:4], (whole.runs[4][0] + 2, 14, "ok"))
    found = accounted(whole.model_copy(update={"runs": runs}), "work")
    assert (found.failed, found.unknown) == (3, 2)
    assert uptime.count(whole.model_copy(update={"runs": runs})).excused == 5


def test_months_across_a_year():
    first = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)
    assert months(first, first) == ["2026-11"]
    assert months(first, datetime(2026, 12, 1, tzinfo=UTC)) == ["2026-11", "2026-12"]
    assert months(first, datetime(2027, 1, 1, tzinfo=UTC)) == ["2026-11", "2026-12", "2027-01"]


def test_maintenance_across_the_end_of_a_month_is_accounted_for_in_both(monkeypatch: pytest.MonkeyPatch):
    november = account(emergency=False, minutes=ANNOUNCED)
    statement = november.statement.model_copy(update={"minutes": uptime.Minutes(up=9, down=0, unknown=0, excused=2)})
    december = november.model_copy(update={"month": "2026-12", "statement": statement})
    accounts = {"2026-11": november, "2026-12": december}
    work = Maintenance(cast(Any, SimpleNamespace(edge=SimpleNamespace(account=accounts.__getitem__))), "token")
    clock = iter([datetime(2026, 11, 30, 23, 58, tzinfo=UTC), datetime(2026, 12, 1, 0, 20, tzinfo=UTC)])
    monkeypatch.setattr("drills.running.maintenance.datetime", SimpleNamespace(now=lambda _zone: next(clock)))
    before, after = work.account(), work.account()
    assert (before.excused, before.down) == (3, 1)
    assert (after.excused, after.down) == (5, 1)


def test_a_minute_that_had_failed_before_the_announcement_is_not_of_the_drill():
    before = accounted(account(emergency=True, minutes={"up": 28, "down": 1, "unknown": 0, "excused": 0}), "work")
    assert before.failed == 3
    after = replace(before, failed=5, unknown=1, down=3, excused=1)
    assert after.since(before) == Accounted(2, 1, 1, 2, before.unexplained)


class Page:
    """A status page that answers with some of these in turn, and then with the last one."""

    def __init__(self, *pages: StatusPage | None) -> None:
        self.pages = list(pages)

    def status_page(self) -> StatusPage | None:
        return self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]


def until(what: str, holds: Callable[[], bool], _seconds: float) -> None:
    if not any(holds() for _ in range(3)):
        raise SiteError(what)


def test_a_page_without_an_answer_does_not_mean_that_there_is_no_incident():
    known, without = (
        StatusPage({}, frozenset({"one"}), has_history=True),
        StatusPage({}, frozenset(), has_history=False),
    )

    def incidents(*pages: StatusPage | None) -> frozenset[str]:
        stage = cast(Any, SimpleNamespace(edge=Page(*pages), until=until))
        return Maintenance(stage, "token").incidents()

    assert incidents(None, without, known) == {"one"}
    for silent in (None, without):
        with pytest.raises(SiteError, match="the status page tells its incidents"):
            incidents(silent)
