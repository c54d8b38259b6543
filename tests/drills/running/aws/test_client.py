"""The programs that drills send to machines, as processes of their own, with a real PostgreSQL."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from drills.failover.checks import longest_stall, lost
from drills.running.aws import client, machines, pairs
from harness.postgres import PASSWORD, Server, running

RUN = "zone-lost 2026-11-30T03:00:00Z, o'clock"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as pair:
        pair.leader.sql("ALTER SYSTEM SET synchronous_standby_names = ''")
        pair.leader.sql("SELECT pg_reload_conf()")
        yield pair.leader


@pytest.fixture(autouse=True)
def empty(server: Server) -> None:
    server.sql("DROP TABLE IF EXISTS failover_drill")


def conninfo(server: Server) -> str:
    quoted = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
    return f"host=127.0.0.1 port={server.port} user=application dbname=backbuild password='{quoted}'"


@contextmanager
def started(program: Any, settings: dict[str, Any], change: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Run a program with nothing of the platform on its path. `change` is code that runs before."""
    file = Path(program.__file__)
    code = f"import sys; sys.path = [{str(file.parent)!r}, *sys.path]; import {file.stem}; {change}\n{file.stem}.main()"
    words = [sys.executable, "-I", "-c", code, json.dumps(settings)]
    with subprocess.Popen(words, cwd="/", stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def settings_of(server: Server, file: Path, *groups: str) -> dict[str, Any]:
    file.touch()
    targets = dict.fromkeys(groups, conninfo(server))
    return {"run": RUN, "machine": "worker-1-0", "file": str(file), "table": "failover_drill", "targets": targets}


def read(file: Path, offset: int = 0) -> machines.Reading:
    """Carry out the command that reads a machine's lines."""
    command = machines.read(offset).replace(machines.FOLDER, str(file.parent))
    return machines.reading_of(subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout)


def present(server: Server) -> set[tuple[str, int]]:
    return machines.numbers_of(server.sql(machines.present(RUN)))


def test_every_acknowledged_commit_is_recorded_with_its_time_and_is_present(server: Server, tmp_path: Path):
    file, begun = tmp_path / "commits", time.time()
    with started(client, settings_of(server, file, "coordinator", "worker-1")):
        until(lambda: file.read_bytes().count(b"\n") > 12)
    found = read(file)
    assert {one.group for one in found.commits} == {"coordinator", "worker-1"}
    assert {one.writer for one in found.commits} == {"coordinator from worker-1-0", "worker-1 from worker-1-0"}
    assert all(begun <= one.begun <= one.acknowledged <= found.clock for one in found.commits)
    assert {(one.server, one.timeline) for one in found.commits} == {("127.0.0.1", "00000001")}
    assert lost(found.commits, present(server)) == []


def test_a_crash_of_the_server_is_a_stall_and_numbers_are_not_used_again(server: Server, tmp_path: Path):
    file = tmp_path / "commits"
    with started(client, settings_of(server, file, "coordinator")):
        until(lambda: file.read_bytes().count(b"\n") > 5)
        server.stop()
        time.sleep(1)
        before = read(file)
        server.start()
        until(lambda: len(read(file).commits) > len(before.commits) + 5)
    commits = read(file).commits
    numbers = [one.number for one in commits]
    assert numbers == sorted(set(numbers))
    times = [one.acknowledged for one in commits]
    assert longest_stall(times, times[0], times[-1]).seconds >= 1
    assert lost(commits, present(server)) == []


def test_a_lost_row_is_found(server: Server, tmp_path: Path):
    file = tmp_path / "commits"
    with started(client, settings_of(server, file, "coordinator")):
        until(lambda: file.read_bytes().count(b"\n") > 5)
    commits = read(file).commits
    server.sql("DELETE FROM failover_drill WHERE number = 3")
    assert [one.number for one in lost(commits, present(server))] == [3]


def test_a_client_does_not_wait_for_ever(server: Server, tmp_path: Path):
    file = tmp_path / "commits"
    backend = "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE application_name = 'drill'"
    blocked = threading.Thread(
        target=lambda: server.sql("BEGIN; LOCK TABLE failover_drill IN SHARE MODE; SELECT pg_sleep(2)")
    )
    with started(client, settings_of(server, file, "coordinator"), "client.PATIENCE = 0.3"):
        until(lambda: file.read_bytes().count(b"\n") > 1)
        first = server.sql(backend)
        blocked.start()
        until(lambda: server.sql(backend) not in {"", first})
    blocked.join()


def test_lines_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machines, "CHUNK_BYTES", 100)
    lines = [json.dumps(["worker-1", "w", number, 1.0, 2.0 + number, "s", "1"]) for number in range(9)]
    (tmp_path / "commits").write_text("".join(f"{line}\n" for line in lines) + '["worker-1", "w", 10')
    numbers: list[int] = []
    offset = 0
    while (found := read(tmp_path / "commits", offset)).commits:
        assert found.until == (found.clock if found.commits[-1].number == 8 else found.commits[-1].acknowledged)
        numbers += [one.number for one in found.commits]
        offset += found.size
    assert numbers == list(range(9))


def test_pairs_are_committed_in_both_groups(server: Server):
    server.sql("CREATE DATABASE second OWNER application", "postgres")
    targets = [conninfo(server), conninfo(server).replace("dbname=backbuild", "dbname=second")]
    count = "SELECT count(*) FROM drill_pairs"
    while pairs.is_pause(time.time()):
        time.sleep(0.2)
    with started(pairs, {"table": "drill_pairs", "clients": 2, "targets": targets}):
        until(lambda: server.sql("SELECT to_regclass('drill_pairs') IS NOT NULL", "second") == "t")
        until(lambda: int(server.sql(count, "second")) > 20)
    numbers = "SELECT client || ' ' || number FROM drill_pairs"
    first, second = (set(server.sql(numbers, database).splitlines()) for database in ("backbuild", "second"))
    assert second <= first
    assert len(first - second) <= 2, "at most the last pair of each client is torn"
