"""The two engines with the same interface. Each runs the project in its folder on its own clouds."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from sandbox.clouds.server import OpenClouds, serve
from sandbox.conformance.compare import Document, shown
from sandbox.conformance.recorder import Calls, recorded
from sandbox.engine import operations, project, secrets, urns
from sandbox.engine.operations import Result
from sandbox.engine.plan import Plan
from sandbox.engine.transfer import export_state, replace_state
from sandbox.engine.watch import SilentWatcher
from sandbox.engine.workspace import find
from sandbox.official.cli import Cli
from sandbox.official.runs import pack_arguments
from sandbox.official.stack import OfficialStack, attached

NOTHING: Final = f"urn:pulumi:-::-::{urns.STACK_TYPE}::-"  # placeholder for a message without a URN


@dataclass(frozen=True)
class Verdict:
    """The verdict of a policy pack on a resource."""

    pack: str
    rule: str
    mandatory: bool
    urn: str


@dataclass(frozen=True)
class Outcome:
    """The result of a run: whether it succeeded, the operations by URN, the messages, and the packs' verdicts."""

    ok: bool
    operations: dict[str, str]
    messages: list[str] = field(default_factory=list[str])
    verdicts: frozenset[Verdict] = frozenset()
    rejected: frozenset[str] = frozenset()  # the URNs in error messages


class Ours:
    """The sandbox's engine."""

    name: str = "ours"

    def __init__(self, folder: Path, stack: str, opener: OpenClouds) -> None:
        self.folder: Path = folder
        self.calls: Calls = Calls()
        self._stack: str = stack
        self._clouds: Any = recorded(opener, self.calls)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def preview(self, *, policies: bool = False) -> Outcome:
        """Plan."""
        return _outcome(operations.preview(self.folder, self._stack, self._clouds, SilentWatcher(), policies=policies))

    def up(self, *, policies: bool = False) -> Outcome:
        """Update without a preview; with policies, preview first, so that packs can stop the update."""
        planned = _ignore_plan if policies else None
        return _outcome(
            operations.up(self.folder, self._stack, self._clouds, SilentWatcher(), planned=planned, policies=policies)
        )

    def refresh(self) -> Outcome:
        """Read every object."""
        return _outcome(operations.refresh(self.folder, self._stack, self._clouds, SilentWatcher()))

    def destroy(self) -> Outcome:
        """Delete everything."""
        return _outcome(operations.destroy(self.folder, self._stack, self._clouds, SilentWatcher()))

    def export(self) -> Document:
        """Return the state with secrets in plain text."""
        return export_state(self.folder, self._stack, show_secrets=True)

    def load(self, document: Document) -> None:
        """Replace the state."""
        workspace = find(self.folder, self._stack)
        with workspace.locked("import"):
            replace_state(project.load(self.folder, self._stack), workspace, document)


def _ignore_plan(plan: Plan) -> None:
    """Ignore the plan. Passing this to `up` enables the preview, where a mandatory rule stops the update."""


def _outcome(result: Result) -> Outcome:
    plan = result.plan
    verdicts = {Verdict(one.pack, one.rule, one.mandatory, one.urn) for one in plan.violations}
    return Outcome(
        ok=result.code == 0,
        operations=shown((step.urn, step.op) for step in plan.steps.values()),
        messages=[f"{urn}: {message}" for urn, message in plan.errors],
        verdicts=frozenset(verdicts),
        rejected=frozenset(urn for urn, _ in plan.errors if urn),
    )


