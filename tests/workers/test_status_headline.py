"""Tests of the page's headline for every combination of probes, incidents and maintenance."""

import itertools
import json
import subprocess
from typing import Any

import pytest

from harness.workerd import WORKERS

AT = "2026-11-24T10:00:30Z"
SCRIPT = """
import { headline } from "./status/page/headline.js";
const dated = (key, value) => (/^at$|(At|time)$/.test(key) && value !== null ? new Date(value) : value);
const snapshots = JSON.parse(await new Response(process.stdin).text(), dated);
console.log(JSON.stringify(snapshots.map(headline)));
"""


def headlines(snapshots: list[dict[str, Any]]) -> list[dict[str, Any]]:
    command = ["node", "--input-type=module", "--eval", SCRIPT]
    run = subprocess.run(command, cwd=WORKERS, input=json.dumps(snapshots), capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def maintenance(component: str, starts: str = "2026-11-24T09:30:00Z", ends: str = "2026-11-24T10:30:00Z") -> Any:
    times = {"startsAt": starts, "endsAt": ends}
    return {"status": "in_progress", "emergency": False, "components": [component], "updates": [], **times}


def snapshot(
    seen: str, component: str, impacts: tuple[str, ...], maintained: str | None, *, known: bool
) -> dict[str, Any]:
    history = {
        "lastSampleAt": AT,
        "lastStates": {"api": "ok", "database": component},
        "incidents": [
            {"status": "identified", "impact": impact, "startedAt": AT, "components": [], "automatic": False}
            for impact in impacts
        ],
        "maintenances": [maintenance(maintained)] if maintained else [],
    }
    return {
        "time": AT,
        "components": [{"id": "api", "name": "API"}, {"id": "database", "name": "Database"}],
        "probe": {
            "answered": True,
            "status": seen,
            "components": {"api": "ok", "database": component},
            "pending": [],
            "at": AT,
        },
        "history": history if known else None,
    }


@pytest.mark.usefixtures("host")  # checks that the tools are installed
def test_headline_is_never_better_than_the_known_state() -> None:
    incidents = [(), ("none",), ("minor",), ("minor", "critical"), ("major", "none")]
    cases = list(
        itertools.product(
            ["ok", "degraded", "down"],
            ["ok", "degraded", "down", "unknown"],
            incidents,
            [None, "api", "database"],
            [True, False],
        )
    )
    found = headlines(
        [snapshot(seen, state, impacts, plan, known=known) for seen, state, impacts, plan, known in cases]
    )
    for (seen, state, impacts, plan, known), line in zip(cases, found, strict=True):
        said = set(impacts) if known else set()
        excused = plan if known else None
        if seen == "down" or said & {"critical", "major"}:
            expected = "down"
        elif (
            not known
            or "minor" in said
            or (state != "ok" and excused != "database")
            or (seen != "ok" and excused is None)
        ):
            expected = "degraded"
        else:
            expected = "maintenance" if excused else "ok"
        assert line["state"] == expected, (seen, state, impacts, plan, known)
        unread = "history is unavailable at the moment: incidents and maintenance cannot be read."
        well = seen == state == "ok"
        assert (f"All checks pass right now, but the {unread}" in line["remarks"]) is (not known and well)
        assert (f"The {unread}" in line["remarks"]) is (not known and not well)
        if excused and expected != "maintenance":
            assert "Maintenance in progress." in line["remarks"]


def test_component_without_a_check_is_unknown() -> None:
    unseen = snapshot("ok", "ok", (), None, known=True)
    del unseen["probe"]["components"]["database"]
    [line] = headlines([unseen])
    assert (line["state"], line["text"]) == ("degraded", "Not everything is confirmed to work")
    assert line["remarks"] == ["Database: unknown."]


@pytest.mark.parametrize(
    ("starts", "ends", "begun", "state"),
    [
        ("10:00", "11:00", None, "maintenance"),
        ("10:00", "10:00:30", None, "degraded"),  # it is over, but no run has completed it
        ("09:00", "10:00", None, "degraded"),
        ("10:10", "11:00", None, "degraded"),
        ("10:10", "11:00", "09:50", "maintenance"),  # started early
        ("10:10", "11:00", "10:05", "degraded"),
    ],
)
def test_maintenance_excuses_only_between_its_start_and_end(
    starts: str, ends: str, begun: str | None, state: str
) -> None:
    moment = snapshot("ok", "down", (), None, known=True)
    plan = maintenance("database", f"2026-11-24T{starts}Z", f"2026-11-24T{ends}Z")
    if begun:
        words = [{"status": "in_progress", "at": "2026-11-24T10:00:10Z"}] if begun == "09:50" else []
        plan["updates"] = [*words, {"status": "in_progress", "at": f"2026-11-24T{begun}Z"}]
    moment["history"]["maintenances"] = [plan]
    [line] = headlines([moment])
    assert line["state"] == state


@pytest.mark.parametrize(
    ("seen", "states", "text"),
    [
        ("degraded", {"database": "degraded"}, "Database is degraded"),
        ("degraded", {"database": "down"}, "Database is not available"),
        ("degraded", {"api": "degraded", "database": "degraded"}, "Some components are degraded"),
        ("degraded", {"api": "down", "database": "down"}, "Some components are not available"),
        ("degraded", {"api": "degraded", "database": "down"}, "Database is not available"),
        ("degraded", {"api": "unknown", "database": "down"}, "Database is not available"),
        ("degraded", {}, "The platform is degraded"),
        ("degraded", {"database": "unknown"}, "Not everything is confirmed to work"),
        ("ok", {"api": "unknown", "database": "unknown"}, "Not everything is confirmed to work"),
        ("down", {"database": "down"}, "The platform is not available"),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_headline_names_known_problems_before_unknown_states(
    seen: str, states: dict[str, str], text: str, known: bool
) -> None:
    moment = snapshot(seen, "ok", (), None, known=known)
    moment["probe"]["components"] |= states
    [line] = headlines([moment])
    assert line["text"] == text
    assert line["state"] == ("down" if seen == "down" else "degraded")


def test_problem_covered_by_maintenance_is_not_in_the_headline() -> None:
    moment = snapshot("degraded", "down", (), "database", known=True)
    [line] = headlines([moment])
    assert (line["state"], line["text"]) == ("maintenance", "Maintenance in progress")
    moment["probe"]["components"]["api"] = "degraded"
    [line] = headlines([moment])
    assert (line["state"], line["text"]) == ("degraded", "API is degraded")


def automatic(*components: str) -> dict[str, Any]:
    return {"status": "investigating", "impact": "major", "startedAt": AT, "components": components, "automatic": True}


def test_incident_of_a_removed_component_does_not_count() -> None:
    cases = [
        (automatic("legacy"), "ok"),
        (automatic("legacy", "database"), "down"),
        (automatic(), "down"),  # without components it affects the whole platform
        ({**automatic("legacy"), "automatic": False}, "down"),  # only an operator closes an operator's incident
    ]
    moments = [snapshot("ok", "ok", (), None, known=True) for _ in cases]
    for moment, (incident, _) in zip(moments, cases, strict=True):
        moment["history"]["incidents"] = [incident]
    assert [line["state"] for line in headlines(moments)] == [state for _, state in cases]


def test_stopped_recording_degrades_the_headline() -> None:
    moment = snapshot("ok", "ok", (), None, known=True)
    moment["history"]["lastSampleAt"] = "2026-11-24T09:55:00Z"
    [line] = headlines([moment])
    assert (line["state"], line["text"]) == ("degraded", "Checks pass, but are not recorded")
    assert "Recording is late: the last recorded minute is" in line["remarks"][0]
    moment["history"]["lastSampleAt"] = None
    [line] = headlines([moment])
    assert (line["state"], line["remarks"]) == ("degraded", ["No minute has been recorded yet."])
    partly = snapshot("ok", "ok", (), None, known=True)
    del partly["history"]["lastStates"]["database"]
    [line] = headlines([partly])
    assert (line["state"], line["remarks"]) == ("ok", ["Not recorded in the latest minute: Database."])
