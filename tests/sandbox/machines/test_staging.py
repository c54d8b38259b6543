"""Staging as real machines: it comes up gate by gate, and loses its leader without losing a commit."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.engine.workspace import Workspace
from sandbox.machines import inventory, network, prerequisites
from sandbox.machines.inventory import Instance
from sandbox.machines.place import Place, place_of
from sandbox.machines.processes import Group

ROOT = Path(__file__).resolve().parents[3]
WRITER = Path(__file__).with_name("writer.py")
# For every event: the boot of nine machines on a loaded computer takes minutes.
LIMIT_SECONDS = 900
COMMITS = 50  # so many acknowledged commits show that writes go on

MISSING = prerequisites.missing()
pytestmark = [pytest.mark.long, pytest.mark.skipif(MISSING is not None, reason=f"machines cannot run: {MISSING}")]


@dataclass(frozen=True)
class Stack:
    """Staging in a folder of this test's own. The image is shared with the project's sandbox, for it takes minutes."""

    home: Path

    @property
    def place(self) -> Place:
        return place_of(Workspace(self.home, "staging"))

    def sandbox(self, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "SANDBOX_HOME": str(self.home), "SANDBOX_IMAGES": images()}
        arguments = [sys.executable, "-m", "sandbox", command, "--stack", "staging", *words]
        return subprocess.run(
            arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS
        )

    def up(self) -> float:
        """Bring the stack up, and return how long it took."""
        begun = time.monotonic()
        done = self.sandbox("up", "--live", "--skip-preview", "--skip-policies")
        assert done.returncode == 0, done.stdout + done.stderr
        return time.monotonic() - begun

    def instance(self, name: str) -> Instance:
        return next(one for one in inventory.read(self.place.store).instances.values() if one.name == name)

    def secret(self, name: str) -> str:
        versions = inventory.read(self.place.store).of_type("aws:secretsmanager/secretVersion:SecretVersion")
        return next(str(one.outputs["secretString"]) for one in versions if one.urn.endswith(f"::access-{name}"))


def images() -> str:
    return os.environ.get("SANDBOX_IMAGES") or str(ROOT / ".sandbox/images")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("live"))
    try:
        print(f"staging is up after {made.up():.1f} s")
        yield made
    finally:
        done = made.sandbox("destroy")
        assert done.returncode == 0, done.stdout + done.stderr
        assert remaining(made.place) == []


def remaining(place: Place) -> list[str]:
    """Return everything of the stack that the kernel still has."""
    loops = subprocess.run(
        ["losetup", "--list", "--noheadings", "--output", "BACK-FILE"], capture_output=True, text=True, check=False
    )
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return [
        *network.names(place),
        *(["processes"] if Group(place.prefix).path.exists() else []),
        *(line for line in [*loops.stdout.splitlines(), *mounts] if str(place.folder) in line),
        *([str(place.folder)] if place.folder.exists() else []),
    ]


@dataclass
class Writer:
    """A client that writes through a gateway, from inside the gateway as cloudflared does."""

    stack: Stack
    file: Path

    @property
    def conninfo(self) -> str:
        password = self.stack.secret("application")
        return f"host=127.0.0.1 user=application dbname=backbuild sslmode=require connect_timeout=3 password={password}"

    def inside(self, *command: str | Path) -> list[str]:
        namespace = self.stack.place.namespace(self.stack.instance("gateway-0").id)
        return [*network.inside(namespace), sys.executable, *map(str, command)]

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.inside(WRITER, self.conninfo, self.file), stdout=self.file.with_suffix(".log").open("wb")
        )

    def ask(self, statement: str) -> list[str]:
        """Return the first column of a statement's rows."""
        program = "import psycopg, sys; [print(row[0]) for row in psycopg.connect(sys.argv[1]).execute(sys.argv[2])]"
        done = subprocess.run(
            self.inside("-c", program, self.conninfo, statement),
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def acknowledged(self) -> list[tuple[float, str]]:
        """Return the time and the number of each acknowledged commit."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [(float(moment), number) for moment, _, number in (line.partition(" ") for line in lines) if number]

    def wait_for(self, commits: int) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while len(self.acknowledged()) < commits:
            assert time.monotonic() < deadline, self.file.with_suffix(".log").read_text()[-2000:]
            time.sleep(0.1)


def test_every_machine_runs_and_patroni_logs_no_error(stack: Stack):
    assert stack.sandbox("status").returncode == 0
    for name in ("coordinator-0", "coordinator-1"):
        journal = stack.sandbox("logs", name, "--", "--unit=patroni").stdout
        assert "the leader with the lock" in journal or "following a leader" in journal
        assert "Traceback" not in journal


def test_a_machine_reads_the_secrets_of_its_role_only(stack: Stack):
    read = ". /etc/default/backbuild; $SECRETS_COMMAND backbuild-staging/database/superuser"
    assert stack.secret("superuser") in stack.sandbox("ssh", "worker-1-0", "--", "sh", "-c", read).stdout
    refused = stack.sandbox("ssh", "gateway-0", "--", "sh", "-c", read)
    assert refused.returncode == 1
    assert "AccessDeniedException" in refused.stderr
    assert "backbuild-staging-gateway of gateway-0 may not secretsmanager:GetSecretValue" in refused.stderr


def test_a_machine_reaches_what_the_security_groups_admit_only(stack: Stack):
    def answers(source: str, target: str, port: int) -> bool:
        url = f"http://{stack.instance(target).address}:{port}/health"
        done = stack.sandbox("ssh", source, "--", "curl", "-s", "-o", "/dev/null", "--max-time", "5", url)
        assert done.returncode in {0, 28}, done.stderr  # 28: no answer in time
        return done.returncode == 0

    assert answers("coordinator-0", "consensus-0", 2379)
    assert answers("gateway-0", "coordinator-0", 8008)
    assert not answers("gateway-0", "consensus-0", 2379)
    assert not answers("gateway-0", "worker-1-0", 8008)


def test_a_machine_goes_on_when_a_missing_secret_is_there(stack: Stack):
    def shell(words: str) -> str:
        return stack.sandbox("ssh", "gateway-1", "--", "sh", "-c", words).stdout

    def wait_until(condition: str) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while "yes" not in shell(f"{condition} && echo yes"):
            assert time.monotonic() < deadline, shell("journalctl --no-pager --lines=30")
            time.sleep(0.5)

    local = "/etc/default/backbuild-local"
    shell(f"cp {local} /root/kept && echo SECRETS_COMMAND=false >>{local}")
    shell("systemctl stop backbuild-tunnel backbuild-secrets; systemctl start --no-block backbuild-tunnel")
    wait_until("journalctl --unit=backbuild-tunnel | grep -q 'Dependency failed'")
    shell(f"mv /root/kept {local}")
    wait_until("systemctl is-active --quiet backbuild-tunnel")
    wait_until("/usr/local/sbin/backbuild-healthy")


def test_a_lost_leader_loses_no_commit_and_comes_back(stack: Stack, tmp_path: Path):
    writer = Writer(stack, tmp_path / "acknowledged")
    process = writer.start()
    try:
        writer.wait_for(COMMITS)
        (address,) = writer.ask("SELECT host(inet_server_addr())")
        leader = inventory.read(stack.place.store).at(address)
        assert leader is not None
        assert leader.name.startswith("coordinator-")

        assert stack.sandbox("kill", leader.name).returncode == 0
        before = writer.acknowledged()
        writer.wait_for(len(before) + COMMITS)
    finally:
        process.kill()
        process.wait()

    acknowledged = writer.acknowledged()
    stored = writer.ask("SELECT number FROM written")
    assert {number for _, number in acknowledged} <= set(stored)
    (address,) = writer.ask("SELECT host(inet_server_addr())")
    assert address != leader.address
    stall = max(later - earlier for (earlier, _), (later, _) in itertools.pairwise(acknowledged))

    # The killed machine boots again with its volume, and its gate passes: it streams, and may be promoted.
    assert stack.sandbox("status").returncode == 1
    again = stack.up()
    assert stack.sandbox("status").returncode == 0
    print(f"{len(acknowledged)} commits; writes stalled for {stall:.1f} s; redundant again after {again:.1f} s of up")
