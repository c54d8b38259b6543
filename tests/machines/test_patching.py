"""Patching: the rendered script with stubs for apt, Patroni and the health check; and apt's own daily run."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.stacks import contents, member, members, topology_of
from model import gates
from model.topology import Role

PROD = topology_of("prod")
REBOOT = 194  # exit status that asks the SSM agent to reboot the machine and to run the command again
LEADER = {"name": "worker-1-0", "role": "leader", "state": "running"}
STANDBYS = [{"name": f"worker-1-{n}", "role": "quorum_standby", "state": "streaming"} for n in (1, 2)]


@dataclass
class Machine:
    """A machine whose commands are stubs: files in its folder control them, and `log` records their calls."""

    folder: Path
    name: str

    def __post_init__(self) -> None:
        files = contents(PROD, member(PROD, self.name))
        for path in ("repositories", "peers"):
            self._write(f"lib/{path}", files[f"/usr/local/lib/backbuild/{path}"])
        script = files[gates.PATCH_COMMAND]
        for there, here in (
            ("/etc/default/backbuild", f"{self.folder}/default"),
            ("/usr/local/lib/backbuild/", f"{self.folder}/lib/"),
            ("/usr/local/sbin/backbuild-healthy", f"{self.folder}/bin/backbuild-healthy"),
            ("/run/backbuild-reboot", f"{self.folder}/reboot"),
        ):
            assert there in script
            script = script.replace(there, here)
        self._write("script", script)
        self._write("default", f"ADDRESS=127.0.0.1\nGROUP=g\nMEMBER={self.name}\nENDPOINTS=http://127.0.0.1:2379\n")
        log = f'echo "$(basename "$0") $*" >>{self.folder}/log'
        self._command("backbuild-healthy", f"{log}\n[ ! -e {self.folder}/unhealthy ]")
        self._command("etcdctl", f"{log}\n[ ! -e {self.folder}/voter-down ]")
        self._command(
            "apt-get",
            f'case "$*" in *--simulate*) cat {self.folder}/updates;; *upgrade*) {log}; : >{self.folder}/updates;; '
            f"*) {log};; esac\n[ ! -e {self.folder}/apt-fails ]",
        )
        self._command(
            "curl",
            f'case "$*" in */cluster) cat {self.folder}/cluster;; */primary) [ -e {self.folder}/leads ];; '
            f"*/switchover) {log}; [ ! -e {self.folder}/no-candidate ];; esac",
        )
        self.set("updates", "")
        self.set("cluster", json.dumps({"members": [LEADER, *STANDBYS]}))

    def set(self, name: str, text: str = "") -> None:
        (self.folder / name).write_text(text)

    def patch(self) -> tuple[int, list[str]]:
        """Run the script; returns its exit status and the logged calls (changes and health checks)."""
        (self.folder / "log").write_text("")
        environment = {"PATH": f"{self.folder}/bin:/usr/bin:/bin"}
        done = subprocess.run(
            ["sh", self.folder / "script"], env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, [
            line.split()[0] + _action(line) for line in (self.folder / "log").read_text().splitlines()
        ]

    def _command(self, name: str, body: str) -> None:
        self._write(f"bin/{name}", f"#!/bin/sh\n{body}\n")
        (self.folder / "bin" / name).chmod(0o755)

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text(text)


def _action(line: str) -> str:
    words = ("update", "upgrade", "switchover")
    return "".join(f" {word}" for word in words if line.endswith(word))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, "worker-1-0")


UPDATE = "Inst libssl3t64 [3.5.1] (3.5.2 Debian-Security:13/stable-security [amd64])\n"


def test_a_machine_without_updates_does_not_reboot(machine: Machine) -> None:
    assert machine.patch() == (0, ["backbuild-healthy", "apt-get update"])


def test_a_patched_machine_reboots_and_is_healthy_again(machine: Machine) -> None:
    machine.set("updates", UPDATE)
    assert machine.patch() == (REBOOT, ["backbuild-healthy", "apt-get update", "apt-get upgrade"])
    (machine.folder / "reboot").unlink()  # /run is empty after a reboot
    assert machine.patch() == (0, ["backbuild-healthy", "apt-get update"])


def test_a_leader_switches_over_before_it_reboots(machine: Machine) -> None:
    machine.set("updates", UPDATE)
    machine.set("leads")
    code, done = machine.patch()
    assert (code, done[-1]) == (REBOOT, "curl switchover")


def test_a_leader_without_a_promotable_standby_does_not_reboot(machine: Machine) -> None:
    machine.set("updates", UPDATE)
    machine.set("leads")
    machine.set("no-candidate")
    code, _ = machine.patch()
    assert code not in (0, REBOOT)
    # The upgraded machine reboots at the next run, when a switchover is possible.
    (machine.folder / "no-candidate").unlink()
    assert machine.patch()[0] == REBOOT


def test_an_unhealthy_machine_is_not_patched(machine: Machine) -> None:
    machine.set("updates", UPDATE)
    machine.set("unhealthy")
    assert machine.patch() == (1, ["backbuild-healthy"])


@pytest.mark.parametrize(
    "others",
    [
        STANDBYS[:1],
        [STANDBYS[0], {**STANDBYS[1], "state": "stopped"}],
        [STANDBYS[0], {**STANDBYS[1], "state": "running"}],
    ],
    ids=["absent", "stopped", "not streaming"],
)
def test_a_machine_is_not_patched_while_another_member_is_unhealthy(
    machine: Machine, others: list[dict[str, str]]
) -> None:
    machine.set("updates", UPDATE)
    machine.set("cluster", json.dumps({"members": [LEADER, *others]}))
    assert machine.patch() == (1, ["backbuild-healthy"])


def test_an_etcd_member_is_not_patched_while_another_is_unhealthy(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "consensus-0")
    machine.set("updates", UPDATE)
    machine.set("voter-down")
    assert machine.patch() == (1, ["backbuild-healthy", "etcdctl"])
    (machine.folder / "voter-down").unlink()
    assert machine.patch()[0] == REBOOT


def test_a_failure_of_apt_stops_the_run(machine: Machine) -> None:
    machine.set("updates", UPDATE)
    machine.set("apt-fails")
    code, _ = machine.patch()
    assert code not in (0, REBOOT)


def test_every_machine_holds_its_service_and_vendor_packages() -> None:
    serving = {
        Role.CONSENSUS: {"etcd-server", "etcd-client"},
        Role.COORDINATOR: {"postgresql-17", "patroni", "pgbackrest", "postgresql-17-citus-13.0"},
        Role.WORKER: {"postgresql-17", "patroni", "pgbackrest", "postgresql-17-citus-13.0"},
        Role.GATEWAY: {"haproxy", "cloudflared"},
    }
    for _, one in members(PROD):
        text = contents(PROD, one)["/etc/default/backbuild"]
        (held,) = (line for line in text.splitlines() if line.startswith("HELD="))
        assert set(held.removeprefix("HELD=").strip('"').split()) == serving[one.role]


@pytest.mark.skipif(shutil.which("apt-config") is None, reason="apt is not installed")
def test_apts_own_daily_run_does_nothing(tmp_path: Path) -> None:
    """Our setting overrides Debian's defaults, which upgrade packages every day."""
    parts = tmp_path / "apt.conf.d"
    parts.mkdir()
    (parts / "20auto-upgrades").write_text(
        'APT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";\n'
    )
    (parts / "60backbuild").write_text(contents(PROD, member(PROD, "gateway-0"))["/etc/apt/apt.conf.d/60backbuild"])
    (tmp_path / "apt.conf").write_text(f'Dir::Etc::parts "{parts}";\nDir::Etc::main "/dev/null";\n')
    done = subprocess.run(
        ["apt-config", "shell", "enabled", "APT::Periodic::Enable", "daily", "APT::Periodic::Unattended-Upgrade"],
        env={"PATH": "/usr/bin:/bin", "APT_CONFIG": str(tmp_path / "apt.conf")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["enabled='0'", "daily='1'"]
