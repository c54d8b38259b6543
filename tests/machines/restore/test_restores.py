"""Restores of real backups with PostgreSQL and pgBackRest: to points, promoted, in place, and interrupted ones."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.backup_world import GROUP
from harness.postgres import Server, programs
from harness.repository import Repository
from harness.waiting import until
from tests.lanes import first
from tests.machines.manifests import S3
from tests.machines.restore.backups import PREPARED, Backups, contents, stored
from tests.machines.restore.machine import MEMBER, Machine, facts_of, iso_of


def kill_during(machine: Machine, process: Any, happened: Callable[[], object], event: str) -> None:
    """Kill a step and everything that it has started as soon as something has happened."""
    until(lambda: happened() or process.poll() is not None, event)
    assert process.poll() is None, process.communicate()
    machine.kill()
    process.communicate()


def cut_fetch(machine: Machine, s3: S3, name: str) -> None:
    """Kill the step `fetch` while the store answers its fourth download."""
    downloads: list[str] = []
    release = threading.Event()

    def fault(method: str, path: str) -> None:
        if method == "GET" and path.startswith("hourly/") and not path.endswith("/"):
            downloads.append(path)
            if len(downloads) > 3:
                release.wait()

    s3.fault = fault
    kill_during(machine, machine.start("run", name, "fetch"), lambda: len(downloads) > 3, "four downloads")
    s3.fault = lambda _method, _path: None
    release.set()


def test_the_newest_data_that_no_manifest_lists_are_restored_also_after_interruptions(
    member: Machine, before: Backups, s3: S3
):
    member.begin("audit")
    cut_fetch(member, s3, "audit")
    fetched = member.step("audit", "fetch")
    assert max(fetched["points"]) == before.newest
    assert fetched["unlisted"] == 2

    data = member.of("audit") / "data"
    point = {"point": before.newest, "segment": fetched["points"][before.newest]}
    for file in ("PG_VERSION", "postmaster.pid"):  # while files are restored, and while WAL is replayed
        process = member.start("run", "audit", "recover", json.dumps(point))
        kill_during(member, process, (data / file).exists, f"{file} is there")
    member.step("audit", "recover", **point)

    process = member.start("run", "audit", "check")
    kill_during(member, process, (member.of("audit") / "added.json").exists, "the extension is added")
    checked = member.step("audit", "check")
    assert checked["databases"] == ["postgres"]
    assert checked["references"] == {"postgres": {"countries": 7}}
    with member.server("audit") as server:
        assert facts_of(server) == before.facts[before.newest]
        assert server.sql("SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'", "postgres") == "0"
        assert server.sql("SHOW archive_mode", "postgres") == "off"
        assert (
            server.sql("SELECT count(*) FROM pg_settings WHERE sourcefile ~ 'auto' AND name ~ '^recovery'", "postgres")
            == "0"
        )
    assert not list((member.folder / "run").glob("0000*"))


@pytest.mark.parametrize("index", first(1, [3, 0, 1, 2, 4, 5]))
def test_every_point_is_restored_also_on_an_abandoned_timeline(member: Machine, after: Backups, index: int):
    point = after.points[index]
    result = member.restore("audit", point)
    assert result["recover"]["system"]
    assert member.facts("audit") == after.facts[point]


@pytest.mark.long
@pytest.mark.parametrize("index", range(4))
def test_every_point_is_restored_before_another_timeline_begins(member: Machine, before: Backups, index: int):
    point = before.points[index]
    member.restore("audit", point)
    assert member.facts("audit") == before.facts[point]


def test_a_promoted_backup_is_restored_from_its_folder_alone(member: Machine, after: Backups, s3: S3):
    label = after.runs[0]
    for key in s3.keys(""):
        s3.delete(key)
    for key, body in after.promoted(label).items():
        s3.put(key, body)
    member.begin("old", "a time", iso_of(after.newest), after.newest)
    fetched = member.step("old", "fetch")
    assert (fetched["run"], fetched["class"], fetched["points"]) == (label, "daily", {})
    member.step("old", "recover", point=None, segment=None)
    member.step("old", "check")
    assert member.facts("old") == after.facts[label]


def lives_here(machine: Machine, name: str) -> None:
    """Let a restored cluster be the group's own data, with rows that no backup has."""
    shutil.move(machine.of(name) / "data", machine.postgres)
    with (machine.postgres / "postgresql.auto.conf").open("w") as settings:
        settings.write("archive_command = 'true'\n")
    server = Server(machine.data, "postgresql")
    server.start()
    server.sql("INSERT INTO facts SELECT generate_series(1, 5000); CREATE TABLE later AS SELECT 1 AS n", "postgres")
    server.sql("CHECKPOINT", "postgres")
    server.stop()
    machine.done("remove", name, root=True)


