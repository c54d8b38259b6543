"""Let the backup Workers find and repair damages to the objects of a live stack."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from drills.corruptions.audit import Damaged
from drills.running import cloud
from drills.sites.buckets import Bucket, bucket_of
from drills.sites.live import LiveSite
from drills.sites.site import SiteError
from model.topology import Topology
from sandbox.edge import databases

# `verify` runs every two minutes and `reconcile` every five; each handles a limited number of objects in one run.
FIND_SECONDS = 1200.0
PAUSE = 5.0
FINDINGS = "SELECT kind, store, key, detail, closed_at IS NOT NULL FROM findings WHERE seen_at >= ?"
DUE = "UPDATE objects SET check_after = ? WHERE key IN (SELECT value FROM json_each(?))"
KINDS = ("missing", "damaged")
LOCK = "lock rule"

Finding = tuple[str, str, str, str, bool]
"""Kind, copy, key, detail, and whether it is closed."""


class Repairs:
    """Damages that are left for the backup Workers."""

    def __init__(self, topology: Topology, site: LiveSite, damages: Sequence[Damaged]) -> None:
        self._site: LiveSite = site
        self._damages: Sequence[Damaged] = damages
        self._buckets: dict[str, Bucket] = {one.copy: bucket_of(topology, site.place, one.copy) for one in damages}
        name = f"{topology.prefix}-backups"
        id = databases.id_of(site.inventory, name)
        if id is None:
            raise SiteError(f"{topology.stack} has no D1 database {name}; run `python -m sandbox up`")
        self._database: str = id
        self._since: str = _now()

    def inflict(self) -> None:
        """Damage all objects at once, and make their next verification due now."""
        with cloud.edge_stopped(self._site.place):
            for one in self._damages:
                one.inflict(self._buckets[one.copy])
            self._let_be_due()

    def unnoticed(self) -> list[str]:
        """Wait until each damage has a finding; return those that have none in time."""
        return self._left(lambda one: any(is_about(found, one) for found in self._findings()))

    def locked(self) -> list[Damaged]:
        """Return the damages that the Workers could not repair because a lock rule keeps the bad object."""
        found = [finding for finding in self._findings() if not finding[4] and LOCK in finding[3]]
        return [one for one in self._damages if any(is_about(finding, one) for finding in found)]

    def verify_again(self) -> None:
        """Make the next verification of all damaged objects due now; the Workers would repeat it some minutes later."""
        with cloud.edge_stopped(self._site.place):
            self._let_be_due()

    def unrepaired(self) -> list[str]:
        """Wait until every damaged object is whole again; return those that are not in time."""
        return self._left(self._is_whole)

    def remove_extras(self) -> None:
        """Remove the extra objects, which no manifest lists, as an operator does."""
        for one in self._damages:
            if one.original is not None:
                self._buckets[one.copy].remove(one.key)

    def _is_whole(self, one: Damaged) -> bool:
        bucket = self._buckets[one.copy]
        return one.original is not None or (one.key in bucket.objects(one.key) and bucket.read(one.key) == one.content)

    def _left(self, holds: Callable[[Damaged], bool]) -> list[str]:
        deadline = time.monotonic() + FIND_SECONDS
        while True:
            left = [one.text for one in self._damages if not holds(one)]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(PAUSE)

    def _findings(self) -> list[Finding]:
        rows = databases.read(self._site.place, self._database, FINDINGS, self._since)
        return [(kind, store, key, detail, bool(closed)) for kind, store, key, detail, closed in rows]

    def _let_be_due(self) -> None:
        keys = json.dumps([one.key for one in self._damages])
        databases.change(self._site.place, self._database, DUE, _now(), keys)


def together(damages: Sequence[Damaged], copies: int) -> list[list[Damaged]]:
    """Return the damages in as few rounds as possible.

    In a round, an object is damaged at most once in a copy, and stays good in one of the `copies`.
    """
    rounds: list[list[Damaged]] = []
    for one in damages:
        free = next((round for round in rounds if _has_room(round, one, copies)), None)
        if free is None:
            rounds.append(free := [])
        free.append(one)
    return rounds


def _has_room(round: Sequence[Damaged], one: Damaged, copies: int) -> bool:
    key = one.original or one.key
    others = [other.copy for other in round if (other.original or other.key) == key]
    return one.copy not in others and len(others) < copies - 1


def is_about(finding: Finding, damaged: Damaged) -> bool:
    """Return whether a finding names a damage, with the right kind."""
    kind, copy, key, _, _ = finding
    kinds = KINDS if damaged.original is None else ("extra",)
    return kind in kinds and (copy, key) == (damaged.copy, damaged.key)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
