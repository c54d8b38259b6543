"""The commands for machines: `up --live` prepares, the others look at machines and act on them."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sandbox.edge import start as edge
from sandbox.edge import urls
from sandbox.engine import project
from sandbox.engine.errors import InputError
from sandbox.engine.workspace import Workspace, find
from sandbox.machines import image, inventory, network, partitions, prerequisites, remains
from sandbox.machines import watch as watching
from sandbox.machines.inventory import Instance
from sandbox.machines.live import Live
from sandbox.machines.machine import Machine
from sandbox.machines.place import Place, place_of


def prepare(workspace: Workspace) -> Live:
    """Make the image, the network and the services ready; raise an `EngineError` if machines cannot run here."""
    prerequisites.require()
    from sandbox.machines.services import start  # noqa: PLC0415 (needs moto's packages, as required just now)

    place = place_of(workspace)
    if not (place.images / image.version()).exists():
        print(f"Building the machines' image in {place.images}: this takes some minutes, once", file=sys.stderr)
    root = image.ensure(place.images)
    place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # it holds keys and the machines' disks
    network.make_cloud(place)
    edge.ensure(place)  # it waits for the services, and starts while machines boot
    return Live(place, root, start.ensure(place))


def remove(workspace: Workspace) -> None:
    """Remove a stack's machines, if it has any, with their volumes and everything else that `up --live` made."""
    place = place_of(workspace)
    if remains.exist(place):
        prerequisites.require()
        remains.remove(place)


def status(options: argparse.Namespace) -> int:
    """`status`: list the machines, whether they run, and the metrics that they published last."""
    place, instances = _opened(options)
    table = Table("machine", "address", "zone", "state", "metrics", box=None)
    running = [Machine(place, one.id).running for one in instances]
    for one, runs in zip(instances, running, strict=True):
        table.add_row(one.name, one.address, one.zone, "running" if runs else "stopped", _metrics(place, one))
    # Wide enough for all metrics also where the output is not a terminal.
    Console(highlight=False, width=max(Console().width, 180)).print(table)
    for line in urls.lines(place):
        print(line)
    return 0 if all(running) else 1


def watch(options: argparse.Namespace) -> int:
    """`watch`: show the stack in one view, which refreshes in place."""
    place, _ = _opened(options)
    return watching.run(place, once=options.once)


def show_urls(workspace: Workspace) -> None:
    """Print the URLs at which this computer serves the Cloudflare Workers' custom domains."""
    for line in urls.lines(place_of(workspace)):
        print(line, file=sys.stderr)


def _metrics(place: Place, instance: Instance) -> str:
    file = place.metrics / f"{instance.id}.json"
    if not file.exists():
        return "none yet"
    return ", ".join(f"{name} {value:g}" for name, value in json.loads(file.read_text(encoding="utf-8")).items())


def logs(options: argparse.Namespace) -> int:
    """`logs NAME`: show a machine's journal, also when the machine does not run."""
    machine = _machine(options)
    journal = machine.folder / "upper/var/log/journal"
    return _become(["journalctl", f"--directory={journal}", "--no-pager", *_words(options)])


def ssh(options: argparse.Namespace) -> int:
    """`ssh NAME`: run a command in a machine, or a shell."""
    words = _words(options) or ["bash", "--login"]
    return _become([*_machine(options).inside(), *words])


def kill(options: argparse.Namespace) -> int:
    """`kill NAME`: end a machine at once, like a power loss."""
    machine = _machine(options)
    machine.kill()
    print(f"{options.name} is killed; `up --live` boots it again", file=sys.stderr)
    return 0


def cut(options: argparse.Namespace) -> int:
    """`cut NAME`: cut a zone or a machine from the network; its processes keep running."""
    place, instances = _opened(options)
    partitions.cut(place, options.name, partitions.addresses_of(options.name, instances), options.only)
    print(f"{options.name} is cut from the network; `heal {options.name}` reconnects it", file=sys.stderr)
    return 0


def heal(options: argparse.Namespace) -> int:
    """`heal [NAME]`: reconnect a zone or a machine, or everything that is cut."""
    place, instances = _opened(options)
    if options.name:
        partitions.addresses_of(options.name, instances)
    healed = ", ".join(partitions.heal(place, options.name)) or "nothing was cut"
    print(f"reconnected: {healed}", file=sys.stderr)
    return 0


def _become(command: Sequence[str]) -> int:
    return subprocess.run(command, cwd="/", check=False).returncode


def _words(options: argparse.Namespace) -> list[str]:
    words: list[str] = options.command
    return words[1:] if words[:1] == ["--"] else words


def _machine(options: argparse.Namespace) -> Machine:
    place, instances = _opened(options)
    for one in instances:
        if options.name in {one.name, one.id}:
            return Machine(place, one.id)
    known = ", ".join(one.name for one in instances) or "none"
    raise InputError(f"{options.stack} has no machine {options.name}; it has {known}")


def _opened(options: argparse.Namespace) -> tuple[Place, list[Instance]]:
    prerequisites.require()
    root = Path(options.cwd).resolve()
    project.load(root, options.stack)
    place = place_of(find(root, options.stack))
    if not place.folder.exists():
        raise InputError(f"{options.stack} has no machines; start them with `up --stack {options.stack} --live`")
    known = inventory.read(place.store).instances.values()
    return place, sorted(known, key=lambda one: one.name)