def archiving(machine: Machine, made: Repository) -> Server:
    """Return the group's server, which archives into the real repository."""
    server = Server(machine.data, "postgresql")
    configuration = made.configure(machine.folder / "archive.conf", made.bucket / "hourly", server)
    shutil.chown(configuration, "postgres", "postgres")
    push = f"pgbackrest --config={configuration} --stanza={GROUP} archive-push %p"
    with (machine.postgres / "postgresql.auto.conf").open("a") as settings:
        settings.write(f"archive_command = '{push}'\n")
    return server


@pytest.mark.long
@pytest.mark.parametrize("old", ["point", "promoted"])
def test_a_restore_in_place_replaces_the_data_and_archives_a_timeline_of_its_own(
    member: Machine, after: Backups, made: Repository, s3: S3, old: str
):
    """Also after kills, and although the promoted backup's folder does not have the later timelines."""
    stored(s3, replace(after, objects=contents(made)))
    member.restore("audit")
    lives_here(member, "audit")
    if old == "promoted":
        for key in s3.keys("hourly/backup/"):
            s3.delete(key)
        for key, body in after.promoted(after.runs[0]).items():
            s3.put(key, body)
    point = after.points[0] if old == "point" else None
    member.begin("in-place", "a time", iso_of(after.points[0]), after.points[0])
    fetched = member.step("in-place", "fetch")
    assert (fetched["run"], fetched["class"]) == (after.runs[0], "hourly" if point else "daily")
    assert member.done("run", "in-place", "shut", root=True) == ""
    arguments = {"point": point, "segment": fetched["points"].get(point)}
    process = member.start("run", "in-place", "recover", json.dumps(arguments))
    kill_during(member, process, (member.of("in-place") / "changed").exists, "data are changed")
    assert f"the data of {MEMBER} are half restored; continue" in member.refused("remove", "in-place", root=True)
    recovered = member.step("in-place", "recover", **arguments)
    member.step("in-place", "settle", nodes={}, commit=[], rollback=[])
    member.step("in-place", "check")
    server = archiving(member, made)
    server.start()
    try:
        assert facts_of(server) == after.facts[point or after.runs[0]]
        assert server.sql("SELECT to_regclass('later') IS NULL", "postgres") == "t"
        segment = server.sql("SELECT pg_walfile_name(pg_switch_wal() - 1)", "postgres")
        assert segment > "00000002FFFFFFFF"
        server.wait_for(f"SELECT last_archived_wal >= '{segment}' FROM pg_stat_archiver")
        assert server.sql("SELECT failed_count FROM pg_stat_archiver", "postgres") == "0"
        assert server.sql("SELECT system_identifier FROM pg_control_system()", "postgres") == recovered["system"]
    finally:
        server.stop()


def replace_program(machine: Machine, name: str, body: str) -> None:
    """Let one of PostgreSQL's programs be a shell script on a machine."""
    for real in programs().iterdir():
        if real.name != name:
            (machine.folder / "bin" / real.name).symlink_to(real)
    machine.stub(name, body)
    machine.environment["POSTGRES_PROGRAMS"] = str(machine.folder / "bin")


