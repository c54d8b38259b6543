"""`python -m drills report` and `python -m drills key`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from console.errors import CommandError, InputError
from drills.reports import index, keys
from drills.reports.page import page
from drills.scenarios import all_scenarios
from model.drill_reports import SIGNERS, Filed, newest, read

FOLDER = Path("docs/drills")
INDEX = Path("docs/drills.md")


class EditedError(CommandError):
    """A filed report or its page was changed, removed or inserted."""


def add_to(subcommands: Any) -> None:
    """Add the commands to a parser's subcommands."""
    summary = "verify the filed reports, and write their pages and docs/drills.md again"
    report: argparse.ArgumentParser = subcommands.add_parser("report", help=summary, description=summary)
    report.add_argument("--check", action="store_true", help="verify only; write nothing")
    report.add_argument("--json", action="store_true", help="print the reports as one JSON array, and nothing else")
    report.set_defaults(run=show)
    summary = "make the key that signs your reports, and print the line for docs/drills/signers.toml"
    key: argparse.ArgumentParser = subcommands.add_parser("key", help=summary, description=summary)
    key.add_argument("--name", required=True, help="your name, as it appears in reports")
    key.set_defaults(run=make_key)
    for command in (report, key):
        command.add_argument(
            "--cwd", type=Path, default=Path.cwd(), help="the project's folder (default: the current one)"
        )


def show(options: argparse.Namespace) -> int:
    """`report`: return 1 if a report was edited, removed or inserted."""
    if not (options.cwd / FOLDER).is_dir() or not (options.cwd / INDEX).is_file():
        raise InputError(f"{options.cwd} has no {FOLDER} or no {INDEX}; give the project's folder with --cwd")
    filed, problems = read(options.cwd / FOLDER)
    if problems:
        raise EditedError("\n".join(problems))
    if options.check:
        if changed := changed_pages(options.cwd, filed):
            raise EditedError("\n".join(f"{one}; run `python -m drills report`" for one in changed))
    else:
        write_pages(options.cwd, filed)
    if options.json:
        print(json.dumps([one.report for one in filed]))
    else:
        for name, one in sorted(newest(filed).items()):
            print(f"{one.report['begun'][:10]}  {one.report['verdict']:8} {name}")
        print(f"{len(filed)} reports, each signed and linked to the one before")
    return 0


def changed_pages(root: Path, filed: list[Filed]) -> list[str]:
    """Return a sentence for each page that does not show its report, or shows none, and for docs/drills.md."""
    pages = {one.file.with_suffix(".html"): page(one) for one in filed}
    found = {file: file.read_text(encoding="utf-8") for file in (root / FOLDER).glob("[0-9]*.html")}
    known = {root / FOLDER / SIGNERS, *(one.file for one in filed)}
    others = set((root / FOLDER).iterdir()) - known - pages.keys() - found.keys()
    changed = [f"{file.name} is no report and no page" for file in others]
    changed += [f"{file.name} is missing" for file in pages.keys() - found.keys()]
    changed += [f"{file.name} is not the page of a report" for file in found.keys() - pages.keys()]
    changed += [f"{file.name} was edited" for file, text in found.items() if text != pages.get(file, text)]
    present, wanted = _index(root, filed)
    return sorted(changed) + ([] if present == wanted else [f"{INDEX} was edited"])


def write_pages(root: Path, filed: list[Filed]) -> None:
    """Write the page of each report, and docs/drills.md."""
    for one in filed:
        one.file.with_suffix(".html").write_text(page(one), encoding="utf-8")
    (root / INDEX).write_text(_index(root, filed)[1], encoding="utf-8")


def _index(root: Path, filed: list[Filed]) -> tuple[str, str]:
    """Return docs/drills.md as it is, and as it must be."""
    present = (root / INDEX).read_text(encoding="utf-8")
    return present, index.updated(present, all_scenarios().values(), newest(filed))


def make_key(options: argparse.Namespace) -> int:
    """`key`."""
    print(keys.create(options.cwd, options.name))
    return 0
