"""Calendars, distances and machines' files, compared with figures computed by hand."""

from __future__ import annotations

import base64
import gzip
import hashlib

import pytest

from machines.archive import archive_of
from machines.files import File
from policies.views.booted import boot_of, files_of
from policies.views.calendars import calendar_gap_seconds, cron_gap_seconds, window_gap_days
from policies.views.geography import great_circle_km, least_km, places
from policies.views.lifecycles import Expiry
from policies.views.machines import Machine, duration_seconds, sections
from policies.views.units import Unit, late
from policies.views.vault import Copy
from tests.policies.graphs import graph, resource

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


def test_distances_between_regions_and_jurisdictions() -> None:
    frankfurt, stockholm = places(region="eu-central-1"), places(region="eu-north-1")
    assert great_circle_km(frankfurt[0], stockholm[0]) == pytest.approx(1185, abs=15)
    assert least_km(frankfurt, stockholm) > 500
    # The location inside the EU is unknown: it may be Frankfurt itself.
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
def test_durations_are_converted_to_seconds(text: str, seconds: float | None) -> None:
    assert duration_seconds(text) == seconds


def test_files_of_an_archive() -> None:
    archive = archive_of([File("/a", "x\n", "0644", "root:root")])
    encoded = base64.b64encode(archive.content).decode()
    assert files_of(encoded, archive.sha256) == {"/a": "x\n"}
    with pytest.raises(ValueError, match="its SHA-256 is"):
        files_of(encoded, "0" * 64)


@pytest.mark.parametrize("content", [b"", b"x", b"\x1f\x8b\x08\x00", gzip.compress(b"not a tar", mtime=0)])
def test_an_archive_that_cannot_be_read_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        files_of(base64.b64encode(content).decode(), hashlib.sha256(content).hexdigest())


def test_an_archive_that_is_not_base64_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"."):
        files_of("%%%", "0" * 64)


@pytest.mark.parametrize(
    "text", ["", "#!/bin/sh\n", "#cloud-config\n- a list\n", "#cloud-config\na: [", "#cloud-config\nruncmd: []\n"]
)
def test_user_data_without_the_reviewed_boot_script_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        boot_of(text)


@pytest.mark.parametrize(
    ("schedule", "days"),
    [
        ("cron(0 3 ? * SUN *)", 7),
        ("cron(0 3 ? * MON-FRI *)", 3),
        ("cron(0 3 1 1,4,7,10 ? *)", 92),
        ("cron(0 3 31 2 ? *)", None),  # never
        ("cron(0 3 29 2 ? *)", 1461),
        ("rate(7 days)", 7),
        ("rate(12 hours)", 0.5),
        ("cron(0 3 L * ? *)", None),
        ("cron(0 3 ? * SUN 2030)", None),
        ("", None),
    ],
)
def test_the_longest_gap_of_a_maintenance_window(schedule: str, days: float | None) -> None:
    assert window_gap_days(schedule) == days


def bucket(deleted: dict[str, float], lock: dict[str, float]) -> Copy:
    copy = Copy(graph(), resource("cloudflare:index/r2Bucket:R2Bucket", "b"), (), "eu")
    copy.__dict__.update(rules=Expiry(deleted, deleted), lock=lock)
    return copy


def test_locks_and_expiries_of_a_prefix_are_computed_from_all_rules() -> None:
    copy = bucket({"daily/": 65, "daily/a/2027": 9}, {"daily/": 35, "daily/a/x": 99})
    assert copy.expires("daily/a/") == 9
    assert copy.ages_out("daily/a/") == 65
    assert copy.expires("daily/b/") == 65
    assert copy.expires("monthly/b/") is None
    assert copy.locked("daily/a/") == 35
    assert copy.locked("monthly/") == 0


def machine(**files: str) -> Machine:
    found = Machine(resource("aws:ec2/instance:Instance", "a-0"), "a", "worker", {})
    named = {"/etc/default/backbuild": 'DISABLED=""\nSERVICES="x.timer"\n', **files}
    install = "systemctl enable --now --no-block $SERVICES\n"
    named["/usr/local/sbin/backbuild-install"] = install
    found.__dict__.update(files=named, document={"runcmd": [["/usr/local/sbin/backbuild-install"]]})
    return found


def test_sections_keep_their_settings_in_order() -> None:
    text = "[a]\n# x=0\nx=1\nx=\nx = 2 \\\n 3\n[b]\nx=4\n"
    assert sections(text) == {"a": (("x", "1"), ("x", ""), ("x", "2   3")), "b": (("x", "4"),)}


TIMER = "/etc/systemd/system/x.timer"


@pytest.mark.parametrize(
    ("timer", "wrong"),
    [
        ("OnCalendar=*-*-* *:30:00 UTC", None),
        ("OnCalendar=*-*-* *:30:00 UTC\nAccuracySec=1month", "RandomizedDelaySec or AccuracySec cannot be read"),
        ("OnCalendar=*-*-* *:30:00 UTC\nRandomizedDelaySec=2h", "1 h and 1.98333 h of delay between runs"),
        ("OnCalendar=*-*-* *:30:00 UTC\nOnCalendar=", "sets no OnCalendar"),
        ("OnCalendar=daily", "up to 24 h between runs; 1 h at most"),
        ("[Install]\nOnCalendar=*-*-* *:30:00 UTC", "sets no OnCalendar"),
    ],
)
def test_a_timer_with_a_long_gap_is_late(timer: str, wrong: str | None) -> None:
    found = late(machine(**{TIMER: f"[Timer]\n{timer}\n"}), "x.timer", HOUR)
    assert found is None if wrong is None else wrong in str(found)


@pytest.mark.parametrize(
    ("unit", "drop_in", "overridden"),
    [
        ("x@y.service", "x@y.service.d", True),
        ("x@y.service", "x@.service.d", True),
        ("x@y.service", "service.d", True),
        ("x-z.timer", "x-.timer.d", True),
        ("x-z.timer", "y-.timer.d", False),
        ("x@y.service", "etcd.service.d", False),
        ("x@y.service", "timer.d", False),
    ],
)
def test_drop_ins_override_their_unit(unit: str, drop_in: str, overridden: bool) -> None:
    folder = "/etc/systemd/system"
    files = {f"{folder}/{unit}": "[Timer]\n", f"{folder}/{drop_in}/a.conf": ""}
    assert (Unit(machine(**files), unit).overridden() is not None) == overridden


def test_pgbackrest_options_have_a_precedence() -> None:
    text = "[global:backup]\nt=1\n[global]\nt=2\nu=3\n[a]\nu=4\n[a:backup]\nu=5\n[b]\nv=6\n"
    found = machine(**{"/etc/pgbackrest/pgbackrest.conf": text})
    assert found.pgbackrest_by_command("t") == {"all": "2", "backup": "1"}
    assert found.pgbackrest_by_command("u") == {"all": "4", "backup": "5"}
    assert found.pgbackrest("v", "none") == "none"
