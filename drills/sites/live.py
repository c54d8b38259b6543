"""The live sandbox as a site."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from console.errors import InputError
from drills.sites.site import SiteError
from model.gates import RESTORING_TAG, RESTORING_VALUE
from sandbox.engine.workspace import find
from sandbox.machines import inventory, prerequisites, volumes
from sandbox.machines.errors import MachineError
from sandbox.machines.inventory import Inventory
from sandbox.machines.machine import Machine
from sandbox.machines.place import Place, place_of
from sandbox.machines.services import tags


class LiveSite:
    """The machines of a stack that `python -m sandbox up --live` has brought up."""

    poll_seconds: float = 0.25

    def __init__(self, root: Path, stack: str) -> None:
        prerequisites.require()
        self.place: Place = place_of(find(root, stack))
        if not self.place.folder.exists():
            raise InputError(
                f"{stack} has no machines on this computer; start them: `python -m sandbox up --stack {stack} --live`"
            )

    @property
    def inventory(self) -> Inventory:
        """What the simulated cloud contains now: `up` may create machines meanwhile."""
        return inventory.read(self.place.store)

    def running(self) -> set[str]:
        """Return the names of the members whose machines run."""
        return {one.name for one in self.inventory.instances.values() if Machine(self.place, one.id).running}

    def machine(self, member: str) -> Machine:
        """Return a member's machine."""
        found = next((one for one in self.inventory.instances.values() if one.name == member), None)
        if found is None:
            raise SiteError(f"the sandbox has no machine {member}; bring it up with `python -m sandbox up --live`")
        return Machine(self.place, found.id)

    def run(self, member: str, command: str, seconds: float) -> str:
        """Run a shell command as root on a member and return its output."""
        try:
            done = self.machine(member).run(["sh", "-c", command], seconds=seconds)
        except subprocess.TimeoutExpired:
            raise SiteError(f"{member} did not finish `{command}` within {seconds:g} s") from None
        except MachineError as error:
            raise SiteError(f"{member}: {error}") from None
        if done.returncode:
            raise SiteError(f"{member}: {(done.stderr or done.stdout).strip() or f'status {done.returncode}'}")
        return done.stdout

    def allow_reading(self, secret: str) -> None:
        """Let the machines read the read-only keys of all copies."""
        tags.set_tag(self.place, secret, RESTORING_TAG, RESTORING_VALUE)

    def forbid_reading(self, secret: str) -> None:
        """End `allow_reading`."""
        tags.remove_tag(self.place, secret, RESTORING_TAG)

    def keep_aside(self, members: Sequence[str], label: str) -> list[str]:
        """Copy each member's data volume, unless there is a copy with this label."""
        ids = {self.machine(member).id for member in members}
        attached = [one.volume for one in self.inventory.attachments if one.instance in ids]
        return [Path(volumes.snapshot(self.place, volume, label)).name for volume in attached]
