"""What the month's statement says of a maintenance."""

from __future__ import annotations

import json

import pytest

from drills.running.maintenance import accounted
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
