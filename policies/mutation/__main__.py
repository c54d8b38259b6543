"""`python -m policies.mutation`: weaken a compliant stack in every listed way, and check that the expected rule fails.

The weakenings are listed in `policies/rules/TOPIC/weakenings.py`. A mutant is a copy of the stack with one weakening; a
rule kills a mutant if it fails on it. Exit code 0 if the expected rule kills every mutant, every rule kills at least
one mutant, and no rule fails on the unchanged stack.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from console import tables
from console.errors import InputError
from console.tables import Table, say
from policies.mutation.trial import WEAKENINGS, Trial, baseline, idle_rules, try_all
from policies.sources import from_file
from policies.stacks import brought_up
from policies.views.drills import last_drilled


def main() -> int:
    """Run every weakening and print the table."""
    parser = argparse.ArgumentParser(prog="python -m policies.mutation", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--stack", default="prod", help="the stack to weaken, brought up in the sandbox (default: prod)"
    )
    parser.add_argument("--file", type=Path, help="an exported state to weaken instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    try:
        graph = last_drilled((from_file(options.file) if options.file else brought_up(options.stack)).graph)
        baseline_failures = baseline(graph)
        trials = try_all(graph, WEAKENINGS)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    idle = idle_rules(trials)
    killed, made = sum(trial.killed for trial in trials), sum(trial.made for trial in trials)
    if options.json:
        print(json.dumps(_summary(trials, baseline_failures, idle)))
    else:
        _show(trials)
        for rule in baseline_failures:
            print(f"fails on the unchanged stack: {rule}")
        for rule in idle:
            print(f"kills no mutant: {rule}; add a weakening that it must detect, or correct the rule")
        print(f"{len(trials)} weakenings, {len({trial.weakening.expected_rule for trial in trials})} rules")
        print(f"{killed}/{made} mutants killed")
    complete = killed == made and not idle and all(trial.made for trial in trials)
    return 0 if complete and not baseline_failures else 1


def _show(trials: list[Trial]) -> None:
    table = Table(
        ("weakening", "expected rule", "mutants", "killed", "also failed"),
        prose=("weakening", "also failed"),
    )
    for trial in trials:
        also = sorted(trial.others)
        shown = ", ".join(also[:3]) + (f" and {len(also) - 3} more" if len(also) > 3 else "")
        style = "" if trial.made and trial.killed == trial.made else "bold red"
        table.add(trial.weakening.name, trial.weakening.expected_rule, trial.made, trial.killed, shown, style=style)
    tables.show(table)
    for trial in trials:
        for subject in trial.survivors:
            say(f"survived: {trial.weakening.name}: {subject}", "red")


def _summary(trials: list[Trial], baseline_failures: list[str], idle: list[str]) -> dict[str, object]:
    return {
        "killed": sum(trial.killed for trial in trials),
        "made": sum(trial.made for trial in trials),
        "weakenings": [
            {
                "weakening": trial.weakening.name,
                "expectedRule": trial.weakening.expected_rule,
                "mutants": trial.made,
                "killed": trial.killed,
                "survivors": trial.survivors,
                "alsoFailed": sorted(trial.others),
            }
            for trial in trials
        ],
        "firing": baseline_failures,
        "idle": idle,
    }


if __name__ == "__main__":
    sys.exit(main())
