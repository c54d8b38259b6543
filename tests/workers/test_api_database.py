"""Tests of GET /health with real PostgreSQL servers: the reported state of the database is true."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.postgres import Pair, running
from harness.waiting import TIMEOUT_SECONDS, until
from harness.workerd import Host

from .test_api import later, start

UNKNOWN = {
    "status": "unknown",
    "standbys": "unknown",
    "synchronousStandbys": "unknown",
    "lagBytes": "unknown",
    "workerGroupsReplicated": "unknown",
}
QUORUM = "ANY 1 (walreceiver)"


@pytest.fixture(scope="session")
def servers() -> Iterator[Pair]:
    with running() as pair:
        yield pair


@pytest.fixture
def pair(servers: Pair) -> Pair:
    """Both servers, with no commit waiting for a standby."""
    servers.commits_wait_for("")
    servers.stream()
    servers.leader.sql("UPDATE backbuild.heartbeat SET beat = '-infinity'")
    return servers


def health(host: Host, database: str) -> tuple[int, dict[str, Any]]:
    start(host, database)
    response = host.fetch("/health")
    return response["status"], json.loads(response["body"])["components"]


def test_database_is_ok_when_a_write_commits_on_a_quorum_standby(host: Host, pair: Pair) -> None:
    pair.commits_wait_for(QUORUM)
    status, components = health(host, pair.leader.url())
    assert status == 200
    assert components["database"] == {"status": "ok", "writable": True}
    replication = components["replication"]
    assert replication.pop("lagBytes") < 1_000_000
    assert replication == {
        "status": "ok",
        "standbys": 1,
        "synchronousStandbys": 1,
        "workerGroupsReplicated": True,
    }
    assert pair.leader.sql("SELECT beat > now() - interval '5s' FROM backbuild.heartbeat") == "t"


def test_asynchronous_standby_does_not_count_as_replication(host: Host, pair: Pair) -> None:
    status, components = health(host, pair.leader.url())
    assert status == 200
    assert components["database"]["status"] == "ok"
    assert components["replication"]["status"] == "degraded"
    assert (components["replication"]["standbys"], components["replication"]["synchronousStandbys"]) == (1, 0)


def test_without_a_standby_replication_is_degraded(host: Host, pair: Pair) -> None:
    pair.standby.stop()
    pair.leader.wait_for("SELECT count(*) = 0 FROM pg_stat_replication")
    status, components = health(host, pair.leader.url())
    assert status == 200
    assert components["database"] == {"status": "ok", "writable": True}
    assert components["replication"]["status"] == "degraded"
    assert components["replication"]["standbys"] == 0


def test_standby_that_does_not_replay_degrades_replication(host: Host, pair: Pair) -> None:
    pair.commits_wait_for(QUORUM)
    pair.standby.sql("SELECT pg_wal_replay_pause()")
    try:
        pair.leader.sql("SELECT pg_logical_emit_message(false, 'test', repeat('x', 17 * 1024 * 1024)) IS NOT NULL")
        _, components = health(host, pair.leader.url())
    finally:
        pair.standby.sql("SELECT pg_wal_replay_resume()")
    assert components["replication"]["status"] == "degraded"
    assert components["replication"]["synchronousStandbys"] == 1
    assert components["replication"]["lagBytes"] > 16 * 1024 * 1024


def test_commit_that_waits_for_a_standby_is_not_a_write(host: Host, pair: Pair) -> None:
    """Later checks do not wait for the row lock that the commit holds."""
    pair.commits_wait_for(QUORUM)
    pair.standby.stop()
    start(host, pair.leader.url())
    waits = "SELECT count(*) >= 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    for seconds in (0, 2):  # a report is reused for two seconds
        instruction = {"clock": later(seconds=seconds)}
        response = host.report_while(lambda: pair.leader.wait_for(waits), 1_999, instruction=instruction)
        assert response["status"] == 503
        assert json.loads(response["body"])["components"]["database"] == {"status": "down", "writable": False}


def test_checks_at_once_write_one_row(host: Host, pair: Pair) -> None:
    """No report is shared, because the clocks of the checks are two seconds apart."""
    start(host, pair.leader.url())
    clocks = [later(seconds=2 * number) for number in range(21)]
    asked = [{"op": "fetch", "path": "/health", "method": "GET", "instruction": {"clock": clock}} for clock in clocks]
    before = pair.leader.sql("SELECT xmin FROM backbuild.heartbeat")
    looks = host.together(*asked[:20])
    written = pair.leader.sql("SELECT xmin FROM backbuild.heartbeat")
    assert {look["status"] for look in looks} == {200}
    assert written != before
    assert host.together(asked[20])[0]["status"] == 200
    assert pair.leader.sql("SELECT xmin FROM backbuild.heartbeat") == written


def test_standby_is_down_because_it_rejects_writes(host: Host, pair: Pair) -> None:
    status, components = health(host, pair.standby.url())
    assert status == 503
    assert components["database"] == {"status": "down", "writable": False}
    assert components["replication"] == UNKNOWN


def test_a_read_only_database_is_down(host: Host, pair: Pair) -> None:
    pair.leader.sql("ALTER DATABASE backbuild SET default_transaction_read_only = on", "postgres")
    try:
        status, components = health(host, pair.leader.url())
    finally:
        pair.leader.sql("ALTER DATABASE backbuild RESET default_transaction_read_only", "postgres")
    assert status == 503
    assert components["database"] == {"status": "down", "writable": False}


def test_worker_groups_are_checked_with_citus(host: Host, pair: Pair) -> None:
    """The test defines Citus's function itself, because Citus is not in Debian."""
    pair.commits_wait_for(QUORUM)
    played = (
        "CREATE OR REPLACE FUNCTION pg_catalog.run_command_on_workers(command text, parallel boolean DEFAULT true, "
    )
    played += "OUT nodename text, OUT nodeport integer, OUT success boolean, OUT result text) RETURNS SETOF record "
    answers = {
        "VALUES ('a', 1, true, 't'), ('b', 1, true, 't')": ("ok", True),
        "VALUES ('a', 1, true, 't'), ('b', 1, true, 'f')": ("degraded", False),
        "VALUES ('a', 1, true, 't'), ('b', 1, false, 'connection refused')": ("unknown", "unknown"),
        "SELECT 'a', 1, true, (1 / 0)::text": ("unknown", "unknown"),
        "SELECT 'a', 1, true, 't' WHERE false": ("ok", True),
    }
    try:
        for answer, (status, replicated) in answers.items():
            pair.leader.sql(f"{played} LANGUAGE sql AS $$ {answer} $$")
            _, components = health(host, pair.leader.url())
            assert components["database"] == {"status": "ok", "writable": True}, answer
            said = components["replication"]
            assert (said["status"], said["workerGroupsReplicated"]) == (status, replicated), answer
        pair.leader.sql(f"{played} LANGUAGE sql AS $$ SELECT 'a', 1, true, pg_sleep({TIMEOUT_SECONDS})::text $$")
        sleeps = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        instruction = {"clock": later(seconds=2)}
        response = host.report_while(lambda: pair.leader.wait_for(sleeps), 1_499, instruction=instruction)
        report = json.loads(response["body"])["components"]
        assert report["database"] == {"status": "ok", "writable": True}
        assert report["replication"]["workerGroupsReplicated"] == "unknown"
    finally:
        pair.leader.sql("DROP FUNCTION pg_catalog.run_command_on_workers")


