"""A database machine's keys delete backups: lock rules refuse some, other copies lose none, and `verify` repairs."""

from drills.running.copies import LISTING_PAUSE
from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage
from model.topology import POSTGRES_MAJOR


def delete_backups(stage: Stage) -> None:
    for copy in ("replica", "offsite"):
        stage.copies.await_backups(copy)
    copies = {copy: stage.copies.bucket(copy).objects() for copy in ("replica", "offsite")}
    keys = stage.copies.bucket("primary").objects()
    stage.fault(f"the machines' keys delete all {len(keys)} objects of the primary")
    deleted = stage.copies.delete_as_machine("coordinator")
    stage.check("the keys can delete objects", bool(deleted), f"{len(deleted)} of {len(keys)} deleted")
    wal = f"/{POSTGRES_MAJOR}-"
    locked = {key for key in keys if key.startswith("manifests/") or ("/archive/" in key and wal in key)}
    stage.check(
        "locks refuse the deletion of WAL and manifests",
        bool(locked) and not locked & deleted,
        f"{len(locked & deleted)} of {len(locked)} deleted",
    )
    for copy, before in copies.items():
        missing = set(before) - set(stage.copies.bucket(copy).objects())
        stage.check(f"{copy} loses nothing", not missing, f"{len(missing)} of {len(before)} missing")


def wait_for_workers(stage: Stage) -> None:
    stage.until("the primary can be restored again", lambda: stage.copies.is_restorable("primary"), 900, LISTING_PAUSE)
    stage.served_again("the backup Workers have brought back what was deleted")


SCENARIO = Scenario(
    name="credentials-stolen",
    title="Deletion of backups with stolen machine keys",
    situation="An intruder has root on a database machine, and deletes the backups with its keys.",
    promises=("BAK-2", "BAK-5"),
    recovery_seconds=900,
    not_at_aws="the machines' keys would delete real backups, and only locks and other copies would bring them back",
    steps=(
        Step("Delete every object that the machine's keys can delete.", delete_backups, operator=False),
        Step(
            "Do nothing: `verify` repairs the primary from a good copy. In an incident, revoke the stolen keys first.",
            wait_for_workers,
        ),
    ),
)
