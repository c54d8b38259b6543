"""One machine: boots from an instance's user data, runs commands inside, stops, is killed, is deleted."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.machines import network, seed
from sandbox.machines.errors import MachineError
from sandbox.machines.inventory import Instance
from sandbox.machines.place import Place
from sandbox.machines.processes import Group

BOOT = Path(__file__).with_name("boot.sh")
STOP_SECONDS = 90  # systemd's own limit for a service to stop


@dataclass(frozen=True)
class Machine:
    """The machine of an instance."""

    place: Place
    id: str

    @property
    def folder(self) -> Path:
        """The folder of the machine's root, devices and log."""
        return self.place.folder / "instances" / self.id

    @property
    def group(self) -> Group:
        """The control group of all its processes."""
        return Group(f"{self.place.prefix}/{self.id}")

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.group.running

    def start(self, instance: Instance, image: Path, ca: str) -> None:
        """Boot the machine, unless it runs. At a first boot, cloud-init then runs the instance's user data."""
        if self.running:
            return
        self.group.kill()
        for name in ("upper", "work", "root", "by-id"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        seed.write(self.folder / "upper", image, instance, ca)
        namespace = network.connect(self.place, instance)
        mounts = ("unshare", "--mount", "--propagation", "private")
        self.group.start([*mounts, "sh", BOOT, image, self.folder, namespace, self.id], self.folder / "log")

    def leader(self) -> int | None:
        """Return the process id of the machine's systemd, or None until it has started."""
        try:
            found = (self.group.path / "payload/init.scope/cgroup.procs").read_text(encoding="utf-8").split()
        except OSError:
            return None
        return int(found[0]) if found else None

    def inside(self) -> tuple[str, ...]:
        """Return the words that run a command in the machine."""
        leader = self.leader()
        if leader is None:
            raise MachineError(f"the machine of {self.id} does not run; start it with `up --live`")
        return ("nsenter", f"--target={leader}", "--all", "--")

    def run(self, command: Sequence[str], seconds: float | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine as root, and return its output."""
        return subprocess.run(
            [*self.inside(), *command],
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # a program may quote bytes of a damaged file
            check=False,
            timeout=seconds,
            cwd="/",
        )

    def stop(self) -> None:
        """Shut the machine down as EC2 does: its services stop; what has not stopped in time is killed."""
        if self.running and self.leader() is not None:
            self.run(["systemctl", "poweroff", "--no-block"])
            deadline = time.monotonic() + STOP_SECONDS
            while self.running and time.monotonic() < deadline:
                time.sleep(0.05)
        self.kill()

    def kill(self) -> None:
        """End the machine at once, like a power loss. What it has not written to a volume is lost."""
        # A machine without power sends no packets, but the host's kernel would close each connection of the machine.
        network.unplug(self.place, self.id)
        self.group.kill()

    def delete(self) -> None:
        """Delete the machine with its root; its volumes are not part of it."""
        self.kill()
        network.remove(self.place.namespace(self.id))
        shutil.rmtree(self.folder, ignore_errors=True)
