"""Lose for good what a cloud has, and bring it up again as an operator does."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Sequence
from pathlib import Path

from drills.sites.site import SiteError
from sandbox import cli
from sandbox.clouds.store import decode, encode
from sandbox.ledger import Ledger
from sandbox.machines import volumes
from sandbox.machines.inventory import ATTACHMENT, INSTANCE, VOLUME, Inventory
from sandbox.machines.machine import Machine
from sandbox.machines.place import Place


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


def sandbox(root: Path, *words: str) -> None:
    """Run a command of the sandbox; raise a `SiteError` with its output if it fails."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = cli.main([*words, "--cwd", str(root)])
    if code:
        raise SiteError(f"`sandbox {' '.join(words)}` ended with {code}: {output.getvalue()[-600:]}")


def rebuild(root: Path, stack: str, options: Sequence[str] = ("--skip-preview", "--skip-policies")) -> None:
    """Find out what is lost, and create it again."""
    sandbox(root, "refresh", "--stack", stack)
    sandbox(root, "up", "--stack", stack, "--live", *options)
