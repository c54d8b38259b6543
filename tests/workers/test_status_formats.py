"""Tests of the formats for programs: Statuspage's API v2 and the badge, first as functions, then as served."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest

from harness.status import MINUTE, Status
from harness.status_rows import incident as enter_incident

from .formats import FILES, NOW, SVG, Formats, faults, incident, maintenance, snapshot, update


@pytest.fixture(scope="module")
def formats() -> Iterator[Formats]:
    formats = Formats()
    yield formats
    formats.close()


FULL = snapshot(
    incident(),
    incident("i0", status="resolved", resolvedAt="2026-11-20T10:00:00.000Z", impact="none", components=["api", "gone"]),
    maintenances=(
        maintenance("m4", startsAt="2026-12-24T10:00:00.000Z"),
        maintenance("m3", startsAt="2026-12-01T10:00:00.000Z"),
        maintenance("m2", "cancelled"),
        maintenance("m1", "in_progress"),
        maintenance("m0", "completed"),
    ),
)


LATE = snapshot()
LATE["history"]["lastSampleAt"] = "2026-11-24T09:50:00.000Z"


@pytest.mark.parametrize("world", [FULL, snapshot(), snapshot(known=False, seen="down", database="unknown")])
def test_every_body_has_the_fields_that_clients_expect(formats: Formats, world: dict[str, Any]) -> None:
    bodies = formats.statuspage(world)
    assert {name: faults(body, FILES.get(name)) for name, body in bodies.items()} == {name: [] for name in FILES}


def test_each_list_matches_its_name(formats: Formats) -> None:
    bodies = formats.statuspage(FULL)
    lists = {
        name: [one["id"] for key in ("incidents", "scheduled_maintenances") for one in body.get(key, [])]
        for name, body in bodies.items()
    }
    assert lists == {
        "summary.json": ["i1", "m1", "m3", "m4"],
        "status.json": [],
        "components.json": [],
        "incidents.json": ["i1", "i0"],
        "incidents/unresolved.json": ["i1"],
        "scheduled-maintenances.json": ["m4", "m3", "m1", "m0"],
        "scheduled-maintenances/upcoming.json": ["m3", "m4"],
        "scheduled-maintenances/active.json": ["m1"],
    }


def test_incident_has_its_updates_in_order(formats: Formats) -> None:
    bodies = formats.statuspage(snapshot(incident(), seen="degraded", database="degraded"))
    (shown,) = bodies["incidents.json"]["incidents"]
    assert shown["created_at"] == "2026-11-24T09:05:00.000Z"
    assert shown["started_at"] == "2026-11-24T09:00:00.000Z"
    assert shown["monitoring_at"] == "2026-11-24T09:30:00.000Z"
    assert shown["shortlink"] == "https://status.example/incidents/i1"
    assert shown["page_id"] == bodies["incidents.json"]["page"]["id"] == "status.example"
    assert [one["id"] for one in shown["incident_updates"]] == ["i1-3", "i1-2", "i1-1"]
    assert shown["incident_updates"][2]["affected_components"] == [
        {"code": "database", "name": "Database", "old_status": "operational", "new_status": "partial_outage"}
    ]
    assert [(one["id"], one["position"], one["status"]) for one in shown["components"]] == [
        ("database", 2, "partial_outage")
    ]


def test_maintenance_updates_have_the_component_changes(formats: Formats) -> None:
    moves = [update(status, status, NOW) for status in ("completed", "in_progress", "scheduled")]
    bodies = formats.statuspage(snapshot(maintenances=(maintenance(status="completed", updates=moves),)))
    (shown,) = bodies["scheduled-maintenances.json"]["scheduled_maintenances"]
    affected = [one["affected_components"][0] for one in shown["incident_updates"]]
    assert [(one["old_status"], one["new_status"]) for one in affected] == [
        ("under_maintenance", "operational"),
        ("operational", "under_maintenance"),
        ("operational", "operational"),
    ]
    assert shown["resolved_at"] == NOW


@pytest.mark.parametrize(
    ("status", "words", "started", "resolved"),
    [
        ("scheduled", [], "11:00", None),
        ("in_progress", [("in_progress", "09:30")], "09:30", None),
        ("in_progress", [("in_progress", "11:01")], "11:00", None),
        ("completed", [("completed", "10:00"), ("in_progress", "09:30")], "09:30", "10:00"),
        ("completed", [("completed", "12:05"), ("in_progress", "11:00")], "11:00", "12:00"),
    ],
)
def test_maintenance_has_its_actual_times(
    formats: Formats, status: str, words: list[tuple[str, str]], started: str, resolved: str | None
) -> None:
    def day(time: str) -> str:
        return f"2026-11-24T{time}:00.000Z"

    plan = maintenance(status=status, startsAt=day("11:00"), endsAt=day("12:00"))
    plan["updates"] = [*(update(word, word, day(time)) for word, time in words), *plan["updates"]]
    bodies = formats.statuspage(snapshot(maintenances=(plan,)))
    (shown,) = bodies["scheduled-maintenances.json"]["scheduled_maintenances"]
    assert (shown["started_at"], shown["resolved_at"]) == (day(started), resolved and day(resolved))
    assert (shown["scheduled_for"], shown["scheduled_until"]) == (day("11:00"), day("12:00"))


@pytest.mark.parametrize(
    ("database", "impact", "maintained", "status"),
    [
        ("ok", None, False, "operational"),
        ("ok", "none", False, "operational"),
        ("ok", "minor", False, "degraded_performance"),
        ("ok", "critical", False, "major_outage"),
        ("degraded", "major", False, "partial_outage"),
        ("down", "minor", False, "major_outage"),
        ("unknown", None, False, "degraded_performance"),
        ("down", "none", True, "under_maintenance"),
        ("ok", None, True, "under_maintenance"),
        ("ok", "major", True, "partial_outage"),
    ],
)
def test_component_state_combines_probes_incidents_and_maintenance(
    formats: Formats, database: str, impact: str | None, maintained: bool, status: str
) -> None:
    incidents = [incident(impact=impact)] if impact else []
    plans = (maintenance(status="in_progress"),) if maintained else ()
    bodies = formats.statuspage(snapshot(*incidents, maintenances=plans, database=database))
    assert [one["status"] for one in bodies["components.json"]["components"]] == ["operational", status]


@pytest.mark.parametrize(
    ("world", "indicator", "description", "word"),
    [
        (snapshot(), "none", "All Systems Operational", "operational"),
        (snapshot(incident(impact="none")), "none", "All Systems Operational", "operational"),
        (snapshot(incident(impact="minor")), "minor", "Partially Degraded Service", "degraded"),
        (snapshot(incident(impact="major")), "major", "Partial System Outage", "outage"),
        (snapshot(incident(impact="critical")), "critical", "Major Service Outage", "outage"),
        (snapshot(seen="down", database="down"), "critical", "Major Service Outage", "outage"),
        (snapshot(seen="degraded", database="degraded"), "minor", "Partially Degraded Service", "degraded"),
        (snapshot(seen="degraded", database="down"), "minor", "Minor Service Outage", "degraded"),
        (snapshot(seen="degraded"), "minor", "Partially Degraded Service", "degraded"),
        (snapshot(database="unknown"), "minor", "Partially Degraded Service", "unknown"),
        (LATE, "minor", "Partially Degraded Service", "unknown"),
        (snapshot(known=False), "minor", "Partially Degraded Service", "unknown"),
        (
            snapshot(known=False, database="degraded", seen="degraded"),
            "minor",
            "Partially Degraded Service",
            "degraded",
        ),
        (snapshot(known=False, database="down", seen="down"), "critical", "Major Service Outage", "outage"),
        (
            snapshot(maintenances=(maintenance(status="in_progress"),), database="down"),
            "maintenance",
            "Service Under Maintenance",
            "maintenance",
        ),
        (
            snapshot(
                maintenances=(maintenance(status="in_progress"),),
                probe={
                    "answered": True,
                    "status": "ok",
                    "components": {"api": "unknown", "database": "down"},
                    "pending": [],
                    "at": NOW,
                },
            ),
            "minor",
            "Partially Degraded Service",
            "unknown",
        ),
        (snapshot(maintenances=(maintenance(),)), "none", "All Systems Operational", "operational"),
    ],
)
def test_overall_state_has_statuspages_terms_and_is_on_the_badge(
    formats: Formats, world: dict[str, Any], indicator: str, description: str, word: str
) -> None:
    status = {"indicator": indicator, "description": description}
    assert formats.statuspage(world)["status.json"]["status"] == status
    drawing = formats.badge(world)
    assert drawing.findtext(f"{SVG}title") == drawing.get("aria-label") == f"Ledger & <Sons> status: {word}"
    assert [text.text for text in drawing.iter(f"{SVG}text")] == ["status", word]


def test_overall_state_is_ok_only_if_probes_and_history_are(formats: Formats) -> None:
    impacts = [(), *([one] for one in ("none", "minor", "major", "critical"))]
    for seen, database, some, maintained, known in itertools.product(
        ("ok", "degraded", "down"), ("ok", "degraded", "down", "unknown"), impacts, (False, True), (False, True)
    ):
        plans = (maintenance(status="in_progress"),) if maintained else ()
        world = snapshot(
            *(incident(impact=impact) for impact in some),
            maintenances=plans,
            seen=seen,
            database=database,
            known=known,
        )
        summary = formats.statuspage(world)["summary.json"]
        words = {component["status"] for component in summary["components"]}
        well = known and seen == "ok" and database == "ok" and not (maintained or set(some) - {"none"})
        assert (summary["status"]["indicator"] == "none") == well
        if well:
            assert words == {"operational"}
        if summary["status"]["indicator"] == "maintenance":
            assert words == {"operational", "under_maintenance"}
        (word,) = [text.text for text in formats.badge(world).iter(f"{SVG}text")][1:]
        assert (word == "operational") == well


def test_badge_colours_have_enough_contrast(formats: Formats) -> None:
    fills: set[str] = set()
    for world in (
        snapshot(),
        snapshot(database="unknown"),
        snapshot(incident(impact="minor")),
        snapshot(seen="down"),
        snapshot(maintenances=(maintenance(status="in_progress"),)),
    ):
        drawing = formats.badge(world)
        assert drawing.get("role") == "img"
        assert drawing[0].tag == f"{SVG}title"
        texts = list(drawing.iter(f"{SVG}text"))
        ends = [float(text.get("x", "")) + float(text.get("textLength", "")) for text in texts]
        assert ends[0] < float(texts[1].get("x", ""))
        assert ends[1] < float(drawing.get("width", ""))
        assert len({path.get("d") for path in drawing.iter(f"{SVG}path")}) == 2
        fills |= {one.get("fill", "") for one in drawing if one.get("fill", "none") not in ("none", "#fff")}
    assert len(fills) == 6
    assert {fill: contrast_to_white(fill) >= 4.5 for fill in fills} == dict.fromkeys(fills, True)


def contrast_to_white(colour: str) -> float:
    """Return the ratio that WCAG 2 defines."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


