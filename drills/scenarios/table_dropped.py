"""A table is dropped by mistake: copy it back from a cluster that is restored beside, to the moment before."""

from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage
from model.topology import Port

TABLE = "drill_orders"
ROWS = 50_000
# Asked over the network: a cluster beside answers on its own port, and archives nothing.
IDENTITY = "SELECT current_setting('port') || ' ' || current_setting('archive_mode')"
EXPECTED = f"{Port.RESTORED.number} off"
COUNT = f"SELECT count(*) || ' ' || coalesce(sum(amount), 0) FROM {TABLE}"


def drop(stage: Stage) -> None:
    stage.copies.await_backups("primary")
    stage.sql("coordinator", f"DROP TABLE IF EXISTS {TABLE}")
    stage.sql(
        "coordinator",
        f"CREATE TABLE {TABLE} AS SELECT number, number * 7 AS amount FROM generate_series(1, {ROWS}) number",
    )
    stage.memory["before"] = stage.sql("coordinator", COUNT)
    stage.next_point()
    stage.fault(f"DROP TABLE {TABLE}")
    stage.sql("coordinator", f"DROP TABLE {TABLE}")


def restore_beside(stage: Stage) -> None:
    check = f"SELECT count(*) = {ROWS} FROM {TABLE}"
    restored = stage.restore("primary", stage.fault_time(), into="drill", invariants=[check])
    stage.check_point(restored["point"])
    stage.memory["beside"] = restored["beside"]
    coordinator, *others = stage.memory["beside"]
    found = {other: stage.sql_between_beside(coordinator, other, IDENTITY) for other in others}
    answers = ", ".join(f"{member} answers {answer!r}" for member, answer in found.items())
    stage.check("the clusters beside reach each other", found == dict.fromkeys(others, EXPECTED), answers)


def copy_back(stage: Stage) -> None:
    (member, place) = next(iter(stage.memory["beside"].items()))
    stage.copy_table(member, place["socket"], place["port"], TABLE)
    stage.served_again(f"{TABLE} is back")
    found = stage.sql("coordinator", COUNT)
    stage.check("the table has the rows from before", found == stage.memory["before"], found)


def clean_up(stage: Stage) -> None:
    stage.sql("coordinator", f"DROP TABLE {TABLE}")
    stage.remove_restore("drill")


SCENARIO = Scenario(
    name="table-dropped",
    title="Dropped table brought back",
    situation="A table was dropped by mistake. The other tables are still written, so do not restore in place.",
    promises=("BAK-4", "REC-4"),
    recovery_seconds=300,
    runbook="restore.md",
    not_at_aws=None,
    steps=(
        Step("Make a table, wait for a restore point, and drop the table.", drop, operator=False),
        Step(
            "Restore beside, to the moment before: `drills restore --from primary --to TIME --into NAME`.",
            restore_beside,
        ),
        Step("Copy the table back with `pg_dump`.", copy_back),
        Step("Remove the cluster beside: `drills restore --remove NAME`.", clean_up),
    ),
)
