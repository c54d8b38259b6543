"""`python -m drills restore`: list what can be restored, ask once, restore, show the progress and the result."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from backups.stack import topology_of
from console.errors import InputError
from drills.restore import course
from drills.restore.course import Course, Outlook, Request
from drills.restore.listing import list_copies, table_of
from drills.restore.target import target_of
from drills.sites.aws import AwsSite
from drills.sites.live import LiveSite
from drills.sites.site import Site, SiteError
from model.topology import Topology

NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")
RESERVED = (course.IN_PLACE, "rehearsal")
Json = dict[str, Any]


def add_to(subcommands: Any) -> None:
    """Add the command to a parser's subcommands."""
    summary = "restore the database from one copy of its backups: in place, or beside it"
    command: argparse.ArgumentParser = subcommands.add_parser("restore", help=summary, description=summary)
    command.add_argument("--stack", required=True, help="the stack, such as prod (settings: Pulumi.prod.yaml)")
    command.add_argument("--from", dest="copy", metavar="COPY", help="the copy to restore from, as in backups.copies")
    command.add_argument(
        "--to", metavar="latest|TIME|POINT", help="the moment: newest data, ISO 8601, or a restore point"
    )
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--into", metavar="NAME", help="restore beside the groups, into an isolated cluster of this name"
    )
    where.add_argument("--in-place", action="store_true", help="replace the groups' data, which are kept as snapshots")
    command.add_argument("--list", action="store_true", help="list what can be restored, from each copy")
    command.add_argument("--remove", metavar="NAME", help="end the restore NAME, and delete its files and its cluster")
    command.add_argument(
        "--check", type=Path, action="append", default=[], metavar="FILE", help="queries (SQL) that must return true"
    )
    command.add_argument("--on", choices=("live", "aws"), default="live", help="the live sandbox (default), or AWS")
    command.add_argument("--cwd", type=Path, default=Path.cwd(), help="the project's folder (default: the current one)")
    command.add_argument(
        "--apart",
        action="store_true",
        help="restore old backups that have no common restore point each by itself: distributed commits may be torn",
    )
    command.add_argument("--yes", action="store_true", help="do not ask")
    command.add_argument("--json", action="store_true", help="print one JSON object on stdout, and nothing else")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carry the command out and return its exit code."""
    topology = topology_of(options.stack, options.cwd)
    if options.list:
        return _list(topology, options)
    if options.remove:
        ended = course.remove(topology, _site(topology, options), _name(options.remove), _silent)
        print(f"ended the restore {options.remove} on {', '.join(ended)}")
        return 0
    request = _request(topology, options)
    site = _site(topology, options)
    begun = time.monotonic()
    show = _silent if options.json else _progress(Console(stderr=True))
    restore = Course(topology, site, request, show)
    try:
        outlook = restore.prepare()
    except SiteError as error:
        raise SiteError(f"{error}{_alternatives(topology, site, request.copy)}") from None
    if not options.json:
        _show(outlook, request)
    if not options.yes and not _agreed(topology, request):
        print("nothing was changed; the fetched files stay until `--remove`", file=sys.stderr)
        return 1
    result = {"stack": topology.stack, "from": request.copy, "to": request.target.text, **restore.restore(outlook)}
    result["seconds"] = round(time.monotonic() - begun, 1)
    print(json.dumps(result) if options.json else _summary(result))
    return 0


def _site(topology: Topology, options: argparse.Namespace) -> Site:
    return AwsSite(topology) if options.on == "aws" else LiveSite(options.cwd.resolve(), options.stack)


def _request(topology: Topology, options: argparse.Namespace) -> Request:
    copies = [copy.name for copy in topology.copies]
    if options.copy not in copies:
        raise InputError(f"--from {options.copy or '(missing)'} is no copy; copies: {', '.join(copies)}")
    if options.to is None:
        raise InputError("--to is missing: `latest`, a time, or a restore point; `--list` shows what there is")
    if not options.into and not options.in_place:
        raise InputError(
            "the groups hold data: `--in-place` replaces them and keeps their volumes as snapshots; `--into NAME` "
            "restores beside them"
        )
    invariants = [query for file in options.check for query in _queries(file)]
    into = _name(options.into) if options.into else None
    if into in RESERVED:
        raise InputError(f"--into {into} is not a name for a cluster: restores of the platform itself have this name")
    return Request(options.copy, target_of(options.to), into, invariants, apart=options.apart)


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise InputError(f"{text} is not a name for a cluster: use up to 20 lower-case letters, digits and hyphens")
    return text


def _queries(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"--check {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"--check {file} is not text in UTF-8; write SQL queries there") from None
    return [query.strip() for query in text.split(";") if query.strip()]


def _alternatives(topology: Topology, site: Site, copy: str) -> str:
    """Return which other copies could be restored, as the end of an error message."""
    try:
        listed = list_copies(topology, site, [one.name for one in topology.copies if one.name != copy])
    except SiteError:
        return ""
    problems = {name: [one for one in found if one["problem"] or not one["runs"]] for name, found in listed.items()}
    good = [name for name, found in problems.items() if not found]
    return f"\ncopies whose manifests are complete: {', '.join(good) or 'none'}"


def _list(topology: Topology, options: argparse.Namespace) -> int:
    copies = [options.copy] if options.copy else [copy.name for copy in topology.copies]
    if unknown := set(copies) - {copy.name for copy in topology.copies}:
        raise InputError(f"{unknown.pop()} is no copy; copies: {', '.join(copy.name for copy in topology.copies)}")
    listed = list_copies(topology, _site(topology, options), copies)
    if options.json:
        print(json.dumps(listed))
    else:
        Console(highlight=False, width=max(Console().width, 150)).print(*table_of(listed))
    return 1 if any(one["problem"] for found in listed.values() for one in found) else 0


def _agreed(topology: Topology, request: Request) -> bool:
    """Ask once. In place, the operator types the stack's name."""
    if request.into:
        return (
            input(f"Restore into {request.into}, beside the groups of {topology.stack}? [y/N] ").strip().lower() == "y"
        )
    print("In place: the database is down until the end, and what is newer than the point is in the snapshots only.")
    return (
        input(f"Type the stack's name to replace the data of all groups of {topology.stack}: ").strip()
        == topology.stack
    )


