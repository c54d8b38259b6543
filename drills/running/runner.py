"""Run one scenario on a stack, measure, and undo the faults that are left."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from console.errors import CommandError
from drills.failover.checks import Commit
from drills.guard import only_drill
from drills.running.report import Check, Report, Verdict
from drills.running.scenario import Scenario
from drills.running.stage import Stage
from drills.sites.live import LiveSite
from model.topology import Topology
from sandbox.engine.errors import EngineError

Show = Callable[[str], None]
FAILURES = (CommandError, EngineError, OSError, psycopg.Error, subprocess.SubprocessError)


def run(topology: Topology, root: Path, scenario: Scenario, show: Show) -> Report:
    """Run a scenario on the live sandbox and return its report.

    Raises `InputError` if the stack allows no drills, or one is running, and `SiteError` without live machines.
    """
    with only_drill(topology, root, f"drills run {scenario.name}"):
        LiveSite(root, topology.stack)  # raises if there are no machines to break
        return run_on(Stage, topology, root, scenario, show)


def run_on(kind: type[Stage], topology: Topology, root: Path, scenario: Scenario, show: Show) -> Report:
    """Run a scenario on a stage of this kind, and return its report. The caller holds the stack."""
    begun, commit = datetime.now(UTC), _commit(root)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as ending:
        stage = kind(topology, root, Path(folder), f"{scenario.name} {begun:%Y-%m-%dT%H:%M:%SZ}")
        stage.timeline.add("begin", f"clients begin to write to {', '.join(stage.groups)}")
        ending.callback(_mend, stage, show)
        ending.callback(stage.end_traffic)  # the last callback runs first, and the other one in any case
        stage.traffic.begin()
        stage.steady()
        stopped = _steps(stage, scenario, show)
        stopped, measured, checks = _judge(stage, scenario, stopped)
    stage.timeline.add("end", "the clients have stopped")
    if stage.left:
        stopped = "; ".join(filter(None, [stopped, *(f"not undone: {one}" for one in stage.left)]))
    return Report(
        scenario=scenario.name,
        title=scenario.title,
        stack=topology.stack,
        on=stage.on,
        begun=begun.isoformat(timespec="seconds"),
        ended=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit,
        topology=topology_hash(topology),
        promises=scenario.promises,
        limits={"recovery": scenario.recovery_seconds, "loss": scenario.loss_seconds},
        measured=measured,
        checks=checks,
        events=stage.timeline.events,
        verdict=_verdict(checks, stopped),
        stopped=stopped,
        restored=stage.restored,
        limitations=stage.limitations,
    )


def _steps(stage: Stage, scenario: Scenario, show: Show) -> str | None:
    """Carry the steps out; return why the drill stopped, if it did."""
    for number, step in enumerate(scenario.steps, 1):
        try:
            show(f"{number}. {step.text}")
            step.do(stage)
        except (Exception, KeyboardInterrupt) as error:
            # Any exception: a drill that stopped needs a report too, else the previous report stays the newest.
            stage.timeline.add("stopped", f"step {number}, {step.text}: {_reason(error)}")
            return f"step {number}, “{step.text}”: {_reason(error)}"
    return None


def _reason(error: BaseException) -> str:
    """Return why a drill stopped: an expected error says it, another one is named with its type."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted by the operator"
    return str(error) if isinstance(error, FAILURES) else f"{type(error).__name__}: {error}"


def _mend(stage: Stage, show: Show) -> None:
    stage.mend()
    with suppress(OSError):  # the terminal is gone; the report has it
        for one in stage.left:
            show(f"not undone: {one}")


def _judge(
    stage: Stage, scenario: Scenario, stopped: str | None
) -> tuple[str | None, Mapping[str, float | None], list[Check]]:
    """Return why the drill stopped, if it did, what was measured, and what holds."""
    try:
        return stopped, *_measure(stage, scenario, stopped)
    except (Exception, KeyboardInterrupt) as error:
        return f"the measurement: {_reason(error)}", {}, []


