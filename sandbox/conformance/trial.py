"""Runs the steps of a case under both engines, and compares them after each step."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.clouds.server import OpenClouds
from sandbox.conformance import compare, things
from sandbox.conformance.cases import Case, Change, Destroy, Kill, Refresh, Run, Step, Unsupported
from sandbox.conformance.recorder import Call
from sandbox.conformance.sides import Official, Ours, Outcome
from sandbox.engine.errors import EngineError
from sandbox.ledger import Ledger
from sandbox.official.cli import Cli

STACK: Final = "dev"
KILL_SECONDS: Final = 120.0  # long enough for a slow machine


@dataclass(frozen=True)
class Comparison:
    """One comparison and the differences it found; the engines agree if there are none."""

    what: str
    differences: list[str]


class Trial:
    """A running case: two copies of a project, one for each engine."""

    def __init__(self, case: Case, cli: Cli, folder: Path) -> None:
        self._case: Case = case
        self._cli: Cli = cli
        self._folders: tuple[Path, Path] = (folder / "ours", folder / "theirs")
        for each in self._folders:
            each.mkdir(parents=True)
            (each / "Pulumi.yaml").write_text("name: test\nruntime: python\n")
            (each / f"Pulumi.{STACK}.yaml").write_text("config: {}\n")
            self._write(each, "")

    def run(self) -> Iterator[Comparison]:
        """Run every step, then let each engine continue from the other's state."""
        ours = Ours(self._folders[0], STACK, things.open_clouds)
        official = Official(self._cli, self._folders[1], STACK, things.open_clouds)
        with ours, official:
            for number, step in enumerate(self._case.steps, 1):
                for what, differences in self._step(step, ours, official):
                    yield Comparison(f"{self._case.name}: step {number}: {what}", list(differences))
            if any(isinstance(step, Unsupported) for step in self._case.steps):
                return
            exports = ours.export(), official.export()
        for what, differences in takeover(self._cli, self._folders, STACK, things.open_clouds, exports):
            yield Comparison(f"{self._case.name}: {what}", differences)

    def _step(self, step: Step, ours: Ours, official: Official) -> Iterator[tuple[str, Iterator[str]]]:
        match step:
            case Run():
                self._program(step.program)
                if not step.fails:
                    yield "plan", plan(ours.preview(), official.preview())
                yield from compare_updates(ours.up(), official.up(), ours, official, fails=step.fails)
            case Change():
                with official.closed():
                    for folder in self._folders:
                        change(folder, step)
            case Refresh():
                yield from compare_updates(ours.refresh(), official.refresh(), ours, official)
            case Kill():
                self._program(step.program)
                kill_ours(self._folders[0], step.name)
                kill_official(official, step.name)
            case Destroy():
                yield from compare_updates(ours.destroy(), official.destroy(), ours, official, fails=step.fails)
            case Unsupported():
                self._program(step.program)
                yield "unsupported option", rejects_option(ours.preview(), official.preview(), step.option)

    def _program(self, text: str) -> None:
        for folder in self._folders:
            self._write(folder, text)

    @staticmethod
    def _write(folder: Path, text: str) -> None:
        (folder / "__main__.py").write_text(things.PRELUDE + text)


def plan(ours: Outcome, official: Outcome) -> Iterator[str]:
    """Yield the differences of two previews. If both fail, they must reject the same resources."""
    for outcome, other, name in ((ours, official, "ours"), (official, ours, "Pulumi")):
        if not outcome.ok and other.ok:
            yield f"only {name} fails: {'; '.join(outcome.messages)}"
        for urn in sorted(outcome.rejected - other.rejected):
            yield f"only {name} rejects {urn}"
    if ours.ok and official.ok:
        yield from compare.plans(ours.operations, official.operations)


def compare_updates(
    mine: Outcome, other: Outcome, ours: Ours, official: Official, *, fails: bool = False
) -> Iterator[tuple[str, Iterator[str]]]:
    """Compare the outcomes of two updates, their calls to the clouds, and the states afterwards."""
    states = ours.export(), official.export()
    yield "outcome", _outcome(mine, other, fails=fails)
    yield "calls to the cloud", compare.calls(ours.calls.take(), official.calls.take(), *states)
    yield "state", compare.states(*states)


