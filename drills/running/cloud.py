"""Lose for good what a cloud has, and bring it up again as an operator does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from drills.sites.site import SiteError
from sandbox.clouds.store import decode, encode
from sandbox.ledger import Ledger
from sandbox.machines import volumes
from sandbox.machines.inventory import ATTACHMENT, INSTANCE, VOLUME, Inventory
from sandbox.machines.machine import Machine
from sandbox.machines.place import Place

REBUILD_SECONDS = 3600


def lose_machines(place: Place, known: Inventory, members: Collection[str]) -> None:
    """Lose machines with their volumes, at once and for good, as if a zone had burnt."""
    lost = {one.id: one.name for one in known.instances.values() if one.name in members}
    for id in lost:
        Machine(place, id).delete()
    attached = [one for one in known.attachments if one.instance in lost]
    for one in attached:
        volumes.delete(place, one.volume)
    gone = {*lost, *(one.volume for one in attached)}
    with Ledger(place.store, decode=decode, encode=encode) as ledger:
        for key, entry in ledger.items():
            outputs: dict[str, object] = entry.get("outputs") or {}
            type = key.partition("::")[0]
            if (type in {INSTANCE, VOLUME} and entry.get("id") in gone) or (
                type == ATTACHMENT and outputs.get("instanceId") in lost
            ):
                ledger.remove(key)


def begin_rebuilding(root: Path, stack: str, log: Path) -> subprocess.Popen[bytes]:
    """Begin to find out what is lost, and to create it again: `refresh`, then `up`."""
    command = f"{sys.executable} -m sandbox"
    words = (
        f"{command} refresh --stack {stack} && exec {command} up --stack {stack} --live --skip-preview --skip-policies"
    )
    with log.open("wb") as output:
        return subprocess.Popen(["sh", "-c", words], cwd=root, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def finish_rebuilding(process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until everything is created; raise a `SiteError` with the end of the output if that failed."""
    if process.wait(REBUILD_SECONDS):
        raise SiteError(f"`sandbox up` ended with {process.returncode}: {log.read_text(errors='replace')[-600:]}")
