"""`python -m policies.mutation`: weaken a compliant stack in every listed way, and check that the expected rule fails.

Exit code 0 if the expected rule kills each mutant, each rule kills one, and no rule fails on the unchanged stack.
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
        graph = (from_file(options.file) if options.file else brought_up(options.stack)).graph
        fires = baseline(graph)
        trials = try_all(graph, WEAKENINGS)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    idle = idle_rules(trials)
    killed, made = sum(trial.killed for trial in trials), sum(trial.made for trial in trials)
    if options.json:
        print(json.dumps(_summary(trials, fires, idle)))
    else:
        _show(trials)
        for finding in fires:
            print(f"fails on the unchanged stack: {finding}")
        for rule in idle:
            print(f"kills nothing: {rule}")
        print(f"{len(trials)} weakenings, {len({trial.weakening.expected_rule for trial in trials})} rules")
        print(f"{killed}/{made} mutants killed")
    return 0 if killed == made and not fires and not idle and all(trial.made for trial in trials) else 1


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


def _summary(trials: list[Trial], fires: list[str], idle: list[str]) -> dict[str, object]:
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
        "firing": fires,
        "idle": idle,
    }


if __name__ == "__main__":
    sys.exit(main())
