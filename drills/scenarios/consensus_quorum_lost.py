"""etcd loses its quorum: Patroni's failsafe mode keeps the leaders, so writes go on."""

from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage

HELD_SECONDS = 60


def lose_quorum(stage: Stage) -> None:
    stage.memory["lost"] = stage.members("consensus")[:2]
    stage.lose_power(*stage.memory["lost"])


def watch_writes(stage: Stage) -> None:
    assert stage.fault_at is not None
    stage.pass_time(HELD_SECONDS)
    stage.check_writes_go_on(f"writes go on for {HELD_SECONDS} s without etcd's quorum")
    stage.served(*stage.groups)


def bring_back(stage: Stage) -> None:
    stage.give_power(*stage.memory["lost"])
    stage.healthy()


SCENARIO = Scenario(
    name="consensus-quorum-lost",
    title="etcd's quorum lost",
    situation="Two of three etcd members lose power. No leader can be elected until one of them is back.",
    promises=("REC-2", "RED-3"),
    recovery_seconds=90,
    runbook="coordinator-failover.md",
    not_at_aws=None,
    steps=(
        Step("End two of the three etcd members at once.", lose_quorum, operator=False),
        Step("Watch the clients for a minute: leaders keep their role, because all members answer them.", watch_writes),
        Step("Start the etcd members again, and wait until all machines are healthy.", bring_back),
    ),
)
