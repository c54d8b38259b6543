"""`python -m policies.mutation.source`: apply each listed change to the source, and check what the packs do.

Each change is applied to a copy of the project, planned on top of the unchanged stack in the sandbox, and judged. A
weakening must be stopped by a rule, or refused by the engine. A variant is first reviewed in its copy
(`python -m policies baseline --write`), and must then pass.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from console.errors import InputError
from console.tables import Table, say, show
from policies.mutation.source.changes import Change, OutdatedError, variants, weakenings
from policies.stacks import ROOT

TARGET: Final = 0.95  # the share of weakenings that must be stopped
REVIEWER: Final = "Reviewer of the variant"


@dataclass(frozen=True)
class Result:
    """The outcome of a change: stopped, refused, passed or outdated. `detail`: the rules that fail, or the reason."""

    change: Change
    outcome: str
    detail: str


def main() -> int:
    """Try the changes and print the results. Return 0 if 95 % of the weakenings are stopped and all variants pass."""
    parser = argparse.ArgumentParser(
        prog="python -m policies.mutation.source", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--only", default="", help="only changes whose name contains this text")
    parser.add_argument("--jobs", type=int, default=2, help="how many changes to try at once (default: 2)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for stack in ("prod", "staging"):
            _sandbox(ROOT, home, "up", "--stack", stack, "--skip-preview", "--skip-policies", "--json")
        with ThreadPoolExecutor(options.jobs) as pool:
            weak = list(pool.map(partial(_weakened, home), _chosen(weakenings(), options.only)))
            good = list(pool.map(_varied, _chosen(variants(), options.only)))
    return _report(weak, good)


def _chosen(changes: list[Change], text: str) -> list[Change]:
    return [one for one in changes if text in one.name]


def _weakened(home: Path, change: Change) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        project = _copy(Path(folder) / "project")
        try:
            change.apply(project)
        except OutdatedError as error:
            return Result(change, "outdated", str(error))
        own = Path(folder) / "home"
        shutil.copytree(home, own)
        planned = _sandbox(project, own, "export", "--stack", change.stack, "--planned")
        if planned.returncode != 0:
            return Result(change, "refused", planned.stderr.strip().splitlines()[-1])
        return _judged(change, project, planned.stdout)


def _varied(change: Change) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        project = _copy(Path(folder) / "project")
        try:
            change.apply(project)
        except OutdatedError as error:
            return Result(change, "outdated", str(error))
        reviewed = _policies(project, "baseline", "--stack", change.stack, "--write", "--by", REVIEWER)
        planned = _sandbox(project, Path(folder) / "home", "export", "--stack", change.stack, "--planned")
        for done in (reviewed, planned):
            if done.returncode != 0:
                return Result(change, "refused", done.stderr.strip().splitlines()[-1])
        return _judged(change, project, planned.stdout)


def _judged(change: Change, project: Path, plan: str) -> Result:
    file = project / "plan.json"
    file.write_text(plan, encoding="utf-8")
    words = ("judge", "--file", str(file), "--planned", "--ignore-stale-exemptions", "--json")
    done = _policies(project, *words)
    if done.returncode == 0:
        return Result(change, "passed", "")
    if done.returncode != 1:
        return Result(change, "stopped", done.stderr.strip().splitlines()[-1])
    failed = {one["rule"] for one in json.loads(done.stdout)["verdicts"] if one["verdict"] == "fail"}
    return Result(change, "stopped", ", ".join(sorted(failed)))


def _copy(folder: Path) -> Path:
    """Copy the files of the project that Git knows, as they are in the working tree."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, capture_output=True, check=True, text=True).stdout.split("\0")
    for file in filter(None, files):
        if (ROOT / file).is_file():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, folder / file)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Copy"]):
        identity = ["-c", "user.name=Copy", "-c", "user.email=copy@example.com"]
        subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)
    return folder


def _sandbox(project: Path, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return _run(ROOT, "sandbox", *words, "--cwd", str(project), SANDBOX_HOME=str(home))


def _policies(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return _run(project, "policies", *words)


def _run(folder: Path, module: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def _report(weak: list[Result], good: list[Result]) -> int:
    table = Table(("change", "outcome", "by"), prose=("change", "by"))
    wrong = [one for one in weak if one.outcome in {"passed", "outdated"}]
    wrong += [one for one in good if one.outcome != "passed"]
    for one in wrong:
        table.add(one.change.name, one.outcome, one.detail, style="bold red")
    if wrong:
        show(table)
    stopped = sum(one.outcome in {"stopped", "refused"} for one in weak)
    accepted = sum(one.outcome == "passed" for one in good)
    say(f"{stopped} of {len(weak)} weakenings are stopped, {accepted} of {len(good)} variants pass")
    return 0 if stopped >= TARGET * len(weak) and accepted == len(good) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
