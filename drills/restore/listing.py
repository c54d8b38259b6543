"""What can be restored from each copy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from drills.restore.members import Members
from drills.sites.site import Site, SiteError
from model.topology import Topology

LIST_SECONDS = 600  # hundreds of manifests of some MiB each

Json = dict[str, Any]


def list_copies(topology: Topology, site: Site, copies: Sequence[str]) -> dict[str, list[Json]]:
    """Return what each group finds in each copy, by the copy's name."""
    members = Members(site, "list", lambda _step, _progress: None)
    running = site.running()
    present = [[one.name for one in group.members if one.name in running] for group in topology.database_groups]
    first = [names[0] for names in present if names]
    if not first:
        raise SiteError(f"no database machine of {topology.stack} runs; run `pulumi up` first")
    site.allow_reading(topology.secrets.backup_readers)
    try:
        found = members.everywhere(lambda member: members.ask(member, "list", *copies, seconds=LIST_SECONDS), first)
    finally:
        site.forbid_reading(topology.secrets.backup_readers)
    rows: list[Json] = [one for text in found.values() for one in json.loads(text)]
    return {name: [one for one in rows if one["copy"] == name] for name in copies}


def table_of(listed: Mapping[str, Sequence[Json]]) -> list[Any]:
    """Return the tables that show the listing: the window of each copy, and the runs."""
    window = Table(
        "copy", "group", "any point from", "newest WAL", "newest listed point", "rehearsed", "problem", box=None
    )
    runs = Table("group", "backup run", "ended at", *(f"in {name}" for name in listed), box=None)
    classes: dict[tuple[str, str, str], dict[str, str]] = {}
    for name, groups in listed.items():
        for one in groups:
            rehearsed = one["rehearsed"]["at"] if one.get("rehearsed") else "never"
            moments = (one.get(field) or "-" for field in ("from", "walUntil", "newestListedPoint"))
            window.add_row(name, one["group"], *moments, rehearsed, one["problem"] or "none")
            for run in one["runs"]:
                key = one["group"], run["run"], run["finishedAt"]
                classes.setdefault(key, {})[name] = ", ".join(run["classes"])
    for (group, run, finished), found in sorted(classes.items()):
        runs.add_row(group, run, finished, *(found.get(name, "") for name in listed))
    return [window, "", runs]
