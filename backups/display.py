"""Print a report as tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.text import Text

from backups.judgement import KINDS_WITHOUT_ALARM, minute
from backups.report import Copies, Group, Report, Run
from console import tables
from console.tables import Table, cell, say

NEWEST = 5  # the number of runs of each class that are shown without --all


def show(report: Report, problems: Sequence[str], *, everything: bool) -> None:
    """Print the report and, last, its problems. `everything` shows all runs."""
    for group in report.groups:
        _title(f"{group.group}: runs, and each copy's oldest verification (UTC)")
        _show_runs(group, report.copies, everything=everything)
        say(_wal(group, report.copies))
    _section("open findings", _findings(report))
    _section("alarms", _alarms(report))
    _section("next deletions", _planned(report))
    _section("last runs of the Workers", _workers(report))
    for problem in problems:
        say(f"problem: {cell(problem)}", "red")
    if not problems:
        say(f"no problems at {minute(report.time)} UTC", "green")


def size(count: int) -> str:
    """Format a number of bytes with a unit."""
    amount, units = float(count), iter(("B", "KiB", "MiB", "GiB", "TiB"))
    unit = next(units)
    for larger in units:
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"


def _title(text: str) -> None:
    say(f"\n{cell(text)}", "bold")


def _section(title: str, rows: Table) -> None:
    if rows.rows:
        _title(title)
        tables.show(rows)
    else:
        _title(f"{title}: none")


def _show_runs(group: Group, names: Sequence[str], *, everything: bool) -> None:
    rows = Table(("class", "run", "kind", "ended", "objects", "size", *names, "expires", "restore point"))
    older: list[str] = []
    by_class = {name: list(runs) for name, runs in groupby(sorted(group.runs, key=_order), key=lambda run: run.class_)}
    for name, runs in by_class.items():
        listed = runs if everything else runs[:NEWEST]
        for run in listed:
            made = (_KINDS.get(run.kind, run.kind), minute(run.finished_at), run.objects, size(run.bytes))
            rows.add(name, run.run, *made, *_copies(run.objects, run.copies, names), _expiry(run), _point(run))
        if len(listed) < len(runs):
            older.append(f"{name}: … and {len(runs) - len(listed)} older runs (--all)")
    tables.show(rows)
    for line in older:
        say(cell(line))


def _wal(group: Group, names: Sequence[str]) -> Text:
    wal = group.wal
    if wal.newest is None:
        return Text("WAL: none")
    span = f"{cell(wal.first or '?')} to {cell(wal.last or '?')}, the newest from {minute(wal.newest)}"
    verified = [
        Text(f" · {cell(name)} ").append(copy)
        for name, copy in zip(names, _copies(wal.objects, wal.copies, names), strict=True)
    ]
    return Text(f"WAL: {wal.objects} objects, {size(wal.bytes)}, {span}").append(Text().join(verified))


_KINDS = {"incremental": "incr."}
_CLASSES = ("hourly", "daily", "monthly", "yearly")


def _order(run: Run) -> tuple[int, str, float]:
    known = _CLASSES.index(run.class_) if run.class_ in _CLASSES else len(_CLASSES)
    return known, run.class_, -run.finished_at.timestamp()


def _copies(objects: int, copies: Copies, names: Sequence[str]) -> Iterator[Text]:
    for copy in (copies[name] for name in names):
        if copy.verified < objects:
            yield Text(f"{copy.verified} of {objects}", style="yellow")
        else:
            yield Text("" if copy.oldest is None else minute(copy.oldest))


def _expiry(run: Run) -> str:
    return "" if run.ages_out_at is None else minute(run.ages_out_at) + (" planned" if run.planned else "")


def _point(run: Run) -> str:
    return "" if run.class_ == "hourly" else run.point or "none"


def _findings(report: Report) -> Table:
    rows = Table(("kind", "store", "key", "since", "detail"), prose=("detail",))
    for found in report.findings:
        if found.closed_at is None:
            kind = f"{found.kind} (note)" if found.kind in KINDS_WITHOUT_ALARM else found.kind
            rows.add(kind, found.store, found.key, minute(found.found_at), found.detail)
    return rows


def _alarms(report: Report) -> Table:
    rows = Table(("alarm", "since", "text"), prose=("text",))
    for alarm in report.alarms:
        rows.add(alarm.id, minute(alarm.since), alarm.text)
    return rows


def _planned(report: Report) -> Table:
    rows = Table(("at", "class", "group", "run", "kind", "objects", "size"))
    for one in report.planned:
        rows.add(minute(one.due_at), one.class_, one.group, one.run, one.kind, one.objects, size(one.bytes))
    return rows


def _workers(report: Report) -> Table:
    rows = Table(("worker", "at", "outcome", "detail"), prose=("detail",))
    for run in report.workers:
        rows.add(run.worker, minute(run.at), run.outcome, json.dumps(run.detail))
    return rows
