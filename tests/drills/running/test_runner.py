"""A drill that stops for whatever reason is reported, and what it leaves broken is named."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from drills.running import runner
from drills.running.report import Report
from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage
from drills.sites.site import SiteError
from tests.drills.restore.fakes import TOPOLOGY

ROOT = Path(__file__).parents[3]


class QuietStage(Stage):
    """A stage without machines, whose clients commit nothing."""

    broken: str = ""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        clients = {"begin": lambda: None, "end": lambda: None, "commits": list, "lost": list, "deposed": list}
        self.traffic = cast(Any, SimpleNamespace(**clients))
        self.edge = cast(Any, SimpleNamespace(mend=self.mend_edge))
        self.mended: list[str] = []

    def mend_edge(self) -> None:
        self.mended.append("edge")

    def fleet(self) -> Any:
        if self.broken:
            raise OSError(self.broken)
        return SimpleNamespace(mend=lambda: None)

    def steady(self) -> None:
        """Wait for nothing."""


def drilled(kind: type[Stage], do: Any) -> Report:
    steps = [Step("Break it.", do, operator=False), Step("Go on.", lambda _stage: pytest.fail("it goes on"))]
    scenario = Scenario("one", "One", "It fails.", ("REC-1",), steps, 1)
    return runner.run_on(kind, TOPOLOGY, ROOT, scenario, lambda _text: None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError("group"), "KeyError: 'group'"),
        (httpx.ConnectError("refused"), "ConnectError: refused"),
        (KeyboardInterrupt(), "interrupted by the operator"),
        (OSError("no space"), "no space"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_whatever_ends_a_step_stops_the_drill_and_is_reported(error: BaseException, reason: str):
    def fail(stage: Stage) -> None:
        stage.fault("it is broken")
        raise error

    report = drilled(QuietStage, fail)
    assert report.verdict == "stopped"
    assert report.stopped == f"step 1, “Break it.”: {reason}"
    assert [event.kind for event in report.events] == ["begin", "fault", "stopped", "end"]


def test_what_the_sandbox_cannot_undo_is_named_and_the_rest_is_undone():
    class BrokenStage(QuietStage):
        broken = "the fleet is gone"

    stages: list[BrokenStage] = []
    report = drilled(BrokenStage, lambda stage: stages.append(stage) or 1 / 0)
    assert report.stopped is not None
    assert "ZeroDivisionError" in report.stopped
    assert "not undone: the machines and networks: the fleet is gone" in report.stopped
    assert stages[0].mended == ["edge"]


def test_a_restore_beside_that_a_stopped_drill_has_begun_is_removed():
    removed: list[str] = []

    class BesideStage(QuietStage):
        def machines(self) -> Any:
            raise SiteError("no machine answers")

        def remove_restore(self, name: str) -> None:
            removed.append(name)

    def fail(stage: Stage) -> None:
        stage.restore("replica", "latest", into="drill")

    assert drilled(BesideStage, fail).stopped
    assert removed == ["drill"]
    drilled(BesideStage, lambda _stage: 1 / 0)
    assert removed == ["drill"]
