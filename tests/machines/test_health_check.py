"""The health check of database machines, run as a process against a real PostgreSQL server.

Patroni's answers come from a stub of curl. Citus is a function of the same name and columns: what it does between nodes
is not tested here.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import postgres
from harness.stacks import contents, member, topology_of
from harness.waiting import TIMEOUT_SECONDS

PROD = topology_of("prod")
FAILS = "leads, but a distributed statement of the role application fails: "
CURL = """#!/bin/sh
case "$*" in
    */patroni)
        echo '{"state": "running", "role": "%(role)s", "replication_state": "streaming", "quorum_standby": true}'
        ;;
    */primary) [ %(role)s = primary ] ;;
    *) [ %(role)s = replica ] ;;
esac
"""
CITUS = """
    CREATE OR REPLACE FUNCTION run_command_on_all_nodes(
        command text, OUT nodeid integer, OUT success boolean, OUT result text
    ) RETURNS SETOF record LANGUAGE sql AS $$ VALUES (1, true, '1'), (2, %s) $$
"""


@pytest.fixture(scope="module")
def pair() -> Iterator[postgres.Pair]:
    with postgres.running() as running:
        yield running


@pytest.fixture
def without_citus(pair: postgres.Pair) -> Iterator[postgres.Pair]:
    yield pair
    pair.leader.sql("DROP FUNCTION IF EXISTS run_command_on_all_nodes(text)")


def check(folder: Path, server: postgres.Server, *, role: str, password: str = postgres.PASSWORD) -> tuple[int, str]:
    """Run the script as on a machine that has this role; return status and output.

    A machine needs no password for the application's role, but this test's server expects `password`.
    """
    script = contents(PROD, member(PROD, "coordinator-0"))["/usr/local/lib/backbuild/check"]
    (folder / "default").write_text("ADDRESS=127.0.0.1\nDATABASE=backbuild\n")
    assert "/etc/default/backbuild" in script
    script = script.replace("/etc/default/backbuild", str(folder / "default"))
    (folder / "bin").mkdir(exist_ok=True)
    for name, text in {"curl": CURL % {"role": role}, "runuser": '#!/bin/sh\nshift 3\nexec "$@"\n'}.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    environment = {
        "PATH": f"{folder}/bin:{postgres.programs()}:{os.environ['PATH']}",
        "PGPORT": str(server.port),
        "PGHOST": "127.0.0.1",
        "PGPASSWORD": password,
    }
    done = subprocess.run(
        ["sh", "-s"],
        input=script,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def test_a_leader_without_citus_runs_an_ordinary_statement(tmp_path: Path, without_citus: postgres.Pair):
    assert check(tmp_path, without_citus.leader, role="primary") == (0, "leads")


def test_a_leader_runs_a_distributed_statement_as_the_application(tmp_path: Path, without_citus: postgres.Pair):
    without_citus.leader.sql(CITUS % "true, '1'")
    assert check(tmp_path, without_citus.leader, role="primary") == (0, "leads")


def test_a_leader_that_another_node_rejects_is_not_healthy(tmp_path: Path, without_citus: postgres.Pair):
    without_citus.leader.sql(CITUS % "false, 'failed to connect: no password supplied'")
    status, output = check(tmp_path, without_citus.leader, role="primary")
    assert (status, output) == (1, f"{FAILS}node 2: failed to connect: no password supplied")


def test_a_leader_that_rejects_the_application_is_not_healthy(tmp_path: Path, without_citus: postgres.Pair):
    status, output = check(tmp_path, without_citus.leader, role="primary", password="another")
    assert status == 1
    assert output.startswith(f"{FAILS}psql ended with status 2")
    assert 'password authentication failed for user "application"' in output


def test_a_standby_runs_no_statement(tmp_path: Path, without_citus: postgres.Pair):
    without_citus.leader.sql(CITUS % "false, 'unreachable'")
    status, output = check(tmp_path, without_citus.leader, role="replica")
    assert (status, output) == (0, "streams from the leader and may be promoted")
