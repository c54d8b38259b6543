"""An availability zone is lost, with every machine in it."""

from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage


def lose_zone(stage: Stage) -> None:
    stage.memory["zone"] = stage.in_zone_of(stage.leader("coordinator"))
    stage.lose_power(*stage.memory["zone"])
    stage.detected("coordinator")


def wait_for_other_zones(stage: Stage) -> None:
    stage.served(*stage.groups)


def bring_back(stage: Stage) -> None:
    stage.give_power(*stage.memory["zone"])
    stage.healthy()


SCENARIO = Scenario(
    name="zone-lost",
    title="Availability zone lost",
    situation="Every machine in the zone of the coordinator's leader loses power: members of several groups at once.",
    promises=("REC-2", "RED-1", "RED-2"),
    recovery_seconds=60,
    runbook="coordinator-failover.md",
    not_at_aws=None,
    steps=(
        Step("End all machines in the zone of the coordinator's leader at once.", lose_zone, operator=False),
        Step("Do nothing: the other zones have a member of each group.", wait_for_other_zones),
        Step("Start the lost machines again, and wait until they follow.", bring_back),
    ),
)
