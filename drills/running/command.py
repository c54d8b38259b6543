"""`python -m drills list` and `python -m drills run NAME…`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from backups.stack import topology_of
from console.errors import CommandError, InputError
from drills import guard
from drills.reports.command import FOLDER, write_pages
from drills.reports.keys import Signer, signer_of
from drills.reports.ledger import file_report
from drills.running import runner
from drills.running.aws.plan import plan_of
from drills.running.aws.stage import AwsStage
from drills.running.report import UNTRIED, Report
from drills.running.runner import Show
from drills.running.scenario import Scenario
from drills.scenarios import all_scenarios
from drills.sites.claims import claim
from model.drill_reports import read
from model.topology import Topology


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
    running.add_argument("--on", choices=("live", "aws"), default="live", help="the live sandbox (default), or AWS")
    running.add_argument("--cwd", type=Path, default=Path.cwd(), help="the project's folder (default: the current one)")
    running.add_argument("--file", action="store_true", help="sign the reports and file them in docs/drills")
    running.add_argument(
        "--dry-run", action="store_true", help="print every step, at AWS also every call, and do nothing"
    )
    running.add_argument("--json", action="store_true", help="print the reports as one JSON array, and nothing else")
    running.set_defaults(run=run)


def show_list(options: argparse.Namespace) -> int:
    """`list`."""
    scenarios = all_scenarios().values()
    if options.json:
        print(
            json.dumps(
                [
                    {"name": one.name, "title": one.title, "promises": list(one.promises), "on": one.runs_on}
                    for one in scenarios
                ]
            )
        )
        return 0
    table = Table("scenario", "what goes wrong", "promises", "served again", "may lose", "runs on", box=None)
    for one in scenarios:
        loss = f"{one.loss_seconds:g} s" if one.loss_seconds else "nothing"
        table.add_row(
            one.name, one.title, ", ".join(one.promises), f"{one.recovery_seconds:g} s", loss, ", ".join(one.runs_on)
        )
    Console(highlight=False, width=max(Console().width, 130)).print(table)
    return 0


def chosen(names: Sequence[str], on: str) -> list[Scenario]:
    """Return the scenarios with these names; `all` means all that can run there, beginning with those of a new stack.

    Raises `InputError` for another name, or one that cannot run there.
    """
    known = all_scenarios()
    if list(names) == ["all"]:
        can = [one for one in known.values() if on in one.runs_on]
        return sorted(can, key=lambda one: not one.needs_new_stack)
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"{unknown[0]} is no scenario; scenarios: {', '.join(known)}")
    scenarios = [known[name] for name in names]
    if refused := [one for one in scenarios if on not in one.runs_on]:
        reasons = [f"{one.name} cannot run at AWS: {one.not_at_aws}" for one in refused]
        can = ", ".join(one.name for one in known.values() if on in one.runs_on)
        raise InputError("\n".join([*reasons, f"scenarios that can: {can}"]))
    return scenarios


def run(options: argparse.Namespace) -> int:
    """`run`."""
    topology, scenarios = topology_of(options.stack, options.cwd), chosen(options.names, options.on)
    if options.on == "aws" and _is_untried(options):
        print(f"note: no drill at AWS has been filed yet. {UNTRIED}", file=sys.stderr)
    if options.dry_run:
        plans = [
            (one.name, plan_of(topology, options.cwd, one) if options.on == "aws" else steps_of(one))
            for one in scenarios
        ]
        lines = [line for _, plan in plans for line in plan]
        print(json.dumps([{"name": name, "lines": plan} for name, plan in plans]) if options.json else "\n".join(lines))
        return 0
    folder = options.cwd / FOLDER
    signer = _signer(options.cwd, folder) if options.file else None
    with ExitStack() as held:
        if options.on == "aws":
            guard.require_at_aws(topology, guard.utc_now())
            guard.confirm(topology, interactive=sys.stdin.isatty(), ask=_ask)
            held.enter_context(claim(topology, f"drills run {' '.join(options.names)}"))
        return _run_all(topology, scenarios, options, signer)


def _signer(root: Path, folder: Path) -> Signer:
    """Return who signs the reports. Raises `InputError` if none could be filed: a drill would break a stack in vain."""
    if problems := read(folder)[1]:
        raise InputError("; ".join(problems))
    return signer_of(root, folder)


def steps_of(scenario: Scenario) -> list[str]:
    """Return the lines of a dry run on the live sandbox."""
    lines = [f"{scenario.title} ({scenario.name})", f"  {scenario.situation}"]
    for number, step in enumerate(scenario.steps, 1):
        lines.append(f"  {number}. {step.text}{'' if step.operator else ' [the drill does this]'}")
    return lines


def _run_all(
    topology: Topology, scenarios: Sequence[Scenario], options: argparse.Namespace, signer: Signer | None
) -> int:
    reports: list[Report] = []
    code = 0
    try:
        _run_each(topology, scenarios, options, signer, reports)
    except CommandError as error:
        if not (options.json and reports):
            raise
        print(f"error: {error}", file=sys.stderr)  # stdout gets the reports of the drills that have ended
        code = error.exit_code
    if options.json:
        print(json.dumps([one.as_json() for one in reports]))
    return code or (0 if all(one.verdict == "kept" for one in reports) else 1)


def _run_each(
    topology: Topology,
    scenarios: Sequence[Scenario],
    options: argparse.Namespace,
    signer: Signer | None,
    reports: list[Report],
) -> None:
    """Run scenarios until one stops, and add each report to `reports`."""
    for one in scenarios:
        print(f"{one.title} ({one.name}) on {topology.stack}", file=sys.stderr)
        report = _run_one(topology, options, one, lambda text: print(f"  {text}", file=sys.stderr))
        reports.append(report)
        if signer is not None:  # before it is printed: the terminal may be gone
            _file(options.cwd, report, signer)
        if not options.json:
            print(summary_of(report), flush=True)
        if report.verdict == "stopped":
            break


def _file(root: Path, report: Report, signer: Signer) -> None:
    """File a report and write the pages. If that fails, write the report to another file, and name it in the error."""
    try:
        file_report(root / FOLDER, report.as_json(), signer)
        write_pages(root, read(root / FOLDER)[0])
    except (CommandError, OSError) as error:
        with tempfile.NamedTemporaryFile("w", prefix="drill-", suffix=".json", delete=False, encoding="utf-8") as file:
            json.dump(report.as_json(), file)
        raise CommandError(f"the report was not filed: {error}; it is in {file.name}, without a signature") from error


def _run_one(topology: Topology, options: argparse.Namespace, scenario: Scenario, show: Show) -> Report:
    root = options.cwd.resolve()
    if options.on == "live":
        return runner.run(topology, root, scenario, show)
    guard.require_at_aws(topology, guard.utc_now())  # the window may end between two scenarios
    untried = _is_untried(options)
    report = runner.run_on(AwsStage, topology, root, scenario, show)
    if untried:
        report.limitations = (f"Before this drill, none at AWS was filed. {UNTRIED}", *report.limitations)
    return report


def _ask(question: str) -> str:
    """Ask at the terminal; stdout is for reports."""
    print(question, end="", file=sys.stderr, flush=True)
    try:
        return input()
    except EOFError:  # Ctrl-D, or the terminal is gone: no name
        return ""


def _is_untried(options: argparse.Namespace) -> bool:
    """Return whether no drill at AWS has been filed that reached its end."""
    filed = [one.report for one in read(options.cwd / FOLDER)[0]]
    return not any(one["on"] == "aws" and one["verdict"] != "stopped" for one in filed)


def summary_of(report: Report) -> str:
    """Return a report in some lines."""
    lines = [f"{report.verdict}: {report.title}" + (f": {report.stopped}" if report.stopped else "")]
    lines += [f"  {'yes' if check.holds else 'NO '} {check.text}: {check.found}" for check in report.checks]
    return "\n".join(lines)
