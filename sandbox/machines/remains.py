"""Remove everything that a live stack has left: processes, namespaces, block devices, files.

Everything is found by its name, so this also works after a crash, and when it was interrupted.
"""

from __future__ import annotations

import shutil

from sandbox.machines import network, volumes
from sandbox.machines.place import Place
from sandbox.machines.processes import Group


def exist(place: Place) -> bool:
    """Return whether anything of a live stack is left."""
    return place.folder.exists() or bool(network.names(place))


def remove(place: Place) -> None:
    """End the machines and services at once, and remove what they used, with all volumes."""
    Group(place.prefix).kill()
    for name in network.names(place):
        network.remove(name)
    volumes.release_all(place)
    if place.folder.exists():
        shutil.rmtree(place.folder)
