"""backbuild-healthy reports why a machine is not ready, instead of only that a service does not answer."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.stacks import contents, member, topology_of
from harness.waiting import TIMEOUT_SECONDS

PROD = topology_of("prod")
SCRIPT = contents(PROD, member(PROD, "coordinator-0"))["/usr/local/sbin/backbuild-healthy"]


class Machine:
    """A machine whose units, journal and disk are stubs. At first it is healthy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = SCRIPT
        for there in ("/etc/default/backbuild", "/run/backbuild-install", "/usr/local/lib/backbuild/check"):
            assert there in self.script
            self.script = self.script.replace(there, f"{folder}{there}")
        self.write("etc/default/backbuild", "MEMBER=m\nDATA=/data\nPREREQUISITES=secrets\nMAIN_SERVICES=patroni\n")
        self.command("usr/local/lib/backbuild/check", "echo leads")
        self.command("bin/systemctl", 'case "$1" in is-active) exit 0;; esac; echo 1234')
        self.command("bin/mountpoint", "exit 0")
        self.command("bin/df", "printf 'Avail\\n 1024\\n'")
        self.journal("Starting…")

    def write(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def command(self, name: str, body: str) -> None:
        self.write(name, f"#!/bin/sh\n{body}\n").chmod(0o755)

    def journal(self, *lines: str) -> None:
        self.command("bin/journalctl", "cat <<'END'\n" + "\n".join(lines) + "\nEND")

    def check(self) -> tuple[int, str]:
        environment = {"PATH": f"{self.folder}/bin:/usr/bin:/bin"}
        done = subprocess.run(
            ["sh", "-s"],
            input=self.script,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
        return done.returncode, (done.stdout + done.stderr).strip()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_ready_machine_reports_the_result_of_its_services_check(machine: Machine):
    assert machine.check() == (0, "m is healthy: leads")
    machine.command("usr/local/lib/backbuild/check", "echo Patroni does not answer; exit 1")
    assert machine.check() == (1, "m is not healthy: Patroni does not answer")


def test_an_unfinished_installation_is_the_reason(machine: Machine):
    machine.write("run/backbuild-install", "backbuild-install: install_debian failed six times\n")
    assert machine.check() == (1, "m is not healthy: backbuild-install: install_debian failed six times")


def test_the_message_of_a_prerequisite_is_the_reason(machine: Machine):
    machine.command("bin/systemctl", 'case "$1" in is-active) exit 3;; esac; echo 1234')
    assert machine.check() == (1, "m is not healthy: secrets has not succeeded: no message yet")
    machine.journal(
        "Starting…", "backbuild-secrets: a has no value", "secrets.service: Failed with result 'exit-code'."
    )
    assert machine.check() == (1, "m is not healthy: secrets has not succeeded: backbuild-secrets: a has no value")


def test_a_full_data_volume_is_the_reason(machine: Machine):
    machine.command("bin/df", "printf 'Avail\\n 0\\n'")
    assert machine.check() == (
        1,
        "m is not healthy: the data volume is full; remedy: raise volumeGib, or delete files below /data",
    )


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-29 12:00:00 CRITICAL: system ID mismatch, node m belongs to a different cluster: 7 != 8",
        '{"level":"fatal","msg":"discovery failed","error":"member 1 has already been bootstrapped"}',
        "patroni-configure: Citus is not installed",
    ],
)
def test_the_last_error_of_a_service_that_does_not_run_is_the_reason(machine: Machine, line: str):
    machine.command("bin/systemctl", 'case "$1" in is-active) exit 0;; esac; echo 0')
    machine.journal("INFO: no action", line, "curl: (7) Failed to connect", "INFO: waiting")
    assert machine.check() == (1, f"m is not healthy: patroni does not run: {line}")