def test_query_sent_to_worker_groups_detects_a_quorum_standby(pair: Pair) -> None:
    """The query for run_command_on_workers returns true on a leader with a quorum standby, and false without one."""
    body = pair.leader.sql("SELECT prosrc FROM pg_proc WHERE proname = 'worker_groups_replicated'")
    question = body.split("$standbys$")[1]
    assert pair.leader.sql(question) == "f"
    pair.commits_wait_for(QUORUM)
    pair.leader.wait_for(question)


@pytest.mark.parametrize("server", ["leader", "standby"])
def test_database_without_the_functions_is_checked_with_plain_queries(host: Host, pair: Pair, server: str) -> None:
    status, components = health(host, getattr(pair, server).url(database="postgres"))
    assert components["replication"] == UNKNOWN
    if server == "leader":
        assert (status, components["database"]) == (200, {"status": "ok", "writable": "unknown"})
    else:
        assert (status, components["database"]) == (503, {"status": "down", "writable": False})


def test_only_the_application_role_may_call_the_functions(pair: Pair) -> None:
    pair.leader.sql("CREATE ROLE stranger")
    for function in ("backbuild.health()", "backbuild.worker_groups_replicated()"):
        privileges = f"SELECT has_function_privilege('application', '{function}', 'EXECUTE'), "
        privileges += f"has_function_privilege('stranger', '{function}', 'EXECUTE')"
        assert pair.leader.sql(privileges) == "t|f"
    assert pair.leader.sql("SELECT has_table_privilege('application', 'backbuild.heartbeat', 'SELECT')") == "f"
    pair.leader.sql("DROP ROLE stranger")


