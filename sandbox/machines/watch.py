"""`python -m sandbox watch`: one view of a live stack, which refreshes in place.

Each refresh runs one command for each group and each gateway, reads the edge's files, and asks each Worker.
"""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
from rich.console import Console
from rich.live import Live

from sandbox.edge import databases, plan, start, urls
from sandbox.machines import inventory, view
from sandbox.machines.errors import MachineError
from sandbox.machines.inventory import Instance, Inventory
from sandbox.machines.machine import Machine
from sandbox.machines.place import Place
from sandbox.machines.view import CONSENSUS, GATEWAY, Backups, Facts, Member

SECONDS = 2.0  # between two refreshes
ANSWER_SECONDS = 5.0  # for a command on a machine, or a Worker
ALARMS = 5
NOT_FOUND = 404
INCIDENTS = "api/v2/incidents/unresolved.json"
WIDTH = 130  # in columns, where the output is not a terminal

SETTINGS = ". /etc/default/backbuild"
PATRONI = f"{SETTINGS}; curl -s -m 3 --config /run/backbuild/patroni-curl https://$ADDRESS:8008/cluster"
ETCD = f"{SETTINGS}; etcdctl --command-timeout=2s endpoint status -w json --endpoints=$ENDPOINTS"
CHECK = "curl -sf -o /dev/null -m 2 http://127.0.0.1:"
GATE = f"{CHECK}8404/healthy && echo leader; {CHECK}20241/ready && echo tunnel"

RUNS = "SELECT grp, MAX(finished_at), run FROM manifests GROUP BY grp"
POINTS = "SELECT grp, MAX(at) FROM points GROUP BY grp"


def gather(place: Place, known: Inventory) -> Facts:
    """Ask for everything, at once."""
    instances = sorted(known.instances.values(), key=lambda one: one.name)
    groups: dict[str, list[Instance]] = {}
    for one in instances:
        groups.setdefault(view.group_of(one.name), []).append(one)
    parts = [
        part
        for group, machines in groups.items()
        for part in ([[one] for one in machines] if group == GATEWAY else [machines])
    ]
    with ThreadPoolExecutor(len(parts) + 1) as pool:
        pages = pool.submit(_pages, place)
        members = [member for found in pool.map(partial(_members, place), parts) for member in found]
        return Facts(datetime.now(UTC), members, _backups(place, known), _alarms(place), pages.result())


def _members(place: Place, machines: Sequence[Instance]) -> list[Member]:
    """Ask a group, or one gateway, for its members."""
    group = view.group_of(machines[0].name)
    if group == GATEWAY:
        found = [view.gateway_member(machines[0].name, _ask(place, machines, GATE))]
    elif group == CONSENSUS:
        found = view.etcd_members({one.address: one.name for one in machines}, _ask(place, machines, ETCD))
    else:
        found = view.database_members(group, [one.name for one in machines], _ask(place, machines, PATRONI))
    return [_shown(place, *pair) for pair in zip(machines, found, strict=True)]


def _shown(place: Place, instance: Instance, member: Member) -> Member:
    """Return a member; if its machine has no power, say that instead."""
    if Machine(place, instance.id).running:
        return member
    return Member(member.name, member.group, "", "stopped", well=False)


def _ask(place: Place, machines: Iterable[Instance], command: str) -> str:
    """Return the output of a command on the first machine that gives one."""
    for one in machines:
        with suppress(MachineError, subprocess.TimeoutExpired):
            output = Machine(place, one.id).run(["sh", "-c", command], seconds=ANSWER_SECONDS).stdout
            if output.strip():
                return output
    return ""


def _backups(place: Place, known: Inventory) -> list[Backups]:
    """Return the newest backups and restore points in the catalogue: the one database that has these tables."""
    for database in known.of_type(plan.DATABASE):
        with suppress(sqlite3.Error):
            points = {str(group): str(at) for group, at in databases.read(place, database.id, POINTS)}
            rows = databases.read(place, database.id, RUNS)
            return [Backups(str(group), str(run), str(ended), points.get(str(group), "")) for group, ended, run in rows]
    return []


def _alarms(place: Place) -> list[str]:
    """Return the subjects of the newest e-mails and webhooks; the names of their files begin with the time."""
    files = [file for name in ("mail", "webhooks") for file in (start.folder(place) / name).glob("*")]
    newest = sorted(files, key=lambda file: file.name, reverse=True)[:ALARMS]
    return [f"{file.name[:16]}  {_subject(file)}" for file in newest]


def _subject(file: Path) -> str:
    if file.suffix == ".eml":
        return view.subject_of_mail(file.read_bytes())
    return view.subject_of_webhook(file.read_text(encoding="utf-8"))


def _pages(place: Place) -> dict[str, str]:
    """Return what each custom domain answers: the API its health, the status page its incidents."""
    found: dict[str, str] = {}
    with httpx.Client(timeout=ANSWER_SECONDS) as client:
        for host, url in urls.known(place).items():
            status, body = _get(client, url + "health")
            if status == NOT_FOUND:
                found[host] = view.incidents_of(*_get(client, url + INCIDENTS))
            else:
                found[host] = view.health_of(status, body)
    return found


def _get(client: httpx.Client, url: str) -> tuple[int, str]:
    """Return the status and the body of an answer; the status 0 without one."""
    try:
        answer = client.get(url)
    except httpx.HTTPError:
        return 0, ""
    return answer.status_code, answer.text


def run(place: Place, *, once: bool) -> int:
    """Show the view until it is interrupted, or one frame."""
    console = Console(highlight=False)
    if once:
        console.width = max(console.width, WIDTH)
        console.print(view.frame(gather(place, inventory.read(place.store))))
        return 0
    with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            begun = time.monotonic()
            live.update(view.frame(gather(place, inventory.read(place.store))), refresh=True)
            time.sleep(max(0.0, begun + SECONDS - time.monotonic()))
    return 0