def _show(outlook: Outlook, request: Request) -> None:
    table = Table("group", "backup run", "class", "ended at", "bytes to restore from", "WAL without manifest", box=None)
    for group, found in outlook.groups.items():
        row = (found["run"], found["class"], found["finishedAt"], f"{found['bytes']:,}", str(found["unlisted"]))
        table.add_row(group, *row)
    Console(highlight=False, width=max(Console().width, 120)).print(table)
    if outlook.point:
        print(f"All groups are restored from {request.copy} to {outlook.point}.")
    else:
        print("Each group is restored by itself: a commit that spans groups may be in one of them only.")


def _summary(result: Json) -> str:
    where = "in place" if "beside" not in result else "beside the groups"
    lines = [f"restored {result['stack']} {where} from {result['from']} to {result['point']} in {result['seconds']} s"]
    lines += [
        f"  {group}: {found['databaseBytes']:,} bytes, {found['relations']} relations checked"
        for group, found in result["groups"].items()
    ]
    lines += [
        f"  {group}: the prepared transaction {gid} is not Citus's; end it yourself"
        for group, found in result["groups"].items()
        for gid in found["transactions"]["foreign"]
    ]
    lines += [f"  kept aside: {snapshot}" for snapshot in result["snapshots"]]
    for member, found in result.get("beside", {}).items():
        lines.append(f"  on {member}: psql -h {found['socket']} -p {found['port']} -d backbuild")
    return "\n".join(lines)


def _silent(_step: str, _progress: Mapping[str, Json]) -> None:
    pass


def _progress(console: Console) -> Callable[[str, Mapping[str, Json]], None]:
    """Return a function that prints a line for a step when it begins, and when its progress has changed."""
    begun: dict[str, float] = {}
    shown: dict[str, str] = {}

    def show(step: str, progress: Mapping[str, Json]) -> None:
        since = begun.setdefault(step, time.monotonic())
        done = sum(int(one.get("bytes", 0)) for one in progress.values())
        total = sum(int(one.get("total", 0)) for one in progress.values())
        text = ""
        if step == "fetch" and total:
            elapsed = time.monotonic() - since
            left = f", {elapsed * (total - done) / done:.0f} s left" if done else ""
            text = f" {done / 2**20:.1f} of {total / 2**20:.1f} MiB{left}"
        elif step == "recover" and (percents := [one["percent"] for one in progress.values() if "percent" in one]):
            text = f" {min(percents):.0f} %"
        if shown.get(step) != text:
            shown[step] = text
            console.print(f"  ... {step}{text}", highlight=False)

    return show
