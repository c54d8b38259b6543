"""The page's uptime calculation and the independent one agree on all digits; a wrong figure is found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.errors import InputError
from harness.waiting import TIMEOUT_SECONDS
from status.uptime import bounds, count, differences, figures, parse, stamp, state

NODE = Path(sys.executable).with_name("node")  # its version is pinned; it includes SQLite
AGREEMENT = {
    "target": 99_900,
    "credits": [{"below": 99_900, "credit": 10}, {"below": 99_000, "credit": 25}, {"below": 95_000, "credit": 50}],
}
MONTHS = ["2026-11", "2026-12", "2027-02", "2028-02", "2099-01"]
COMPONENTS = ["api", "edge", "database", "replication", "objectStorage", "backups"]


class Page:
    """The page's own calculation, in a Node process."""

    def __init__(self) -> None:
        script = str(Path(__file__).with_name("account.mjs"))
        self.process = subprocess.Popen(
            [str(NODE), "--no-warnings", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def account(self, month: dict[str, Any]) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(month) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    page = Page()
    yield page
    assert page.process.stdin is not None
    page.process.stdin.close()
    assert page.process.wait(timeout=TIMEOUT_SECONDS) == 0


@st.composite
def months(draw: st.DrawFn) -> dict[str, Any]:
    """Generate a month with samples and maintenance: short runs around all boundaries, or long runs across them."""
    month = draw(st.sampled_from(MONTHS))
    first, end = bounds(month)
    minute = first + draw(st.sampled_from([-1440, -3, 0, 1, 700, 20_000]))
    longest = draw(st.sampled_from([5, 300, 20_000]))
    runs: list[tuple[int, int, str]] = []
    for _ in range(draw(st.integers(1, 12))):
        minute += draw(st.integers(0, 3))
        length = draw(st.integers(1, longest))
        runs.append((minute, length, draw(st.sampled_from(["ok", "ok", "degraded", "down"]))))
        minute += length
        if minute > end + 10:
            break
    last = minute - 1
    near = st.one_of(st.integers(first - 20, end + 20), st.integers(runs[0][0] - 10, min(minute, end) + 10))
    works: list[list[Any]] = []
    for number in range(draw(st.integers(0, 5))):
        start = draw(near)
        finish = start + draw(st.one_of(st.integers(1, 30), st.integers(1, 10_000)))
        status = draw(st.sampled_from(["scheduled", "in_progress", "completed", "cancelled"]))
        components = json.dumps(draw(st.lists(st.sampled_from(COMPONENTS), min_size=1, max_size=3, unique=True)))
        works.append([str(number), "Work", status, components, draw(st.integers(0, 1)), 0, start, finish, 0])
    now = draw(st.sampled_from([last, last + 1, last + 90, end, end + 5_000]))
    credits = draw(st.lists(st.integers(0, 100_000), max_size=3))
    agreement = draw(
        st.sampled_from([AGREEMENT, {"target": 100_000, "credits": []}, {"target": 95_123, "credits": []}])
        | st.builds(
            lambda target: {
                "target": target,
                "credits": [{"below": below, "credit": 10 * number} for number, below in enumerate(credits, 1)],
            },
            st.integers(0, 100_000),
        )
    )
    time = datetime.fromtimestamp(now * 60 + 30, UTC).isoformat()
    return {"month": month, "runs": runs, "works": works, "time": time, "agreement": agreement}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(month=months())
def test_both_calculations_agree_on_all_digits(page: Page, month: dict[str, Any]) -> None:
    text = page.account(month)
    first, end = bounds(month["month"])
    (since, *_), (last, length, _) = month["runs"][0], month["runs"][-1]
    over = max(int(datetime.fromisoformat(month["time"]).timestamp()) // 60, last + length)
    assert (text == "null\n") == (max(since, first) >= min(over, end))
    if text == "null\n":
        return
    account = parse(text, "the page")
    assert differences(account) == []
    minutes = account.statement.minutes
    counted = account.statement.to - account.statement.from_
    assert minutes.up + minutes.down + minutes.unknown + minutes.excused == counted
    assert figures(state(account)) == figures(account.statement)


DOWN = bounds("2026-11")[0] + 14_400  # the 11th


def example(**changes: Any) -> dict[str, Any]:
    """Return November 2026: 5 hours down on the 11th, 1 of them announced; 30 minutes without samples on the 20th."""
    first, end = bounds("2026-11")
    runs = [
        (first, 14_400, "ok"),
        (DOWN, 300, "down"),
        (DOWN + 300, 13_000, "ok"),
        (DOWN + 13_330, end - DOWN - 13_330, "degraded"),
    ]
    work = ["w", "Upgrade", "completed", '["database"]', 0, 0, DOWN + 60, DOWN + 120, 0]
    time = datetime.fromtimestamp(end * 60, UTC).isoformat()
    return {"month": "2026-11", "runs": runs, "works": [work], "time": time, "agreement": AGREEMENT, **changes}


def test_the_worked_example_of_the_documentation(page: Page) -> None:
    account = parse(page.account(example()), "the page")
    assert figures(state(account)) == {
        "minutes.up": 42_870,
        "minutes.down": 240,
        "minutes.unknown": 30,
        "minutes.excused": 60,
        "month": "2026-11",
        "complete": True,
        "uptimePercent": "99.4432",
        "atLeastPercent": "99.3741",
        "targetPercent": "99.900",
        "met": False,
        "budgetMinutes": "43.14",
        "leftMinutes": "-196.86",
        "creditPercent": 10,
    }
    assert differences(account) == []


def test_each_changed_figure_is_found(page: Page) -> None:
    document = json.loads(page.account(example()))
    statement = document["statement"]
    changes = {name: {**statement, name: value} for name, value in statement.items() if name != "minutes"}
    wrong = {
        "month": "2026-10",
        "complete": False,
        "from": "2026-11-01T00:01:00.000Z",
        "to": "2026-11-29T00:00:00.000Z",
        "uptimePercent": "99.4433",
        "atLeastPercent": None,
        "targetPercent": "99.901",
        "met": True,
        "budgetMinutes": "43.15",
        "leftMinutes": "-196.87",
        "creditPercent": 25,
    }
    assert set(changes) == set(wrong)
    for name, value in wrong.items():
        changed = {**document, "statement": {**statement, name: value}}
        assert name in [one.figure for one in differences(parse(json.dumps(changed), "the page"))]
    for name, value in statement["minutes"].items():
        changed = {**document, "statement": {**statement, "minutes": {**statement["minutes"], name: value + 1}}}
        assert [one.figure for one in differences(parse(json.dumps(changed), "the page"))] == [f"minutes.{name}"]


@pytest.mark.parametrize(
    ("work", "excused"),
    [
        (["w", "Upgrade", "completed", '["backups"]', 0, 0, DOWN, DOWN + 10, 0], 0),
        (["w", "Upgrade", "completed", '["backups", "edge"]', 0, 0, DOWN, DOWN + 10, 0], 10),
        (["w", "Upgrade", "completed", '["api"]', 1, 0, DOWN, DOWN + 10, 0], 0),
        (["w", "Upgrade", "cancelled", '["api"]', 0, 0, DOWN, DOWN + 10, 0], 0),
        (["w", "Upgrade", "scheduled", '["api"]', 0, 0, DOWN, DOWN + 10, 0], 10),
        (["w", "Upgrade", "completed", '["api"]', 0, 0, DOWN - 10, DOWN + 1, 0], 1),
        (["w", "Upgrade", "completed", '["api"]', 0, 0, DOWN - 10, DOWN, 0], 0),
        (["w", "Upgrade", "completed", '["api"]', 0, 0, DOWN + 13_290, DOWN + 13_340, 0], 30),
    ],
)
def test_maintenance_that_is_excluded_from_downtime(page: Page, work: list[Any], excused: int) -> None:
    account = parse(page.account(example(works=[work])), "the page")
    assert account.statement.minutes.excused == count(account).excused == excused


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("month", "2026-13", "month"),
        ("month", "1999-12", "month"),
        ("statement.minutes.up", "42870", "statement.minutes.up: Input should be a valid integer"),
        ("statement.minutes.up", 1.5, "statement.minutes.up"),
        ("statement.minutes.up", True, "statement.minutes.up"),
        ("statement.minutes.down", -1, "statement.minutes.down"),
        ("statement.minutes.down", 10**30, "statement.minutes.down"),
        ("statement.minutes.maybe", 1, "statement.minutes.maybe: Extra inputs are not permitted"),
        ("statement.from", "2026-11-01", "statement.from"),
        ("statement.from", "2026-11-01T00:00:30.000Z", "whole minute"),
        ("statement.uptimePercent", 99.4, "statement.uptimePercent"),
        ("statement.uptimePercent", "\u0669\u0669.4432", "statement.uptimePercent"),
        ("agreement.target", 100_001, "agreement.target"),
        ("agreement.credits.0.below", "x", "agreement.credits.0.below"),
        ("maintenances.0.status", "done", "maintenances.0.status"),
        ("maintenances.0.endsAt", 0, "maintenances.0.endsAt"),
        ("runs.0.1", 0, "runs.0.1"),
        ("runs.0.1", 14_401, "runs: the run at 2026-11-11T00:00Z"),
        ("runs.0.0", "2026-10-31T23:59:00.000Z", "runs: the run at 2026-10-31T23:59Z"),
        ("runs.3.1", 44_000, "runs: the run at"),
        ("runs.0.2", "up", "runs.0.2"),
        ("runs.0", [], "runs.0"),
        ("essential", "api", "essential"),
        ("signature", "x", "signature"),
    ],
)
def test_an_invalid_account_is_an_error_with_file_and_path(page: Page, path: str, value: Any, message: str) -> None:
    document = json.loads(page.account(example()))
    *way, last = (int(part) if part.isdigit() else part for part in path.split("."))
    place = document
    for part in way:
        place = place[part]
    place[last] = value
    with pytest.raises(InputError) as raised:
        parse(json.dumps(document), "november.json")
    assert str(raised.value).startswith("november.json: ")
    assert message in str(raised.value)


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '"x"', "{}", "<html>", "[" * 100_000, '{"month": NaN}'])
def test_a_text_that_is_not_a_json_object_is_an_error_with_the_file(text: str) -> None:
    with pytest.raises(InputError, match=r"^november\.json: "):
        parse(text, "november.json")


