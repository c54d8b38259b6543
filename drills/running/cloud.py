"""Remove resources from the simulated clouds for good, and create them again as an operator does."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from drills.sites.site import SiteError
from sandbox.clouds.store import CloudObject, decode, encode, object_of
from sandbox.edge import databases
from sandbox.edge import start as edge
from sandbox.edge.plan import CONSUMER, CRON, DATABASE, DEPLOYMENT, DOMAIN, LOCK, ROUTE, VERSION, WORKER
from sandbox.ledger import Ledger
from sandbox.machines import volumes
from sandbox.machines.inventory import ATTACHMENT, INSTANCE, VOLUME, Inventory
from sandbox.machines.machine import Machine
from sandbox.machines.place import Place
from sandbox.machines.processes import Group

REBUILD_SECONDS = 3600
# The property that names a Worker's script, by the type of what belongs to it.
NAMING: Mapping[str, str] = {
    DEPLOYMENT: "scriptName",
    CRON: "scriptName",
    CONSUMER: "scriptName",
    DOMAIN: "service",
    ROUTE: "script",
}


def lose_machines(place: Place, known: Inventory, members: Collection[str]) -> None:
    """Lose machines with their volumes, at once and for good."""
    lost = {one.id: one.name for one in known.instances.values() if one.name in members}
    for id in lost:
        Machine(place, id).delete()
    attached = [one for one in known.attachments if one.instance in lost]
    for one in attached:
        volumes.delete(place, one.volume)
    gone = {*lost, *(one.volume for one in attached)}
    _remove(
        place,
        lambda one: (
            (one.type in {INSTANCE, VOLUME} and one.id in gone)
            or (one.type == ATTACHMENT and one.outputs.get("instanceId") in lost)
        ),
    )


def lose_worker(place: Place, known: Inventory, script: str) -> None:
    """Delete a Cloudflare Worker with all that belongs to it, as if somebody had deleted it in the dashboard."""
    ids = {one.id for one in known.of_type(WORKER) if one.outputs["name"] == script}
    _remove(place, lambda one: is_of_worker(one, script, ids))
    edge.wait(place)


def is_of_worker(thing: CloudObject, script: str, ids: Collection[str]) -> bool:
    """Return whether an object is a Worker with one of these ids, or belongs to it: Cloudflare deletes it, too."""
    return (
        (thing.type == WORKER and thing.id in ids)
        or (thing.type == VERSION and thing.outputs["workerId"] in ids)
        or (thing.type in NAMING and thing.outputs.get(NAMING[thing.type]) == script)
    )


def lose_database(place: Place, id: str) -> None:
    """Delete a D1 database with its rows."""
    _remove(place, lambda one: one.type == DATABASE and one.id == id)
    edge.wait(place)
    databases.delete(place, id)


@contextmanager
def edge_stopped(place: Place) -> Generator[None]:
    """Stop the edge during the block, so that its databases' files can be changed; start it again, and wait for it."""
    Group(f"{place.prefix}/edge").kill()
    try:
        yield
    finally:
        edge.ensure(place)
        edge.wait(place)


def lift_locks(place: Place) -> None:
    """Remove the lock rules of all R2 buckets, as an operator does for a repair. `refresh` and `up` bring them back."""
    _remove(place, lambda one: one.type == LOCK)
    edge.wait(place)


def _remove(place: Place, is_lost: Callable[[CloudObject], bool]) -> None:
    """Remove objects from the simulated clouds, behind the engine's back.

    The newest go first: the edge reads the store meanwhile, and must find no deployment without its version.
    """
    with Ledger(place.store, decode=decode, encode=encode) as ledger:
        for key, entry in reversed(ledger.items()):
            if "urn" in entry and is_lost(object_of(entry)):
                ledger.remove(key)


def begin_rebuilding(root: Path, stack: str, log: Path) -> subprocess.Popen[bytes]:
    """Begin to find out what is lost, and to create it again: `refresh`, then `up`."""
    refresh = [sys.executable, "-m", "sandbox", "refresh", "--stack", stack]
    return begin(root, ["sh", "-c", f"{shlex.join(refresh)} && exec {shlex.join(up(stack))}"], log)


def up(stack: str) -> list[str]:
    """Return the words that update a live stack."""
    return [sys.executable, "-m", "sandbox", "up", "--stack", stack, "--live", "--skip-preview", "--skip-policies"]


def begin(root: Path, words: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Begin a command in a project, in the background, with its output in `log`. Ctrl-C does not reach it."""
    with log.open("wb") as output:
        return subprocess.Popen(
            words, cwd=root, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def finish_rebuilding(process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until everything is created; raise a `SiteError` with the end of the output if that failed."""
    if process.wait(REBUILD_SECONDS):
        raise SiteError(f"`sandbox up` ended with {process.returncode}: {log.read_text(errors='replace')[-600:]}")