def test_wrong_password_is_down_and_is_not_quoted(host: Host, pair: Pair) -> None:
    start(host, pair.leader.url(password="hunter2"))
    response = host.fetch("/health")
    assert response["status"] == 503
    for secret in ("hunter2", "application", "127.0.0.1", str(pair.leader.port), "28P01", "password", "rror"):
        assert secret not in response["body"]


@pytest.mark.parametrize("method", ["md5", "password", "trust"])
def test_every_authentication_method_of_hyperdrive_is_supported(host: Host, pair: Pair, method: str) -> None:
    access = pair.leader.data / "pg_hba.conf"
    before = access.read_text()
    access.write_text(f"host all {method} 127.0.0.1/32 {method}\n{before}")
    hashing = "md5" if method == "md5" else "scram-sha-256"
    try:
        pair.leader.sql(
            f"SET password_encryption = '{hashing}'; CREATE ROLE {method} LOGIN PASSWORD 'päss'", "postgres"
        )
        pair.leader.sql("SELECT pg_reload_conf()")
        good = health(host, pair.leader.url(method, "päss", "postgres"))[1]["database"]
        bad = health(host, pair.leader.url(method, "pass", "postgres"))[1]["database"]
    finally:
        access.write_text(before)
        pair.leader.sql(f"DROP ROLE {method}; SELECT pg_reload_conf()", "postgres")
    assert good == {"status": "ok", "writable": "unknown"}
    assert bad["status"] == ("ok" if method == "trust" else "down")


def unread(port: int) -> bool:
    """Return whether a port has received bytes that are not read yet: proc_pid_net(5), with hexadecimal figures."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and not row[4].endswith(":00000000") for row in rows)


def test_frozen_server_does_not_delay_the_report(host: Host, pair: Pair) -> None:
    assert pair.leader.process is not None
    start(host, pair.leader.url())
    os.kill(pair.leader.process.pid, signal.SIGSTOP)
    try:
        response = host.report_while(lambda: until(lambda: unread(pair.leader.port), "a startup message"), 1_999)
    finally:
        os.kill(pair.leader.process.pid, signal.SIGCONT)
    assert response["status"] == 503
    assert host.fetch("/health", instruction={"clock": later(seconds=2)})["status"] == 200


def test_health_sql_is_idempotent(pair: Pair) -> None:
    file = pair.leader.folder / "health.sql"
    pair.leader.sql(file.read_text())
    assert pair.leader.sql("SELECT count(*) FROM backbuild.heartbeat") == "1"