def _measure(stage: Stage, scenario: Scenario, stopped: str | None) -> tuple[Mapping[str, float | None], list[Check]]:
    """Return what was measured, and what holds. Nothing is measured after a drill that stopped."""
    commits = float(len(stage.traffic.commits()))
    if stopped is not None or stage.fault_at is None:
        return {"commits": commits}, []
    recovery = None if stage.served_at is None else round(stage.served_at - stage.fault_at, 1)
    stall = max(stage.edge.outage(), *(stage.outage(group) for group in stage.groups if group not in stage.excepted))
    lost = stage.traffic.lost()
    loss, late = loss_of(lost, stage.last_fault_at or stage.fault_at, stage.served_at)
    deposed = len(stage.traffic.deposed())
    checks = [
        Check(
            f"clients are served again within {scenario.recovery_seconds:g} s",
            recovery is not None and recovery <= scenario.recovery_seconds,
            "never" if recovery is None else f"{recovery} s",
        ),
        Check(
            f"until the end, no group and no API is unavailable for longer than {scenario.recovery_seconds:g} s"
            f"{''.join(f', but for {one}' for one in sorted(stage.excepted))}",
            stall <= scenario.recovery_seconds,
            f"longest time {stall:.1f} s",
        ),
        Check(
            f"no commit is lost that was acknowledged over {scenario.loss_seconds:g} s before the loss of the data, or "
            "after the recovery"
            if scenario.loss_seconds
            else "no acknowledged commit is lost",
            loss <= scenario.loss_seconds and not late and (scenario.loss_seconds > 0 or not lost),
            f"{len(lost)} of {commits:.0f} lost, the oldest {loss} s before, {late} after the recovery"
            if lost
            else f"0 of {commits:.0f} lost",
        ),
        Check("no leader acknowledged a commit after its successor", deposed == 0, f"{deposed} commits"),
        *stage.checks,
    ]
    measured = {
        "fault": stage.timeline.seconds(stage.fault_at),
        "recovery": recovery,
        "stall": round(stall, 1),
        "loss": loss,
        "commits": commits,
        "lost": float(len(lost)),
    }
    return measured, checks


def loss_of(lost: Sequence[Commit], fault_at: float, served_at: float | None) -> tuple[float, int]:
    """Return the seconds of data that were lost, and how many lost commits were acknowledged after the recovery.

    The data were lost at `fault_at`, the last fault, or at the last commit before the recovery that was acknowledged
    after that fault and is lost: a machine acknowledges commits until it has no power.
    """
    late = [one for one in lost if served_at is not None and one.acknowledged >= served_at]
    moments = [one.acknowledged for one in lost if one not in late]
    return (round(max(fault_at, *moments) - min(moments), 1) if moments else 0.0), len(late)


def _verdict(checks: list[Check], stopped: str | None) -> Verdict:
    if stopped is not None or not checks:
        return "stopped"
    return "kept" if all(check.holds for check in checks) else "missed"


def topology_hash(topology: Topology) -> str:
    """Return the SHA-256 of a stack's members, copies and rotation: a report is about exactly this shape."""
    shape = [
        *(repr(group) for group in topology.groups),
        *(f"{copy.name} {copy.bucket}" for copy in topology.copies),
        repr(topology.rotation),
    ]
    return hashlib.sha256("\n".join(shape).encode()).hexdigest()


def _commit(root: Path) -> str:
    """Return the commit of the project; with `+` if there are changes that are not committed."""
    with suppress(OSError, subprocess.CalledProcessError):
        git = ["git", "-C", str(root)]
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        aside = ["--", ".", ":!docs/drills", ":!docs/drills.md"]  # the reports that were filed before this one
        status = [*git, "status", "--porcelain", *aside]
        changed = subprocess.run(status, capture_output=True, text=True, check=True).stdout
        return head + ("+" if changed.strip() else "")
    return "unknown"
