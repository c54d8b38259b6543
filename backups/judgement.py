"""Find the problems in a report of the backup Workers (Cloudflare Workers). Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from backups.report import Copies, Group, Report
from model.topology import Topology

KINDS_WITHOUT_ALARM = ("extra", "unlisted", "missed")
"""Kinds of findings that are not problems (workers/backups/findings.js)."""

UNVERIFIED = timedelta(days=1)  # verify reads new objects within minutes; after a day it needs an operator
STALE = timedelta(days=7)  # verify reads every object again within a week
SILENT = timedelta(minutes=15)  # watch runs every five
CLOCK_TOLERANCE = timedelta(minutes=15)


def problems(report: Report, topology: Topology, now: datetime) -> list[str]:
    """Return a sentence for each problem, with its place."""
    return [
        *_report_problems(report, topology, now),
        *(f"alarm {alarm.id} since {minute(alarm.since)}: {alarm.text}" for alarm in report.alarms),
        *(
            f"{found.kind} in {found.store}: {found.key}: {found.detail}"
            for found in report.findings
            if found.closed_at is None and found.kind not in KINDS_WITHOUT_ALARM
        ),
        *(problem for group in report.groups for problem in _group_problems(group, report.time)),
    ]


def minute(time: datetime) -> str:
    """Format a UTC time to the minute."""
    return f"{time:%Y-%m-%d %H:%M}"


def _report_problems(report: Report, topology: Topology, now: datetime) -> Iterator[str]:
    if abs(now - report.time) > CLOCK_TOLERANCE:
        yield (
            f"the report was made at {minute(report.time)}, but this machine's clock says {minute(now)}; "
            "remedy: check the machine's clock and the report Worker"
        )
    if report.rotation.model_dump(by_alias=True) != topology.rotation:
        yield f"the Workers use a different rotation from Pulumi.{topology.stack}.yaml; remedy: run `pulumi up`"
    declared = [copy.name for copy in topology.copies]
    if sorted(report.copies) != sorted(declared):
        yield (
            f"the Workers maintain the copies {', '.join(report.copies)}, but Pulumi.{topology.stack}.yaml lists "
            f"{', '.join(declared)}; remedy: run `pulumi up`"
        )
    runs = [one.at for one in report.workers if one.worker == "watch"]
    if not runs or report.time - max(runs) > SILENT:
        state = f"has not run since {minute(max(runs))}" if runs else "has never run"
        yield f"the watch Worker {state}, so it sends no alarms; remedy: read its logs at Cloudflare"
    reported = {group.group for group in report.groups if group.runs}
    for group in topology.database_groups:
        if group.name not in reported:
            yield (
                f"{group.name} has no backup at all; remedy: on its leader, run `journalctl -u 'backbuild-backup@*'`"
            )


def _group_problems(group: Group, time: datetime) -> Iterator[str]:
    for run in group.runs:
        place = f"{group.group}: {run.class_} {run.run}"
        yield from _copy_problems(place, run.objects, run.copies, run.finished_at, time)
    wal = group.wal
    if wal.newest is not None:
        yield from _copy_problems(f"{group.group}: WAL", wal.objects, wal.copies, wal.newest, time)


def _copy_problems(place: str, objects: int, copies: Copies, since: datetime, time: datetime) -> Iterator[str]:
    for store, copy in copies.items():
        if copy.verified < objects and time - since > UNVERIFIED:
            yield f"{place}: {objects - copy.verified} of {objects} objects are not verified in {store} after a day"
        elif copy.oldest is not None and time - copy.oldest > STALE:
            yield f"{place}: not verified in {store} since {minute(copy.oldest)}, for more than a week"
