"""Emergency maintenance: without notice, marked as such on the page, and counted as downtime."""

from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage
from drills.scenarios.maintenance_announced import account_for, stop_database


def announce(stage: Stage) -> None:
    work = stage.maintenance
    work.begin_listening()
    stage.edge.probe()
    work.announce_emergency("The database stops for an urgent repair")
    stage.memory["before"] = work.account()
    stage.memory["incidents"] = work.incidents()
    work.until_begun()
    told = work.notified("maintenance.started")
    stage.check("customers are told that it is an emergency", told["emergency"], f"emergency {told['emergency']}")


def complete(stage: Stage) -> None:
    stage.healthy()
    found = account_for(stage)
    is_counted = found.failed == found.down >= 1 and found.excused == 0
    stage.check("the statement counts the failed minutes", is_counted, found.text)


SCENARIO = Scenario(
    name="maintenance-emergency",
    title="Emergency maintenance",
    situation="The database must stop at once, for instance to patch a vulnerability.",
    promises=("MNT-3", "SLA-2"),
    recovery_seconds=300,
    steps=(
        Step("Announce it: `python -m status maintenance plan --emergency …`. It begins at once.", announce),
        Step("Stop every machine of the coordinator group, and start them after some minutes.", stop_database),
        Step(
            "When all machines are healthy, complete it: `python -m status maintenance complete ID --body …`. Read the "
            "month's account.",
            complete,
        ),
    ),
)