# Responses of the Worker.

CONTENT_TYPES = {
    **{f"/api/v2/{file}": "application/json; charset=utf-8" for file in FILES},
    "/feed.atom": "application/atom+xml; charset=utf-8",
    "/badge.svg": "image/svg+xml; charset=utf-8",
}


def test_formats_are_public_and_not_cached(status: Status) -> None:
    status.cron(0)
    for path, content_type in CONTENT_TYPES.items():
        answer = status.get(path)
        assert answer["status"] == 200, path
        headers = answer["headers"]
        assert headers["content-type"] == content_type
        assert headers["access-control-allow-origin"] == "*"
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        head = status.host.fetch(path, "HEAD", instruction={"clock": NOW})
        assert (head["status"], head["body"], head["headers"]["content-type"]) == (200, "", content_type)
        assert status.host.fetch(path, "POST", body="{}")["status"] == 405
    for path in ("", "summary", "toString", "__proto__", "incidents.json/"):
        assert status.get(f"/api/v2/{path}")["status"] == 404, path


def test_every_format_serves_the_data_in_d1(status: Status) -> None:
    status.cron(0)
    title = "</title> ]]> \N{COLLISION SYMBOL} \N{HEBREW LETTER ALEF}"
    enter_incident(status, "i1", "First.", "Second\nline.", title=title, components=("database",))
    enter_incident(status, "i0", resolved=MINUTE - 1440)
    status.maintenance("m1", 600, 660, "api")
    bodies = {file: json.loads(status.get(f"/api/v2/{file}")["body"]) for file in FILES}
    assert {name: faults(body, FILES[name]) for name, body in bodies.items()} == {name: [] for name in FILES}
    summary = bodies["summary.json"]
    assert summary["status"] == {"indicator": "major", "description": "Partial System Outage"}
    assert summary["components"][2]["status"] == "partial_outage"
    assert [one["name"] for one in summary["incidents"]] == [title]
    assert [one["body"] for one in summary["incidents"][0]["incident_updates"]] == ["Second\nline.", "First."]
    assert [one["id"] for one in summary["scheduled_maintenances"]] == ["m1"]
    assert [one["id"] for one in bodies["incidents.json"]["incidents"]] == ["i1", "i0"]
    feed = ElementTree.fromstring(status.get("/feed.atom")["body"].encode())
    titles = [entry.findtext("{*}title") for entry in feed.iter("{http://www.w3.org/2005/Atom}entry")]
    assert sorted(map(str, titles)) == sorted([title, "i0", "m1"])
    assert "outage" in status.get("/badge.svg")["body"]


