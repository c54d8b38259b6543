"""What a drill measures: the outage that clients had, from its first fault, also if it comes after they were served."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drills.failover.checks import Commit
from drills.running import runner
from drills.running.report import Report
from drills.running.runner import loss_of
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


def drilled(
    *seconds: float,
    wait: Callable[[Stage], None] = lambda stage: stage.served("coordinator"),
    loss_seconds: float = 0,
) -> Report:
    """Drill with a fault at 0 and commits at these seconds."""

    class RecordedStage(Stage):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.traffic = Recorded(*seconds)

        def steady(self) -> None: ...

        def mend(self) -> None: ...

    def fail(stage: Stage) -> None:
        stage.fault("it is broken")
        stage.fault_at = stage.last_fault_at = cast(Recorded, stage.traffic).base

    steps = [Step("Break it.", fail, operator=False), Step("Wait.", wait)]
    scenario = Scenario("one", "One", "It fails.", ("REC-1",), steps, LIMIT, loss_seconds=loss_seconds)
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
    assert wrong.text == "until the end, no group and no API is unavailable for longer than 30 s"
    assert wrong.found == "longest time 300.0 s"


def test_the_outage_is_measured_from_the_first_of_several_faults():
    stage = Stage(TOPOLOGY, ROOT, ROOT, "run")
    stage.fault("the bucket is lost")
    first = stage.fault_at
    stage.fault("the machines are lost")
    assert stage.fault_at == first
    assert [event.kind for event in stage.timeline.events] == ["fault", "fault"]


class Halved(Recorded):
    """Clients of the coordinator alone are served after the fault."""

    def recorded(self) -> list[Commit]:
        return [one for one in super().recorded() if one.group == "coordinator" or one.acknowledged < self.base]


@pytest.mark.parametrize("excepted", [False, True])
def test_every_group_is_judged_unless_the_scenario_excepts_it(monkeypatch: pytest.MonkeyPatch, excepted: bool):
    def wait(stage: Stage) -> None:
        if excepted:
            stage.excepted = frozenset(["worker-1"])
        stage.served("coordinator")

    monkeypatch.setattr("tests.drills.running.test_measured.Recorded", Halved)
    report = drilled(*every(0.25, (-5, 60)), wait=wait)
    (judged,) = [check for check in report.checks if check.text.startswith("until the end")]
    assert judged.holds is excepted
    assert judged.text.endswith("longer than 30 s, but for worker-1" if excepted else "longer than 30 s")


def test_an_api_that_fails_again_is_judged_until_the_end():
    def wait(stage: Stage) -> None:
        stage.edge = cast(Any, SimpleNamespace(outage=lambda: 398.0))
        stage.served("coordinator")

    report = drilled(*every(0.25, (-5, 60)), wait=wait)
    assert (report.verdict, report.measured["stall"]) == ("missed", 398.0)


def commit(acknowledged: float) -> Commit:
    return Commit("coordinator", "w", int(acknowledged * 10), acknowledged - 0.01, acknowledged, "s", 1)


def test_lost_data_are_measured_to_the_last_commit_before_the_recovery():
    # The bucket was emptied at 0, the machines lost power at 20 and acknowledged commits until 22.
    lost = [commit(5), commit(19), commit(22)]
    assert loss_of(lost, 20, 180) == (17.0, 0)
    assert loss_of([commit(5), commit(19)], 20, 180) == (15.0, 0)
    assert loss_of([], 20, 180) == (0.0, 0)


def test_commits_that_are_lost_after_the_recovery_are_counted_apart():
    assert loss_of([commit(200), commit(300)], 20, 180) == (0.0, 2)
    assert loss_of([commit(200), commit(300)], 20, None) == (100.0, 0)


def test_a_drill_that_may_lose_data_may_not_lose_commits_after_the_recovery():
    class Forgetful(Recorded):
        def present(self, group: str) -> Collection[tuple[str, int]]:
            return list(super().present(group))[:-8]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.drills.running.test_measured.Recorded", Forgetful)
        report = drilled(*every(0.25, (-5, 0), (10, 60)), loss_seconds=60)
    (wrong,) = [check for check in report.checks if not check.holds]
    assert "after the recovery" in wrong.text
    assert report.measured["loss"] == 0
