"""What a drill measures: the outage that clients had, from its first fault, also if it comes after they were served."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, cast

import pytest

from drills.failover.checks import Commit
from drills.running import runner
from drills.running.report import Report
from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage
from drills.running.traffic import Clients
from tests.drills.restore.fakes import TOPOLOGY

ROOT = Path(__file__).parents[3]
LIMIT = 30


class Recorded(Clients):
    """Clients whose commits are at these moments after the fault, in every group."""

    def __init__(self, *seconds: float) -> None:
        self.seconds = seconds
        self.base = time.monotonic() - 1000

    @property
    def groups(self) -> Collection[str]:
        return [group.name for group in TOPOLOGY.database_groups]

    def begin(self) -> None: ...

    def end(self) -> None: ...

    def recorded(self) -> list[Commit]:
        moments = [self.base + one for one in self.seconds]
        return [
            Commit(group, "w", number, moment - 0.01, moment, "s", 1)
            for group in self.groups
            for number, moment in enumerate(moments)
        ]

    def known_until(self, group: str) -> float:  # noqa: ARG002
        return self.base + self.seconds[-1]

    def present(self, group: str) -> Collection[tuple[str, int]]:  # noqa: ARG002
        return [("w", number) for number in range(len(self.seconds))]


def drilled(*seconds: float, wait: Callable[[Stage], None] = lambda stage: stage.served("coordinator")) -> Report:
    """Drill with a fault at 0 and commits at these seconds."""

    class RecordedStage(Stage):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.traffic = Recorded(*seconds)

        def steady(self) -> None: ...

        def mend(self) -> None: ...

    def fail(stage: Stage) -> None:
        stage.fault("it is broken")
        stage.fault_at = cast(Recorded, stage.traffic).base

    steps = [Step("Break it.", fail, operator=False), Step("Wait.", wait)]
    scenario = Scenario("one", "One", "It fails.", ("REC-1",), steps, LIMIT)
    return runner.run_on(RecordedStage, TOPOLOGY, ROOT, scenario, lambda _text: None)


def every(period: float, *spans: tuple[float, float]) -> list[float]:
    """Return moments with a period within spans."""
    return [begin + number * period for begin, end in spans for number in range(int((end - begin) / period) + 1)]


def test_an_outage_ends_with_the_first_commit_after_it():
    report = drilled(*every(0.25, (-5, 0.5), (22.5, 60)))
    assert report.measured["recovery"] == 22.5
    assert report.measured["stall"] == 22.0
    assert report.verdict == "kept"


def test_without_an_outage_the_fault_is_recovered_from_at_once():
    report = drilled(*every(0.25, (-5, 40), (40.75, 60)))
    assert report.measured["recovery"] == 0.2
    assert report.measured["stall"] == 0.8


def test_an_outage_after_clients_were_served_is_judged_too():
    stage_commits = every(0.25, (-5, 0), (2.5, 12), (312, 330))

    def wait(stage: Stage) -> None:
        traffic = cast(Recorded, stage.traffic)
        whole, traffic.seconds = traffic.seconds, tuple(one for one in traffic.seconds if one < 13)
        stage.served("coordinator")
        traffic.seconds = whole  # the later outage comes while the rest is brought back

    report = drilled(*stage_commits, wait=wait)
    assert report.measured["recovery"] == 2.5
    assert report.verdict == "missed"
    (wrong,) = [check for check in report.checks if not check.holds]
    assert wrong.text == "clients never wait longer than 30 s, also while the rest comes back"
    assert wrong.found == "longest wait 300.0 s"


def test_the_outage_is_measured_from_the_first_of_several_faults():
    stage = Stage(TOPOLOGY, ROOT, ROOT, "run")
    stage.fault("the bucket is lost")
    first = stage.fault_at
    stage.fault("the machines are lost")
    assert stage.fault_at == first
    assert [event.kind for event in stage.timeline.events] == ["fault", "fault"]


@pytest.mark.parametrize("served", [(), ("coordinator",)])
def test_groups_that_the_scenario_does_not_wait_for_are_not_judged_by_its_limit(served: tuple[str, ...]):
    def wait(stage: Stage) -> None:
        if served:
            stage.served(*served)
        else:
            stage.served_again("it is back")

    class Halved(Recorded):
        def recorded(self) -> list[Commit]:
            return [one for one in super().recorded() if one.group == "coordinator" or one.acknowledged < self.base]

    commits = every(0.25, (-5, 60))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.drills.running.test_measured.Recorded", Halved)
        report = drilled(*commits, wait=wait)
    stalled = [check for check in report.checks if check.text.startswith("clients never wait")]
    assert [check.holds for check in stalled] == [bool(served)]
