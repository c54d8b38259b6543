"""The coordinator's leader is lost: a standby takes over by itself."""

from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage


def lose_leader(stage: Stage) -> None:
    stage.memory["leader"] = stage.leader("coordinator")
    stage.lose_power(stage.memory["leader"])
    stage.detected("coordinator")


def wait_for_standby(stage: Stage) -> None:
    stage.served("coordinator")


def bring_back(stage: Stage) -> None:
    stage.give_power(stage.memory["leader"])
    stage.healthy()


SCENARIO = Scenario(
    name="coordinator-leader-lost",
    title="Coordinator's leader lost",
    situation="The machine that leads the coordinator group loses power. The API answers 503 until a standby leads.",
    promises=("REC-2", "RED-3"),
    recovery_seconds=30,
    runbook="coordinator-failover.md",
    not_at_aws=None,
    steps=(
        Step("End the machine of the coordinator's leader at once.", lose_leader, operator=False),
        Step("Do nothing: a standby is promoted when the leader's lease has expired.", wait_for_standby),
        Step("Start the lost machine again, and wait until it follows.", bring_back),
    ),
)
