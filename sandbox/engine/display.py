"""Human-readable output of a run, similar to Pulumi's: progress, the plan as a tree by component, and a summary.

With `--json`, only messages and errors are shown, on stderr.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from typing import Any, Final, Self

from rich.console import Console
from rich.text import Text

from sandbox.engine import tree
from sandbox.engine.plan import Plan, Step

EVERY: Final = 2.0  # seconds between progress lines if the output is not a terminal
LOADING: Final = "loading the program and its SDKs"  # this takes the first seconds of a run
_DONE: Final = {"create": "created", "update": "updated", "replace": "replaced", "delete": "deleted"}


class Display:
    """A watcher that prints the events of a run. Use it as a context manager around the run."""

    def __init__(self, options: argparse.Namespace, title: str, opening: str = LOADING) -> None:
        self._quiet: bool = options.json
        self._details: bool = options.diff
        self._opening: str = opening
        self._title: str = f"{title} ({options.stack})"
        self._console: Console = Console(stderr=self._quiet, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._begun: float = time.monotonic()
        self._done: int = 0
        self._of: int = 0
        self._last: str = ""
        self._shown: Plan | None = None
        self._over: threading.Event = threading.Event()
        self._ticker: threading.Thread = threading.Thread(target=self._tick, daemon=True)
        self._status: Any = None

    def __enter__(self) -> Self:
        if not self._quiet:
            self._console.print(f"{self._title}:\n", style="bold magenta")
            if self._console.is_terminal:
                self._status = self._console.status(self._progress(), spinner="dots")
                self._status.start()
        self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._ticker.join()
        if self._status is not None:
            self._status.stop()

    def started(self, step: Step) -> None:
        """Show the step in the progress line."""
        self._last = f"{step.op} {step.urn.rpartition('::')[2]}"

    def finished(self, step: Step, seconds: float) -> None:
        """Count a step; on a terminal, print a line for it."""
        self._done += 1
        if self._status is not None:
            line = Text(f" {tree.SYMBOLS[step.op]} ", style=tree.STYLES[step.op])
            line.append(f"{step.type} {step.urn.rpartition('::')[2]} {_DONE.get(step.op, step.op)} ({seconds:.1f} s)")
            self._console.print(line)

    def planned_step(self, step: Step) -> None:
        """Count a planned step."""
        self._done += 1
        self._last = step.urn.rpartition("::")[2]

    def message(self, severity: str, text: str, urn: str = "") -> None:
        """Show a message; skip debug messages."""
        if severity == "debug":
            return
        where = f" ({urn.rpartition('::')[2]})" if urn else ""
        style = {"error": "red", "warning": "yellow"}.get(severity, "")
        prefix = f"{severity}{where}: " if severity in {"error", "warning"} else where and f"{where.strip()} "
        if self._quiet:
            print(prefix + text, file=sys.stderr)
        else:
            self._console.print(Text(prefix, style=style) + Text(text))

    def planned(self, plan: Plan) -> None:
        """Show the plan of `up` before the update."""
        if self._quiet:
            return
        self._of = plan.changes
        self._shown = plan
        self._show(plan, planned=True)
        self._done, self._begun = 0, time.monotonic()
        if not plan.errors:
            self._console.print("Updating:\n", style="bold magenta")

    def result(self, plan: Plan, *, planned: bool) -> None:
        """Show the result. With `--json`, show only the errors."""
        if self._quiet:
            for urn, message in plan.errors:
                print(f"error: {_with_place(urn, message)}", file=sys.stderr)
            return
        if self._shown is None:
            self._show(plan, planned=planned)
        elif self._shown is not plan:
            self._summary(plan, planned=False)
        self._console.print(f"\nDuration: {time.monotonic() - self._begun:.1f}s")

    def _show(self, plan: Plan, *, planned: bool) -> None:
        for line in tree.lines(plan, details=self._details):
            self._console.print(line)
        self._summary(plan, planned=planned)

    def _summary(self, plan: Plan, *, planned: bool) -> None:
        if plan.errors:
            self._console.print("\nErrors:", style="bold red")
            for urn, message in plan.errors:
                self._console.print(f"  {_with_place(urn, message)}", style="red")
        if plan.packs:
            self._policies(plan)
        if plan.outputs:
            self._console.print("\nOutputs:", style="bold")
            for line in tree.outputs(plan.outputs):
                self._console.print(line)
        self._console.print("\nResources:", style="bold")
        for line in tree.counts(plan, planned=planned):
            self._console.print(line)

    def _policies(self, plan: Plan) -> None:
        """Show each pack's result and its advisory violations. Mandatory violations are listed among the errors."""
        self._console.print("\nPolicies:", style="bold")
        for pack in plan.packs:
            found = [one for one in plan.violations if one.pack == pack]
            failed = len({one.rule for one in found if one.mandatory})
            words = (
                f"{failed} mandatory rule{'s' if failed != 1 else ''} failed" if failed else "no mandatory rule fails"
            )
            self._console.print(f"    {pack}: {words}", style="red" if failed else "green")
            for one in found:
                if not one.mandatory:
                    self._console.print(f"      note: {one.rule}: {one.message}", style="yellow")

    def _progress(self) -> str:
        if not self._done and not self._last:
            return f"{self._opening}, {time.monotonic() - self._begun:.0f} s"
        of = f" of {self._of}" if self._of else ""
        return f"{self._done}{of} resources, {time.monotonic() - self._begun:.0f} s  {self._last}"

    def _tick(self) -> None:
        while True:
            if self._status is not None:
                self._status.update(self._progress())
            else:
                print(f"  ... {self._progress()}", file=sys.stderr if self._quiet else sys.stdout, flush=True)
            if self._over.wait(0.2 if self._status is not None else EVERY):
                return


def _with_place(urn: str, message: str) -> str:
    return message if not urn or urn in message else f"{urn}: {message}"
