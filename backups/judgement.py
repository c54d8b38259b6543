"""Whether all is well, by a report. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from backups.report import Copies, Group, Report
from model.topology import Topology

NOTES = ("extra", "unlisted", "missed")
"""Findings that nobody needs to act on today (workers/backups/findings.js)."""

UNVERIFIED = timedelta(days=1)  # everything is looked at within minutes; what is not by then will not be by itself
STALE = timedelta(days=7)  # and again every week
SILENT = timedelta(minutes=15)  # watch looks every five
CLOCK = timedelta(minutes=15)  # what a report's time and ours may differ by


def problems(report: Report, topology: Topology, now: datetime) -> list[str]:
    """What is wrong, each with its place; empty when all is well."""
    return [
        *_of_the_report(report, topology, now),
        *(f"alarm {alarm.id} since {minute(alarm.since)}: {alarm.text}" for alarm in report.alarms),
        *(
            f"{found.kind} in {found.store}: {found.key}: {found.detail}"
            for found in report.findings
            if found.closed_at is None and found.kind not in NOTES
        ),
        *(problem for group in report.groups for problem in _of_a_group(group, report.time)),
    ]


def minute(time: datetime) -> str:
    """A time as people read it, in UTC."""
    return f"{time:%Y-%m-%d %H:%M}"


def _of_the_report(report: Report, topology: Topology, now: datetime) -> Iterator[str]:
    if abs(now - report.time) > CLOCK:
        yield f"the report is of {minute(report.time)}, and here it is {minute(now)}; remedy: see which one is wrong"
    if report.rotation.model_dump(by_alias=True) != topology.rotation:
        yield f"the Workers go by another rotation than Pulumi.{topology.stack}.yaml says; remedy: deploy it"
    declared = [copy.name for copy in topology.copies]
    if sorted(report.copies) != sorted(declared):
        yield (
            f"the Workers look after the copies {', '.join(report.copies)}, and Pulumi.{topology.stack}.yaml lists "
            f"{', '.join(declared)}; remedy: deploy it"
        )
    seen = [one.at for one in report.workers if one.worker == "watch"]
    if not seen or report.time - max(seen) > SILENT:
        last = f"since {minute(max(seen))}" if seen else "ever"
        yield f"watch has not looked {last}: nobody would be told; remedy: see its logs"
    reported = {group.group for group in report.groups if group.runs}
    for group in topology.database_groups:
        if group.name not in reported:
            yield f"{group.name} has no backup at all; remedy: see backbuild-backup on its leader"


def _of_a_group(group: Group, time: datetime) -> Iterator[str]:
    for run in group.runs:
        place = f"{group.group}: {run.class_} {run.run}"
        yield from _of_copies(place, run.objects, run.copies, run.finished_at, time)
    wal = group.wal
    if wal.newest is not None:
        yield from _of_copies(f"{group.group}: WAL", wal.objects, wal.copies, wal.newest, time)


def _of_copies(place: str, objects: int, copies: Copies, since: datetime, time: datetime) -> Iterator[str]:
    for store, copy in copies.items():
        if copy.verified < objects and time - since > UNVERIFIED:
            yield f"{place}: {objects - copy.verified} of {objects} objects are not verified in {store}, after a day"
        elif copy.oldest is not None and time - copy.oldest > STALE:
            yield f"{place}: in {store} not verified since {minute(copy.oldest)}, for more than a week"
