"""The backup Workers' D1 database is deleted: `verify` reads the signed manifests again, and verifies every object."""

from drills.running.copies import LISTING_PAUSE
from drills.running.edge import Run
from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage


def verified(stage: Stage) -> set[Run]:
    return {run for run, whole in stage.edge.runs().items() if whole}


def delete_database(stage: Stage) -> None:
    stage.until("the report shows verified runs", lambda: bool(verified(stage)), 900, LISTING_PAUSE)
    stage.memory["runs"] = verified(stage)
    stage.memory["keys"] = {copy.name: set(stage.copies.bucket(copy.name).objects()) for copy in stage.topology.copies}
    stage.edge.lose_database("backups")
    moment = stage.until("the report is not available", lambda: not stage.edge.runs(), 60)
    stage.timeline.add("detection", "the report on backups is not available", moment)


def create_again(stage: Stage) -> None:
    stage.rebuild()
    known: set[Run] = stage.memory["runs"]
    stage.until("the report shows every run again, verified", lambda: known <= verified(stage), 900, LISTING_PAUSE)
    stage.served_again(f"the report shows all {len(known)} runs again, verified in every copy")


def compare(stage: Stage) -> None:
    for copy, before in stage.memory["keys"].items():
        missing = before - set(stage.copies.bucket(copy).objects())
        stage.check(f"no object of {copy} is deleted", not missing, f"{len(missing)} of {len(before)} missing")


SCENARIO = Scenario(
    name="backups-database-lost",
    title="Backup catalogue lost",
    situation="The D1 database of the backup Workers is gone: its catalogue, findings and audit log.",
    promises=("BAK-2",),
    recovery_seconds=900,
    not_at_aws="a deleted D1 database takes the findings and the audit log of real backups with it",
    steps=(
        Step("Delete the D1 database of the backup Workers.", delete_database, operator=False),
        Step("Run `pulumi refresh` and `pulumi up`; then `verify` reads every signed manifest again.", create_again),
        Step("Check that no copy has lost an object.", compare),
    ),
)