def test_a_month_without_known_minutes_has_no_percentage(page: Page) -> None:
    first, _ = bounds("2026-11")
    work = ["w", "Upgrade", "completed", '["database"]', 0, 0, first, first + 5, 0]
    time = datetime.fromtimestamp((first + 5) * 60, UTC).isoformat()
    account = parse(page.account(example(runs=[(first, 5, "down")], works=[work], time=time)), "the page")
    assert (account.statement.uptime, account.statement.met, account.statement.credit) == (None, None, 0)
    assert differences(account) == []


@pytest.mark.parametrize(
    ("down", "unknown", "met"),
    [
        (0, 0, True),
        (43, 0, True),  # 43.2 minutes of downtime are allowed
        (44, 0, False),
        (0, 43, True),
        (0, 44, None),
        (13, 30, True),
        (14, 30, None),
        (43, 1, None),
        (44, 500, False),
    ],
)
def test_the_target_is_met_only_if_unknown_minutes_cannot_change_that(
    page: Page, down: int, unknown: int, met: bool | None
) -> None:
    first, end = bounds("2026-11")
    up = first + 1_000
    runs = [
        (first, 1_000, "ok"),
        *([(up, down, "down")] if down else []),
        (up + down + unknown, end - up - down - unknown, "ok"),
    ]
    account = parse(page.account(example(runs=runs, works=[])), "the page")
    minutes = account.statement.minutes
    assert (minutes.down, minutes.unknown, account.statement.met) == (down, unknown, met)
    assert differences(account) == []


def test_stamps_are_in_utc() -> None:
    assert [stamp(minute) for minute in bounds("2026-12")] == ["2026-12-01T00:00Z", "2027-01-01T00:00Z"]
