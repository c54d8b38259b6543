"""`python -m drills list` and `python -m drills run NAME…`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from backups.stack import topology_of
from console.errors import InputError
from drills.reports.command import FOLDER, write_pages
from drills.reports.keys import signer_of
from drills.reports.ledger import file_report, read
from drills.running import runner
from drills.running.report import Report
from drills.running.scenario import Scenario
from drills.scenarios import all_scenarios


def add_to(subcommands: Any) -> None:
    """Add the commands to a parser's subcommands."""
    summary = "list the scenarios"
    listing: argparse.ArgumentParser = subcommands.add_parser("list", help=summary, description=summary)
    listing.add_argument("--json", action="store_true", help="print one JSON object on stdout, and nothing else")
    listing.set_defaults(run=show_list)
    summary = "break a stack on purpose, as scenarios say, measure, and write a report"
    running: argparse.ArgumentParser = subcommands.add_parser("run", help=summary, description=summary)
    running.add_argument("names", nargs="+", metavar="NAME", help="scenarios, as `list` shows them; or `all`")
    running.add_argument("--stack", required=True, help="the stack, such as staging (settings: Pulumi.staging.yaml)")
    running.add_argument("--cwd", type=Path, default=Path.cwd(), help="the project's folder (default: the current one)")
    running.add_argument("--file", action="store_true", help="sign the reports and file them in docs/drills")
    running.add_argument("--dry-run", action="store_true", help="print every step and do nothing; needs no machines")
    running.add_argument("--json", action="store_true", help="print the reports as one JSON array, and nothing else")
    running.set_defaults(run=run)


def show_list(options: argparse.Namespace) -> int:
    """`list`."""
    scenarios = all_scenarios().values()
    if options.json:
        print(json.dumps([{"name": one.name, "title": one.title, "promises": list(one.promises)} for one in scenarios]))
        return 0
    table = Table("scenario", "what goes wrong", "promises", "served again", "may lose", box=None)
    for one in scenarios:
        loss = f"{one.loss_seconds:g} s" if one.loss_seconds else "nothing"
        table.add_row(one.name, one.title, ", ".join(one.promises), f"{one.recovery_seconds:g} s", loss)
    Console(highlight=False, width=max(Console().width, 130)).print(table)
    return 0


def chosen(names: Sequence[str]) -> list[Scenario]:
    """Return the scenarios with these names. Raises `InputError` for another name."""
    known = all_scenarios()
    if list(names) == ["all"]:
        return list(known.values())
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"{unknown[0]} is no scenario; scenarios: {', '.join(known)}")
    return [known[name] for name in names]


def run(options: argparse.Namespace) -> int:
    """`run`."""
    topology, scenarios = topology_of(options.stack, options.cwd), chosen(options.names)
    if options.dry_run:
        for one in scenarios:
            print(f"{one.title} ({one.name})\n  {one.situation}")
            for number, step in enumerate(one.steps, 1):
                print(f"  {number}. {step.text}{'' if step.operator else ' [the drill does this]'}")
        return 0
    folder = options.cwd / FOLDER
    signer = signer_of(options.cwd, folder) if options.file else None
    reports: list[Report] = []
    for one in scenarios:
        print(f"{one.title} ({one.name}) on {topology.stack}", file=sys.stderr)
        report = runner.run(topology, options.cwd.resolve(), one, lambda text: print(f"  {text}", file=sys.stderr))
        reports.append(report)
        if signer is not None:
            file_report(folder, report.as_json(), signer)
            write_pages(options.cwd, read(folder)[0])
        if not options.json:
            print(summary_of(report))
        if report.verdict == "stopped":
            break
    if options.json:
        print(json.dumps([one.as_json() for one in reports]))
    return 0 if all(one.verdict == "kept" for one in reports) else 1


def summary_of(report: Report) -> str:
    """Return a report in some lines."""
    lines = [f"{report.verdict}: {report.title}" + (f": {report.stopped}" if report.stopped else "")]
    lines += [f"  {'yes' if check.holds else 'NO '} {check.text}: {check.found}" for check in report.checks]
    return "\n".join(lines)
