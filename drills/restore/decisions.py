"""Decide the common restore point of all groups, and the end of prepared transactions. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from console.errors import CommandError
from drills.restore.target import Target
from model.restore_points import time_of

# citus_<group of the initiator>_<process>_<transaction>_<connection>
_CITUS_GID = re.compile(r"citus_(\d+)_\d+_\d+_\d+")
# A time this long after the newest restore point cannot be restored: there are two points a minute.
LATE = timedelta(minutes=2)


class OutsideWindowError(CommandError):
    """What was asked for cannot be restored. The message has what can be."""


def common_point(
    target: Target, points: Mapping[str, Iterable[str]], promoted: Iterable[str], *, apart: bool = False
) -> str | None:
    """Return the newest restore point that every group has and the target allows.

    `points`: the restore points of each group; `promoted`: the groups that restore a daily, monthly or yearly backup,
    which ends at a point a little after its own time. If all groups restore such backups and no point is common, it
    returns None if the operator accepts that each group is restored by itself (`apart`). Raises `OutsideWindowError`.
    """
    in_each = {group: set(names) for group, names in points.items()}
    first, *others = in_each.values()
    common = first.intersection(*others)
    if not common:
        if set(promoted) == set(in_each) and not target.exact:
            if apart or len(in_each) == 1:
                return None
            raise OutsideWindowError(
                f"the newest backups before {target.text} have no common restore point: a commit that spans groups may "
                "be in one of them only; choose another time, or restore each group by itself with `--apart`"
            )
        without = ", ".join(group for group, names in in_each.items() if not names)
        raise OutsideWindowError(
            f"the groups have no common restore point for {target.text}"
            + (f": none in the WAL of {without}" if without else "")
            + "; choose another time, or another copy"
        )
    if target.exact and target.upto not in common:
        lacking = ", ".join(group for group, names in in_each.items() if target.upto not in names)
        raise OutsideWindowError(f"{target.text} is not in the WAL of {lacking}; {window_of(common)}")
    chosen = target.upto if target.exact else max(common)
    assert chosen is not None
    if target.upto and time_of(target.upto) - time_of(chosen) > LATE:
        raise OutsideWindowError(
            f"the newest restore point before {target.text} is {chosen}: the data in between are not in the copy, or "
            f"the groups made no points; restore to it, or from another copy"
        )
    return chosen


def window_of(points: Iterable[str]) -> str:
    """Return the oldest and the newest of restore points, in words."""
    names = sorted(points)
    return f"restore points that all groups have: from {names[0]} to {names[-1]}"


@dataclass(frozen=True)
class Ends:
    """The prepared transactions of one group: which to commit, which to roll back, and which are not Citus's."""

    commit: list[str]
    rollback: list[str]
    foreign: list[str]


def ends_of(prepared: Sequence[str], committed: Mapping[str, Iterable[str]]) -> Ends:
    """Return how one group's prepared transactions end.

    Citus writes the commit of a distributed transaction at its initiator, and the prepared parts elsewhere.
    `committed`: these records of each Citus group, by its number as text. A part without a record did not commit before
    the restore point.
    """
    ends = Ends([], [], [])
    for gid in prepared:
        found = _CITUS_GID.fullmatch(gid)
        if found is None:
            ends.foreign.append(gid)
        elif gid in set(committed.get(found[1], ())):
            ends.commit.append(gid)
        else:
            ends.rollback.append(gid)
    return ends


def unequal_references(rows: Mapping[str, Mapping[str, Mapping[str, int]]]) -> list[str]:
    """Return a sentence for each Citus reference table that has not the same number of rows in all groups.

    `rows`: the rows of each table, by group and database.
    """
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for group, databases in rows.items():
        for database, tables in databases.items():
            for table, count in tables.items():
                counts.setdefault((database, table), {})[group] = count
    return [
        f"reference table {table} in {database}: "
        + ", ".join(f"{group} has {count} rows" for group, count in found.items())
        for (database, table), found in counts.items()
        if len(set(found.values())) > 1
    ]
