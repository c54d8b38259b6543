"""Disruptive maintenance as promised: announced ahead, begun and ended on the page, and excused in the statement."""

from drills.running.maintenance import Accounted
from drills.running.rolling import other_project
from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage

SAMPLES_SECONDS = 150  # the status page asks every minute: two samples at least


def announce(stage: Stage) -> None:
    work = stage.maintenance
    work.begin_listening()
    work.announce("The database gets other machines")
    told = work.notified("maintenance.scheduled")
    stage.check("customers are notified when it is announced", not told["emergency"], f"starts {told['startsAt']}")


def wait_for_start(stage: Stage) -> None:
    stage.maintenance.let_notice_pass()
    stage.edge.probe()
    stage.memory["before"] = stage.maintenance.account()
    stage.memory["incidents"] = stage.maintenance.incidents()
    stage.maintenance.until_begun()
    stage.maintenance.notified("maintenance.started")


def stop_database(stage: Stage) -> None:
    members = stage.members("coordinator")
    stage.lose_power(*members)
    stage.edge.failed()
    stage.pass_time(SAMPLES_SECONDS)
    stage.give_power(*members)
    stage.edge.served()


def change(stage: Stage) -> None:
    before = set(stage.site().inventory.instances)
    stage.roll(other_project(stage.root, stage.topology.stack, stage.folder / "changed"))
    kept = before & set(stage.site().inventory.instances)
    stage.check("every machine is replaced", not kept, f"{len(kept)} of {len(before)} kept")
    stage.roll(stage.root)
    stage.healthy()


def complete(stage: Stage) -> None:
    found = account_for(stage)
    is_excused = found.failed >= 1 and found.failed + found.unknown == found.excused and found.down == 0
    stage.check("the statement excuses the failed minutes", is_excused, found.text)


def account_for(stage: Stage) -> Accounted:
    """Complete the maintenance; return what the account says of it, with the minutes since its beginning alone."""
    work, before = stage.maintenance, stage.memory["before"]
    work.complete("The database serves again.")
    work.notified("maintenance.completed")
    opened = work.incidents() - stage.memory["incidents"]
    stage.check("no incident was opened", not opened, ", ".join(sorted(opened)) or "none")
    after = work.account()
    stage.check("the statement can be counted again", not after.unexplained, "; ".join(after.unexplained) or "equal")
    return after.since(before)


SCENARIO = Scenario(
    name="maintenance-announced",
    title="Announced disruptive maintenance",
    situation="The database must stop for some minutes, for a change of its machines. Customers are told days ahead.",
    promises=("MNT-2", "SLA-2"),
    recovery_seconds=300,
    steps=(
        Step(
            "Announce it: `python -m status maintenance plan --component database --component replication …`.", announce
        ),
        Step(
            "Wait for its start: it begins by itself, and customers are notified. The drill moves the plan instead of "
            "waiting for days.",
            wait_for_start,
        ),
        Step("Stop every machine of the coordinator group, and start them after some minutes.", stop_database),
        Step("Change `database.image` and run `pulumi up`; change it back and run it again.", change),
        Step(
            "Complete it: `python -m status maintenance complete ID --body …`, and read the month's account.", complete
        ),
    ),
)
