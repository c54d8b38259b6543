"""All machines of the coordinator group lose power at once, and keep their volumes."""

from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage


def lose_group(stage: Stage) -> None:
    # The clients of the other groups run on the coordinator's machines.
    stage.excepted = frozenset(group for group in stage.groups if group != "coordinator")
    stage.lose_power(*stage.members("coordinator"))
    stage.detected("coordinator")


def start_again(stage: Stage) -> None:
    stage.give_power(*stage.members("coordinator"))
    stage.served("coordinator")
    stage.healthy()


SCENARIO = Scenario(
    name="coordinator-group-lost",
    title="Whole coordinator group lost",
    situation="Every machine of the coordinator group is down, and the volumes are intact. The API answers 503.",
    promises=("REC-2",),
    recovery_seconds=300,
    runbook="coordinator-failover.md",
    not_at_aws=None,
    steps=(
        Step("End all machines of the coordinator group at once.", lose_group, operator=False),
        Step("Start them again (`pulumi up --refresh` creates lost instances with their volumes).", start_again),
    ),
)