class Official:
    """Pulumi's engine. A context manager that serves the clouds during the block."""

    name: str = "Pulumi"

    def __init__(self, cli: Cli, folder: Path, stack: str, opener: OpenClouds) -> None:
        self.folder: Path = folder
        self.calls: Calls = Calls()
        self._cli: Cli = cli
        self._stack: str = stack
        self._clouds: OpenClouds = recorded(opener, self.calls)
        self._open: ExitStack = ExitStack()

    def __enter__(self) -> Self:
        workspace = find(self.folder, self._stack)
        workspace.folder.mkdir(parents=True, exist_ok=True)
        project_folder = self.folder / "pulumi"
        shutil.rmtree(project_folder, ignore_errors=True)
        ports = self._open.enter_context(serve(self._open.enter_context(self._clouds(workspace.store))))
        environment = self._open.enter_context(attached(secrets.passphrase(workspace.home, create=True), ports))
        settings = project.load(self.folder, self._stack)
        # `--event-log` is a debugging option, which the CLI accepts only with this variable.
        environment = {**environment, "PULUMI_DEBUG_COMMANDS": "true"}
        self._official: OfficialStack = OfficialStack.create(self._cli, project_folder, settings, environment)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @contextmanager
    def closed(self) -> Generator[None]:
        """Close the clouds during the block, so that their store can be edited. The CLI's state is kept."""
        document = self.export()
        self._open.close()
        yield
        self.__enter__()
        self.load(document)

    def preview(self, *, policies: bool = False) -> Outcome:
        """Plan."""
        return self._run("preview", policies=policies)

    def up(self, *, policies: bool = False) -> Outcome:
        """Update without a preview; with policies, preview first, so that packs can stop the update."""
        return self._run("up", "--yes", *([] if policies else ["--skip-preview"]), policies=policies)

    def refresh(self) -> Outcome:
        """Read every object."""
        return self._run("refresh", "--yes", "--skip-preview")

    def destroy(self) -> Outcome:
        """Delete everything."""
        return self._run("destroy", "--yes", "--skip-preview")

    def start_up(self) -> subprocess.Popen[str]:
        """Start an update, to be killed later."""
        self._official.configure(project.load(self.folder, self._stack))
        return self._official.start(
            "up", "--yes", "--skip-preview", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def clear_pending(self) -> None:
        """Clean up after a kill, as the CLI requires: cancel its lock, and clear the pending creations."""
        self._official.run("cancel", self._stack, "--yes")
        self._run("refresh", "--yes", "--skip-preview", "--clear-pending-creates")

    def export(self) -> Document:
        """Return the state with secrets in plain text."""
        return self._official.state(show_secrets=True)

    def load(self, document: Document) -> None:
        """Replace the state."""
        self._official.load(document)

    def _run(self, *words: str, policies: bool = False) -> Outcome:
        settings = project.load(self.folder, self._stack)
        self._official.configure(settings)
        log = self._official.folder / "events.json"
        log.unlink(missing_ok=True)
        process = self._official.start(
            *words, *pack_arguments(settings, policies=policies), "--event-log", str(log),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        printed, _ = process.communicate()
        events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return Outcome(
            ok=process.returncode == 0,
            operations=shown(_operations(events)),
            messages=[] if process.returncode == 0 else list(_errors(events)) or [printed.strip()[-1000:]],
            verdicts=frozenset(_verdicts(events)),
            rejected=frozenset(_rejected(events)),
        )


def _operations(events: list[Document]) -> Iterator[tuple[str, str]]:
    for event in events:
        begun: Document = event.get("resourcePreEvent") or {}
        if "metadata" in begun:
            yield begun["metadata"]["urn"], begun["metadata"]["op"]
        # A refresh knows its operation only after it has read the object.
        done: Document = event.get("resOutputsEvent") or {}
        if "metadata" in done and done["metadata"]["op"] in {"update", "delete"}:
            yield done["metadata"]["urn"], done["metadata"]["op"]


def _rejected(events: list[Document]) -> Iterator[str]:
    for event in events:
        said: Document = event.get("diagnosticEvent") or {}
        if said.get("severity") == "error" and urns.parse(said.get("urn") or NOTHING).types != urns.STACK_TYPE:
            yield said["urn"]


def _errors(events: list[Document]) -> Iterator[str]:
    for event in events:
        if (said := event.get("diagnosticEvent")) is not None and said.get("severity") == "error":
            yield f"{said.get('urn', '')}: {said['message'].strip()}"


def _verdicts(events: list[Document]) -> Iterator[Verdict]:
    for event in events:
        if (found := event.get("policyEvent")) is not None:
            mandatory = found["enforcementLevel"] == "mandatory"
            yield Verdict(found["policyPackName"], found["policyName"], mandatory, found.get("resourceUrn", ""))
