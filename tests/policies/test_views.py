"""Calendars, distances and machines' files, with figures by hand."""

from __future__ import annotations

import base64
import gzip

import pytest

from policies.views.calendars import calendar_gap_seconds, cron_gap_seconds
from policies.views.geography import great_circle_km, least_km, places
from policies.views.machines import duration_seconds, files_of

HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("* * * * *", 60),
        ("*/5 * * * *", 300),
        ("*/7 * * * *", 420),  # 56 to 3 of the next hour is 4 minutes: the longest is 7
        ("*/45 * * * *", 45 * 60),
        ("15 * * * *", HOUR),
        ("0,30 * * * *", 1800),
        ("10-50/10 * * * *", 1200),  # 50 to 10
        ("15 7 * * *", DAY),
        ("0 3,15 * * *", 12 * HOUR),
        ("0 9-17 * * *", 16 * HOUR),
        ("0 3 * * 1", 7 * DAY),
        ("0 3 * * MON,THU", 4 * DAY),  # Thursday to Monday
        ("0 3 * * 0-6", DAY),
        ("0 4 1 * *", 31 * DAY),
        ("0 4 1 1 *", 366 * DAY),
        ("61 * * * *", None),
        ("*/0 * * * *", None),
        ("5-1 * * * *", None),
        ("@daily", None),
        ("* * * *", None),
        ("0 3 1 * 1", None),
        ("L * * * *", None),
    ],
)
def test_the_longest_gap_of_a_cron_expression(expression: str, seconds: float | None) -> None:
    assert cron_gap_seconds(expression) == seconds


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("*-*-* 01:00:00 UTC", DAY),
        ("*-*-* *:30:00 UTC", HOUR),
        ("*-*-* *:0/5:00 UTC", 300),
        ("*-*-* 0/6:30:00 UTC", 6 * HOUR),
        ("minutely", 60),
        ("weekly", 7 * DAY),
        ("*-*-01 01:00:00 UTC", None),
        ("Mon *-*-* 01:00:00", None),
        ("*-*-* 25:00:00", None),
        ("", None),
    ],
)
def test_the_longest_gap_of_a_systemd_calendar(expression: str, seconds: float | None) -> None:
    assert calendar_gap_seconds(expression) == seconds


def test_distances() -> None:
    frankfurt, stockholm = places(region="eu-central-1"), places(region="eu-north-1")
    assert great_circle_km(frankfurt[0], stockholm[0]) == pytest.approx(1185, abs=15)
    assert least_km(frankfurt, stockholm) > 500
    # Nobody knows where in the EU: it may be Frankfurt itself.
    assert least_km(frankfurt, places(jurisdiction="eu")) == 0
    assert least_km(frankfurt, places(jurisdiction="us")) > 5000
    assert least_km(frankfurt, places(region="eu-central-2")) < 500
    with pytest.raises(LookupError, match=r"region mars-north-1 is not in policies/views/geography\.py; add it"):
        least_km(frankfurt, places(region="mars-north-1"))
    assert least_km(frankfurt, places(jurisdiction="default")) == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("1h", 3600), ("50min", 3000), ("60", 60), ("500ms", 0.5), ("soon", None), ("1y", None), ("", None)],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert duration_seconds(text) == seconds


def encoded(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode())).decode()


def test_files_of_user_data() -> None:
    document = "#cloud-config\nwrite_files:\n  - path: /a\n    content: |\n      x\n"
    assert files_of(encoded(document)) == {"/a": "x\n"}
    assert files_of(base64.b64encode(document.encode()).decode()) == {"/a": "x\n"}


@pytest.mark.parametrize(
    "text", ["", "%%%", "AAAA", encoded("- a list"), encoded("a: ["), "H4sIAAAAAAAAA", encoded("a: 1")]
)
def test_user_data_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        files_of(text)
