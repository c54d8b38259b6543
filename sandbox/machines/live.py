"""The machines of a stack follow its simulated clouds: what the engine creates or deletes there, happens to machines.

A created instance boots, an attached volume appears on it, and an association is created only when its command has
succeeded. So a rolling replacement rolls through real machines, gate by gate.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from sandbox.clouds import Clouds, open_clouds
from sandbox.edge import start as edge
from sandbox.edge import urls
from sandbox.machines import agent, network, volumes
from sandbox.machines.inventory import (
    ASSOCIATION,
    ATTACHMENT,
    INGRESS,
    INSTANCE,
    VOLUME,
    Association,
    Inventory,
    associations_of,
    attachment_of,
)
from sandbox.machines.machine import Machine
from sandbox.machines.place import Place
from sandbox.values import Properties


class Live:
    """The machines of one stack while `up` runs."""

    def __init__(self, place: Place, image: Path, ca: str) -> None:
        self.place: Place = place
        self._image: Path = image
        self._ca: str = ca
        self._clouds: Clouds | None = None
        self._resumed: list[Association] = []
        self._network: threading.Lock = threading.Lock()

    @contextmanager
    def open(self, store: Path, *, readonly: bool = False) -> Generator[Clouds]:
        """Open the clouds. Unless `readonly`, first boot the machines that should run, then follow the clouds."""
        with open_clouds(store, readonly=readonly) as clouds:
            if not readonly:
                self._clouds = clouds
                self._resume()
                clouds.follow(self)
            yield clouds

    def wait(self) -> None:
        """Wait for the edge, and until the associations' commands succeed again on machines that were booted again."""
        self._wait(self._resumed)
        edge.wait(self.place)
        urls.ensure(self.place)

    def inventory(self) -> Inventory:
        """Return what the clouds contain now."""
        assert self._clouds is not None
        return Inventory(self._clouds.objects())

    def _resume(self) -> None:
        """Boot every machine that does not run although its instance exists, with its volumes."""
        inventory = self.inventory()
        stopped = {id for id in inventory.instances if not Machine(self.place, id).running}
        self._resumed = [one for one in inventory.associations if one.instance in stopped]
        for volume, gib in inventory.volumes.items():
            volumes.make(self.place, volume, gib)
        for attachment in inventory.attachments:
            volumes.attach(self.place, attachment.volume, attachment.instance)
        for instance in stopped:
            self.boot(instance)

    def boot(self, instance: str) -> None:
        """Boot the machine of an instance, unless it runs."""
        inventory = self.inventory()
        with self._network:
            Machine(self.place, instance).start(inventory.instances[instance], self._image, self._ca)
            network.enforce(self.place, inventory)

    def _wait(self, associations: Iterable[Association]) -> None:
        instances = self.inventory().instances
        for association in associations:
            name = instances[association.instance].name
            agent.run(Machine(self.place, association.instance), name, association)

    def creating(self, type: str, inputs: Properties) -> None:
        """Run an association's command before the association exists: an interrupted run then repeats it."""
        if type == ASSOCIATION:
            self._wait(associations_of(inputs))

    def changed(self, type: str, id: str, outputs: Properties) -> None:
        """Follow the creation of an object, or its update."""
        if type == INSTANCE:
            self.boot(id)
        elif type == VOLUME:
            volumes.make(self.place, id, int(cast(int, outputs["size"])))
        elif type == ATTACHMENT:
            attachment = attachment_of(outputs)
            volumes.attach(self.place, attachment.volume, attachment.instance)
        elif type == INGRESS:
            with self._network:
                network.enforce(self.place, self.inventory())

    def deleting(self, type: str, id: str, outputs: Properties) -> None:
        """Prepare the deletion of an object."""
        if type == INSTANCE:
            Machine(self.place, id).stop()
        elif type == ATTACHMENT and outputs.get("stopInstanceBeforeDetaching"):
            Machine(self.place, attachment_of(outputs).instance).stop()

    def deleted(self, type: str, id: str, outputs: Properties) -> None:
        """Follow the deletion of an object."""
        if type == INSTANCE:
            Machine(self.place, id).delete()
        elif type == VOLUME:
            volumes.delete(self.place, id)
        elif type == ATTACHMENT:
            attachment = attachment_of(outputs)
            volumes.detach(self.place, attachment.volume, attachment.instance)
