"""`python -m backups status` against the real report Worker (a Cloudflare Worker) in workerd."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from backups.report import Report
from harness.stacks import topology_of
from harness.workerd import Host
from model.copies import binding_of

from .conftest import TOKEN, Run
from .reports import ago

NOW = datetime.now(UTC).replace(microsecond=0)
LABEL = f"{NOW - timedelta(hours=5):%Y%m%d-%H%M%S}F"
STAGING = topology_of("staging")


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.close()


@pytest.fixture
def url(host: Host, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the report Worker with staging's bindings and an empty catalogue."""
    monkeypatch.setenv("BACKUPS_TOKEN", TOKEN)
    address = host.start(
        "backups/report",
        d1Databases=["DB"],
        bindings={
            "GROUPS": [group.name for group in STAGING.database_groups],
            "ROTATION": STAGING.rotation,
            "COPIES": binding_of(STAGING.copies),
            "TOKEN_SHA256": hashlib.sha256(TOKEN.encode()).hexdigest(),
        },
    )
    return address.rstrip("/")


def fill(host: Host) -> None:
    """Insert a full backup and a WAL segment of each group, verified an hour ago, and a recent run of watch."""
    host.sql(f"INSERT INTO runs VALUES ('watch', '{ago(minutes=2)}', 'ok', '{{\"ages\": {{}}}}')")
    first = "000000010000000000000001"
    for group in ("coordinator", "worker-1"):
        host.sql(
            "INSERT INTO manifests (grp, run, kind, started_at, finished_at, sha256, depends_on, history, wal_first, "
            f"wal_last, read_at) VALUES ('{group}', '{LABEL}', 'full', '{ago(hours=5)}', '{ago(hours=5)}', 'x', '[]', "
            f"1, '{first}', '{first}', '{ago(hours=5)}')"
        )
        rows = (
            ("backup", f"hourly/backup/{group}/{LABEL}/bundle/1", "hourly", "NULL", "NULL"),
            ("wal", f"hourly/archive/{group}/17-1/0", "hourly", "1", f"'{first}'"),
            ("backup", f"daily/{group}/{LABEL}/backup/{group}/{LABEL}/bundle/1", "daily", "NULL", "NULL"),
        )
        for kind, key, class_, history, segment in rows:
            host.sql(
                "INSERT INTO objects (key, grp, class, run, manifest, kind, size, sha256, stored_at, history, segment, "
                f"listed_at, check_after) VALUES ('{key}', '{group}', '{class_}', '{LABEL}', '{LABEL}', "
                f"'{kind}', 2048, 'x', '{ago(hours=5)}', {history}, {segment}, '{ago(hours=5)}', '{ago(days=-5)}')"
            )
            for copy in STAGING.copies:
                host.sql(
                    f"INSERT INTO object_copies VALUES ('{key}', '{copy.name}', '{ago(hours=5)}', '{ago(hours=1)}')"
                )


def test_an_empty_catalogue_is_reported_as_missing_backups(url: str, run: Run) -> None:
    ran = run("status", "--stack", "staging", "--url", url)
    assert (ran.code, ran.err) == (1, "")
    problems = [line.partition(": ")[2] for line in ran.out.splitlines() if line.startswith("problem: ")]
    assert [problem.split(" has ")[0] for problem in problems] == ["the watch Worker", "coordinator", "worker-1"]


def test_the_workers_report_is_shown(host: Host, url: str, run: Run) -> None:
    run("status", "--stack", "staging", "--url", url)  # the Worker creates the tables
    fill(host)
    ran = run("status", "--stack", "staging", "--url", url)
    assert (ran.code, ran.err) == (0, ""), ran.out
    assert ran.out.count(LABEL) == 4
    assert ran.out.count("WAL: 1 objects, 2.0 KiB, 000000010000000000000001 to 000000010000000000000001") == 2
    expiry = datetime.strptime(LABEL, "%Y%m%d-%H%M%SF").replace(tzinfo=UTC) + timedelta(days=14)
    assert f"{expiry:%Y-%m-%d}" in ran.out
    host.sql(
        "INSERT INTO findings (kind, store, key, detail, found_at, seen_at) "
        f"VALUES ('lost', 'primary', 'hourly/x', 'gone', '{ago(hours=1)}', '{ago(hours=1)}')"
    )
    host.sql(
        "INSERT INTO alarms (id, text, since, raised_at) "
        f"VALUES ('findings:lost', 'A loss.', '{ago(hours=1)}', '{ago(minutes=55)}')"
    )
    host.sql(f"UPDATE objects SET due_at = '{ago(hours=-3)}' WHERE class = 'daily'")
    host.sql("UPDATE object_copies SET verified_at = NULL WHERE copy = 'offsite' AND key LIKE 'daily/%'")
    ran = run("status", "--stack", "staging", "--url", url)
    assert ran.code == 1
    assert "problem: lost in primary: hourly/x: gone" in ran.out
    assert "A loss." in ran.out
    assert "0 of 1" in ran.out
    assert ran.out.count("planned") == 2


def test_every_field_of_the_report_is_parsed_or_listed(host: Host, url: str, run: Run) -> None:
    """A field that is added to the Worker's report fails this test until it is added here."""
    run("status", "--stack", "staging", "--url", url)
    fill(host)
    report = json.loads(run("status", "--stack", "staging", "--url", url, "--json").out)
    assert set(report) - set(Report.model_json_schema(by_alias=True)["properties"]) == {"audit", "well", "problems"}
    known = Report.model_json_schema(by_alias=True)["$defs"]
    for name, part in (
        ("Group", report["groups"][0]),
        ("Run", report["groups"][0]["runs"][0]),
        ("Wal", report["groups"][0]["wal"]),
        ("Copy", report["groups"][0]["wal"]["copies"]["primary"]),
        ("Worker", report["workers"][0]),
    ):
        assert set(part) == set(known[name]["properties"]), name


def test_the_worker_rejects_another_token(url: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKUPS_TOKEN", "another-token")
    ran = run("status", "--stack", "staging", "--url", url)
    assert (ran.code, ran.out) == (1, "")
    assert "rejects the token" in ran.err