def _outcome(mine: Outcome, other: Outcome, *, fails: bool) -> Iterator[str]:
    for outcome, name in ((mine, "ours"), (other, "Pulumi")):
        if outcome.ok == fails:
            said = "; ".join(outcome.messages) or "without a message"
            yield f"{name} {'succeeded' if outcome.ok else 'failed'}: {said}"


def rejects_option(ours: Outcome, official: Outcome, option: str) -> Iterator[str]:
    """Check an unsupported option: the sandbox's engine must reject it by name, and Pulumi's engine must accept it."""
    said = "; ".join(ours.messages)
    if ours.ok:
        yield f"ours supports {option}; replace the Unsupported step by Run"
    elif option not in said:
        yield f"ours fails without naming {option}: {said}"
    if not official.ok and option != "import_":  # there is no object to import
        yield f"Pulumi fails as well: {'; '.join(official.messages)}"


def takeover(
    cli: Cli,
    folders: tuple[Path, Path],
    stack: str,
    opener: OpenClouds,
    exports: tuple[compare.Document, compare.Document],
) -> Iterator[tuple[str, list[str]]]:
    """Preview the unchanged program with each engine on the other's clouds and state; no change is expected."""
    ours = Ours(folders[1], stack, opener)
    ours.load(exports[1])
    yield "ours continues from Pulumi's state", list(_unchanged(ours.preview()))
    with Official(cli, folders[0], stack, opener) as official:
        official.load(exports[0])
        yield "Pulumi continues from our state", list(_unchanged(official.preview()))


def _unchanged(outcome: Outcome) -> Iterator[str]:
    if not outcome.ok:
        yield f"it fails: {'; '.join(outcome.messages)}"
    for urn, op in outcome.operations.items():
        if op not in {"same", "read"}:
            yield f"{urn}: {op}"


def change(folder: Path, step: Change) -> None:
    """Change an object in the cloud without the engine."""
    store = folder / ".sandbox" / STACK / "clouds.json"

    def encode(entries: dict[str, object]) -> dict[str, object]:
        return {"objects": entries}

    with Ledger(store, decode=lambda document: document["objects"], encode=encode) as ledger:  # type: ignore[arg-type]
        for id, entry in list(ledger.items()):
            if entry["urn"].rpartition("::")[2] != step.name:
                continue
            if step.value is None:
                ledger.remove(id)
            else:
                value = json.loads(step.value)
                changed = {key: {**entry[key], step.property: value} for key in ("inputs", "outputs")}
                ledger.put(id, {**entry, **changed})


def kill_ours(folder: Path, name: str) -> None:
    """Run an update in a child process and kill it when it calls the cloud to create `name`."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_die_at, args=(folder, name))
    process.start()
    process.join(KILL_SECONDS)
    if process.exitcode != -signal.SIGKILL:
        process.kill()
        process.join()
        raise EngineError(f"the update of the sandbox's engine was not killed at {name}: exit code {process.exitcode}")


def _die_at(folder: Path, name: str) -> None:
    ours = Ours(folder, STACK, things.open_clouds)

    def before(call: Call) -> None:
        if call.op == "create" and call.urn.rpartition("::")[2] == name:
            os.kill(os.getpid(), signal.SIGKILL)

    ours.calls.before = before
    ours.up()


def kill_official(official: Official, name: str) -> None:
    """Kill the CLI when it calls the cloud to create `name`; the call does not reach the cloud."""
    reached, killed = threading.Event(), threading.Event()

    def before(call: Call) -> None:
        if call.op == "create" and call.urn.rpartition("::")[2] == name:
            reached.set()
            killed.wait(KILL_SECONDS)
            raise things.ProviderError(f"{name} is not created: the engine was killed")

    official.calls.before = before
    process = official.start_up()
    try:
        if not reached.wait(KILL_SECONDS):
            raise EngineError(f"the update under the CLI did not reach the creation of {name}")
    finally:
        process.kill()
        process.wait()
        killed.set()
        official.calls.before = None
    official.clear_pending()
    official.calls.take()  # calls before the kill are not compared; the states that follow are
