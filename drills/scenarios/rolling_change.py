"""A routine change replaces every machine, one after the other, while clients write."""

from drills.running.rolling import other_project
from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage

LONGEST_SECONDS = 30


def announce(stage: Stage) -> None:
    stage.edge.probe()
    stage.memory["before"] = set(stage.site().inventory.instances)
    stage.fault("routine maintenance begins: every machine gets another image")


def change(stage: Stage) -> None:
    stage.roll(other_project(stage.root, stage.topology.stack, stage.folder / "changed"))
    kept = stage.memory["before"] & set(stage.site().inventory.instances)
    stage.check("every machine is replaced", not kept, f"{len(kept)} of {len(stage.memory['before'])} kept")


def change_back(stage: Stage) -> None:
    stage.roll(stage.root)
    stage.healthy()
    stage.served_again("every machine was replaced twice, and is healthy")


def measure(stage: Stage) -> None:
    for group in stage.groups:
        longest = stage.outage(group)
        stage.check(f"clients of {group} write on", longest <= LONGEST_SECONDS, f"longest stall {longest:.1f} s")
    longest = stage.edge.outage()
    stage.check("clients of the API are served", longest <= LONGEST_SECONDS, f"longest time without {longest:.1f} s")


SCENARIO = Scenario(
    name="rolling-change",
    title="Rolling change of all machines",
    situation="Routine maintenance: a new image replaces all machines, one after the other. Nothing is broken.",
    promises=("MNT-1",),
    recovery_seconds=1800,
    runbook="roll-members.md",
    not_at_aws="it needs a second image of the machines; drill it with the next real change of `database.image`",
    steps=(
        Step("Record which machines there are.", announce, operator=False),
        Step("Change `database.image` and run `pulumi up`.", change),
        Step("Change it back and run `pulumi up` again.", change_back),
        Step("Read what the clients have noticed.", measure, operator=False),
    ),
)
