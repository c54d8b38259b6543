"""Processes that outlive this one, each with its children in a control group: the kernel ends a whole group at once."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sandbox.machines.errors import MachineError

END_SECONDS = 60  # how long the kernel may take to end killed processes: those that write to a disk end when it has


def hierarchy() -> Path:
    """Return where the version 2 control groups are mounted; beside version 1 that is a folder of its own."""
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    raise MachineError("no cgroup2 filesystem is mounted; run `mount -t cgroup2 cgroup2 /sys/fs/cgroup`")


@dataclass(frozen=True)
class Group:
    """A control group: `stack/name` below the hierarchy's root."""

    name: str

    @property
    def path(self) -> Path:
        """The group's folder."""
        return hierarchy() / self.name

    @property
    def running(self) -> bool:
        """Whether it has a process."""
        try:
            return "populated 1" in (self.path / "cgroup.events").read_text(encoding="utf-8")
        except OSError:
            return False

    def start(self, command: Sequence[str | Path], log: Path, sockets: Sequence[int] = ()) -> None:
        """Start a command in this group, in a session of its own, with its output in `log`. It inherits `sockets`."""
        self.path.mkdir(parents=True, exist_ok=True)
        enter = ("sh", "-c", 'echo $$ >"$1" && shift && exec "$@"', "sh", self.path / "cgroup.procs")
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*enter, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=sockets,
            )
        while not self.running:
            if process.poll() is not None:
                raise MachineError(f"{command[0]} ended at once with status {process.returncode}; read {log}")
            time.sleep(0.01)

    def kill(self) -> None:
        """End all its processes at once, and remove the group."""
        if not self.path.exists():
            return
        with suppress(OSError):
            (self.path / "cgroup.kill").write_text("1", encoding="utf-8")
        deadline = time.monotonic() + END_SECONDS
        while self.running:
            if time.monotonic() > deadline:
                raise MachineError(
                    f"processes of {self.path} did not end within {END_SECONDS} s; read its cgroup.procs"
                )
            time.sleep(0.02)
        for folder, _, _ in os.walk(self.path, topdown=False):
            with suppress(FileNotFoundError):
                Path(folder).rmdir()
