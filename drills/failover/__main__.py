"""Break live machines on purpose while clients write: `python -m drills.failover --runs 22 --seed 1`. Needs root.

A stack that runs is used and left running; otherwise the stack is brought up, and destroyed at the end.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path

from console.errors import CommandError
from drills.failover import report
from drills.failover.drill import Outcome, play_all, writing
from drills.failover.faults import KINDS, plan
from drills.failover.fleet import Fleet
from drills.guard import only_one
from sandbox import cli
from sandbox.engine.errors import EngineError
from sandbox.machines import prerequisites


def main(arguments: list[str] | None = None) -> int:
    """Run the drill; return 0 if nothing was lost and all came back, 1 otherwise, 2 for invalid input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=len(KINDS), help="how many faults (default: one of each kind)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stack", default="staging")
    parser.add_argument("--cwd", type=Path, default=Path.cwd(), help="the project's folder (default: the current one)")
    parser.add_argument(
        "--only", action="append", metavar="TEXT", help="only kinds of faults whose name contains TEXT; may be repeated"
    )
    parser.add_argument("--list", action="store_true", help="list the kinds of faults")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the report to this file")
    options = parser.parse_args(arguments)
    kinds = [kind for kind in KINDS if any(text in str(kind) for text in options.only or [""])]
    if options.list or not kinds:
        print("\n".join(map(str, kinds or KINDS)), file=sys.stdout if options.list else sys.stderr)
        return 0 if kinds else 2
    options.kinds = kinds
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up, as after Ctrl-C
    try:
        prerequisites.require()
        with only_one(options.cwd.resolve(), options.stack, "drills.failover"):
            return _on_stack(options)
    except (CommandError, EngineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _on_stack(options: argparse.Namespace) -> int:
    fleet = Fleet(options.cwd.resolve(), options.stack)
    stack = ["--stack", options.stack, "--cwd", str(options.cwd)]
    brought = not fleet.exists
    try:
        if brought and (code := cli.main(["up", *stack, "--live", "--skip-preview", "--skip-policies"])):
            return code
        return _drill(fleet, options)
    finally:
        if brought:
            cli.main(["destroy", *stack])
        else:
            fleet.mend()


def _drill(fleet: Fleet, options: argparse.Namespace) -> int:
    outcomes: list[Outcome] = []
    lease = fleet.lease()
    with writing(fleet, f"{options.seed}-{time.time():.0f}") as drill:
        quiet = drill.quiet()
        print(
            f"seed {options.seed}; lease {lease}; longest stalls without a fault: "
            + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in quiet.items())
        )
        print(report.header([one.name for one in drill.writers]), flush=True)

        def show(outcome: Outcome) -> None:
            outcomes.append(outcome)
            print(report.line(outcome), flush=True)
            if options.json:
                text = json.dumps(report.as_json(options.seed, lease, quiet, outcomes), indent=1)
                options.json.write_text(text + "\n", encoding="utf-8")

        play_all(drill, plan(options.seed, options.runs, options.kinds), show)
    for text in report.summary(outcomes, lease):
        print(text)
    failed = [one for one in outcomes if one.failed]
    for one in failed:
        for name, journal in one.journals.items():
            print(f"--- the end of the journal of {name}\n{journal}")
    commits = sum(one.commits for one in outcomes)
    print(f"{len(outcomes)} faults (seed {options.seed}), {commits} commits during them; {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
