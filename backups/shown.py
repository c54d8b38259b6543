"""A report, for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from backups.judgement import NOTES, minute
from backups.report import Copies, Group, Report, Run
from console.tables import cell, table

NEWEST = 5  # of each class, where not everything is asked for
STORES = ("primary", "replica", "offsite")


def show(console: Console, report: Report, problems: Sequence[str], *, everything: bool) -> None:
    """Print all of it, and at the end whether all is well."""
    for group in report.groups:
        _title(console, f"{group.group}: each copy with the time since which all of it is verified (UTC)")
        console.print(_runs(group, everything=everything))
        console.print(_wal(group))
    _section(console, "findings that are open", _findings(report))
    _section(console, "alarms", _alarms(report))
    _section(console, "what goes next", _planned(report))
    _section(console, "last runs of the Workers", _workers(report))
    for problem in problems:
        console.print(Text(f"wrong: {cell(problem)}", style="red"))
    if not problems:
        console.print(Text(f"all is well, at {minute(report.time)} UTC", style="green"))


def size(count: int) -> str:
    """Bytes as people read them."""
    amount, units = float(count), iter(("B", "KiB", "MiB", "GiB", "TiB"))
    unit = next(units)
    for larger in units:
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"


def _title(console: Console, text: str) -> None:
    console.print(Text(f"\n{cell(text)}", style="bold"))


def _section(console: Console, title: str, rows: Table) -> None:
    if rows.row_count:
        _title(console, title)
        console.print(rows)
    else:
        _title(console, f"{title}: none")


def _runs(group: Group, *, everything: bool) -> Table:
    rows = table(("class", "run", "kind", "ended", "objects", "size", *STORES, "goes"), whole=("class", "run"))
    by_class = {name: list(runs) for name, runs in groupby(sorted(group.runs, key=_order), key=lambda run: run.class_)}
    for name, runs in by_class.items():
        listed = runs if everything else runs[:NEWEST]
        for run in listed:
            made = (_KINDS.get(run.kind, run.kind), minute(run.finished_at), run.objects, size(run.bytes))
            _add(rows, name, run.run, *made, *_copies(run.objects, run.copies), _goes(run))
        if len(listed) < len(runs):
            _add(rows, name, f"… and {len(runs) - len(listed)} older ones (--all)")
    return rows


def _wal(group: Group) -> Text:
    wal = group.wal
    if wal.newest is None:
        return Text("WAL: none")
    span = f"{cell(wal.first or '?')} to {cell(wal.last or '?')}, the newest of {minute(wal.newest)}"
    verified = [
        Text(f" · {store} ").append(copy) for store, copy in zip(STORES, _copies(wal.objects, wal.copies), strict=True)
    ]
    return Text(f"WAL: {wal.objects} objects, {size(wal.bytes)}, {span}").append(Text().join(verified))


_KINDS = {"incremental": "incr."}
_CLASSES = ("hourly", "daily", "monthly", "yearly")


def _order(run: Run) -> tuple[int, str, float]:
    known = _CLASSES.index(run.class_) if run.class_ in _CLASSES else len(_CLASSES)
    return known, run.class_, -run.finished_at.timestamp()


def _copies(objects: int, copies: Copies) -> Iterator[Text]:
    for copy in copies.by_store().values():
        if copy.verified < objects:
            yield Text(f"{copy.verified} of {objects}", style="yellow")
        else:
            yield Text("" if copy.oldest is None else minute(copy.oldest))


def _goes(run: Run) -> str:
    return "" if run.ages_out_at is None else minute(run.ages_out_at) + (" planned" if run.planned else "")


def _findings(report: Report) -> Table:
    rows = table(("kind", "store", "key", "since", "what"), whole=("kind", "store", "since"))
    for found in report.findings:
        if found.closed_at is None:
            kind = f"{found.kind} (a note)" if found.kind in NOTES else found.kind
            _add(rows, kind, found.store, found.key, minute(found.found_at), found.detail)
    return rows


def _alarms(report: Report) -> Table:
    rows = table(("alarm", "since", "what"), whole=("since",))
    for alarm in report.alarms:
        _add(rows, alarm.id, minute(alarm.since), alarm.text)
    return rows


def _planned(report: Report) -> Table:
    rows = table(("at", "class", "group", "run", "kind", "objects", "size"), whole=("class", "run"))
    for one in report.planned:
        _add(rows, minute(one.due_at), one.class_, one.group, one.run, one.kind, one.objects, size(one.bytes))
    return rows


def _workers(report: Report) -> Table:
    rows = table(("worker", "at", "outcome", "what it did"), whole=("worker", "at", "outcome"))
    for run in report.workers:
        _add(rows, run.worker, minute(run.at), run.outcome, json.dumps(run.detail))
    return rows


def _add(rows: Table, *values: object) -> None:
    rows.add_row(*(value if isinstance(value, Text) else Text(cell(value)) for value in values))