def test_without_d1_formats_show_the_live_check_and_a_notice(status: Status) -> None:
    status.cron(0)
    enter_incident(status, "i1", "First.")
    status.world.database_down()
    answer = status.get("/api/v2/summary.json", broken=["DB"])
    summary = json.loads(answer["body"])
    assert faults(summary, FILES["summary.json"]) == []
    assert answer["headers"]["x-history-available"] == "false"
    assert summary["incidents"] == summary["scheduled_maintenances"] == []
    assert summary["status"] == {"indicator": "critical", "description": "Major Service Outage"}
    assert {one["id"]: one["status"] for one in summary["components"]}["database"] == "major_outage"
    assert status.get("/api/v2/summary.json")["headers"]["x-history-available"] == "true"
    feed = status.get("/feed.atom", broken=["DB"])
    assert feed["status"] == 200
    assert "The history is unavailable at the moment." in feed["body"]
    assert "<entry>" not in feed["body"]
    assert "outage" in status.get("/badge.svg", broken=["DB"])["body"]


def test_without_an_api_answer_other_components_are_shown_as_degraded(status: Status) -> None:
    status.cron(0)
    status.world.silent()
    summary = json.loads(status.get("/api/v2/summary.json")["body"])
    assert summary["status"]["indicator"] == "critical"
    words = {one["id"]: one["status"] for one in summary["components"]}
    assert words.pop("api") == "major_outage"
    assert set(words.values()) == {"degraded_performance"}
