"""Staging as live machines, and a client that writes to it."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

from sandbox.engine.workspace import Workspace
from sandbox.machines import inventory, network
from sandbox.machines.inventory import Instance
from sandbox.machines.place import Place, place_of
from sandbox.machines.processes import Group
from tests.components.project import Project

ROOT = Path(__file__).resolve().parents[3]
WRITER = Path(__file__).with_name("writer.py")
# The timeout of each wait: the boot of nine machines on a loaded computer takes minutes.
LIMIT_SECONDS = 900


@dataclass(frozen=True)
class Stack:
    """Staging in a temporary folder. It shares the image with the project's sandbox, because a build takes minutes."""

    home: Path
    project: Project
    """A copy of the program, whose settings tests change."""
    changes: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def place(self) -> Place:
        return place_of(Workspace(self.home, "staging"))

    def sandbox(self, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self.module("sandbox", command, "--stack", "staging", *words)

    def module(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a module of this project on the stack."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SANDBOX_HOME": str(self.home),
            "SANDBOX_IMAGES": images(),
        }
        arguments = [sys.executable, "-m", name, *words]
        return subprocess.run(
            arguments,
            cwd=self.project.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )

    def up(self, **changes: Any) -> float:
        """Run `up` with further changes of `database` settings, and return its duration in seconds."""
        self.changes.update({f"database.{key}": value for key, value in changes.items()})
        self.project.configure("staging", self.changes)
        begun = time.monotonic()
        done = self.sandbox("up", "--live", "--skip-preview", "--skip-policies")
        assert done.returncode == 0, done.stdout + done.stderr
        return time.monotonic() - begun

    def shell(self, name: str, words: str) -> subprocess.CompletedProcess[str]:
        """Run shell commands on a machine."""
        return self.sandbox("ssh", name, "--", "sh", "-c", words)

    def leads(self, name: str) -> bool:
        """Whether a database machine leads its group."""
        ask = ". /etc/default/backbuild; curl --config /run/backbuild/patroni-curl -fs https://$ADDRESS:8008/primary"
        return self.shell(name, ask).returncode == 0

    def instances(self) -> list[Instance]:
        return list(inventory.read(self.place.store).instances.values())

    def apply_secrets(self) -> None:
        """Start on every machine the service that its hourly timer starts, first on the consensus machines."""
        for name in sorted(one.name for one in self.instances()):
            done = self.sandbox("ssh", name, "--", "systemctl", "start", "backbuild-secrets-refresh")
            assert done.returncode == 0, self.sandbox("logs", name, "--", "--lines=30").stdout

    def instance(self, name: str) -> Instance:
        return next(one for one in self.instances() if one.name == name)

    def secret(self, name: str) -> str:
        versions = inventory.read(self.place.store).of_type("aws:secretsmanager/secretVersion:SecretVersion")
        return next(str(one.outputs["secretString"]) for one in versions if one.urn.endswith(f"::access-{name}"))


def images() -> str:
    return os.environ.get("SANDBOX_IMAGES") or str(ROOT / ".sandbox/images")


def remaining(place: Place) -> list[str]:
    """Return the stack's network devices, processes, loop devices, mounts and folder that still exist."""
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
    table: str = field(default_factory=lambda: f"written_{token_hex(4)}")  # each writer has its own table

    @property
    def conninfo(self) -> str:
        password = self.stack.secret("application")
        return f"host=127.0.0.1 user=application dbname=backbuild sslmode=require connect_timeout=3 password={password}"

    def inside(self, *command: str | Path) -> list[str]:
        namespace = self.stack.place.namespace(self.stack.instance("gateway-0").id)
        return [*network.inside(namespace), sys.executable, *map(str, command)]

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.inside(WRITER, self.conninfo, self.table, self.file), stdout=self.file.with_suffix(".log").open("wb")
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

    def stall(self) -> float:
        """Return the longest time between two acknowledged commits, in seconds."""
        moments = [moment for moment, _ in self.acknowledged()]
        return max(later - earlier for earlier, later in itertools.pairwise(moments))

    def lost(self) -> set[str]:
        """Return the numbers of acknowledged commits that the database does not have."""
        acknowledged = {number for _, number in self.acknowledged()}
        return acknowledged - set(self.ask(f"SELECT number FROM {self.table}"))