SPY = """
{real}/psql -XAtq -h {run} -p 5434 -d postgres >{folder}/seen <<SQL
SELECT name || '=' || setting FROM pg_settings
WHERE name IN ('listen_addresses', 'shared_preload_libraries', 'session_preload_libraries', 'archive_mode', 'ssl');
SQL
cp /proc/net/tcp {folder}/tcp
for file in /proc/$(head -1 {data}/postmaster.pid)/fd/*; do readlink "$file"; done >{folder}/files
exec {real}/pg_amcheck "$@"
"""


@pytest.mark.usefixtures("before")
def test_the_recovered_cluster_is_isolated_until_its_nodes_and_transactions_are_settled(member: Machine):
    places = {"run": member.folder / "run", "folder": member.folder / "data", "data": member.of("audit") / "data"}
    replace_program(member, "pg_amcheck", SPY.format(real=programs(), **places))

    recovered = member.restore("audit")["recover"]
    assert [one["gid"] for one in recovered["prepared"]] == sorted(PREPARED)
    committed = member.step("audit", "committed", gids=["citus_0_10_1_1", "citus_0_10_2_1"])
    assert committed == {"committed": ["citus_0_10_1_1"]}
    seen = (member.data / "seen").read_text().split()
    assert sorted(seen) == [
        "archive_mode=off",
        "listen_addresses=",
        "session_preload_libraries=",
        "shared_preload_libraries=",
        "ssl=off",
    ]
    sockets = {line.split()[9] for line in (member.data / "tcp").read_text().splitlines()[1:]}
    files = (member.data / "files").read_text().split()
    assert files
    assert not {f"socket:[{inode}]" for inode in sockets} & set(files)

    settled = member.step(
        "audit",
        "settle",
        nodes={"0": ["10.9.0.10", 5434], "1": ["10.9.0.20", 5434]},
        commit=["citus_0_10_1_1", "citus_0_0_0_0"],
        rollback=["citus_0_10_2_1"],
    )
    assert [one["gid"] for one in settled["prepared"]] == ["another-program"]
    places = [(one["group"], one["host"], one["port"]) for one in settled["nodes"]]
    assert sorted(places) == [(0, "10.9.0.10", 5434), (1, "10.9.0.20", 5434), (2, "10.0.0.31", 5432)]
    assert member.step("audit", "settle", nodes={}, commit=["citus_0_10_1_1"], rollback=[])["nodes"] == settled["nodes"]
    with member.server("audit") as server:
        assert server.sql("SELECT gid FROM parts", "postgres") == "citus_0_10_1_1"
        assert server.sql("SELECT gid FROM pg_prepared_xacts", "postgres") == "another-program"


@pytest.mark.usefixtures("before")
def test_a_run_of_another_major_version_is_refused_before_anything_is_fetched(member: Machine):
    replace_program(member, "postgres", "echo 'postgres (PostgreSQL) 99.1 (Debian 99.1-1)'")
    member.begin("audit")
    message = member.refused("run", "audit", "fetch")
    assert f"is of PostgreSQL {programs().parent.name}, and {MEMBER} has PostgreSQL 99; " in message
    assert not list((member.of("audit")).glob("repository/*"))


@pytest.mark.usefixtures("before")
def test_a_point_that_the_wal_does_not_have_is_an_error_with_postgresqls_reason(member: Machine):
    member.begin("audit")
    fetched = member.step("audit", "fetch")
    arguments = json.dumps({"point": "backbuild-20200101T000000Z", "segment": fetched["until"]})
    message = member.refused("run", "audit", "recover", arguments)
    reason = "PostgreSQL ended: recovery ended before configured recovery target was reached; read "
    assert message.startswith(reason)
    assert json.loads((member.of("audit") / "failed.json").read_text()) == {"step": "recover", "reason": message}


@pytest.mark.long
@pytest.mark.usefixtures("before")
def test_a_damaged_page_is_found(member: Machine):
    member.restore("audit")
    data = member.of("audit") / "data"
    with member.server("audit") as server:
        path = data / server.sql("SELECT pg_relation_filepath('facts')", "postgres")
    body = bytearray(path.read_bytes())
    body[8192 + 5000] ^= 1
    path.write_bytes(body)
    message = member.refused("run", "audit", "check")
    assert "pg_amcheck found damage" in message or "pg_checksums failed" in message
