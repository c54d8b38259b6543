"""The primary bucket loses its objects: the backup Workers bring them back from the other copies."""

from drills.running.copies import LISTING_PAUSE
from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage


def lose_bucket(stage: Stage) -> None:
    for copy in ("replica", "offsite"):
        stage.copies.await_backups(copy)
    stage.memory["keys"] = {key for key in stage.copies.bucket("replica").objects() if key.startswith("manifests/")}
    stage.copies.lose("primary")


def wait_for_workers(stage: Stage) -> None:
    kept: set[str] = stage.memory["keys"]

    def complete() -> bool:
        copies = stage.copies
        return kept <= set(copies.bucket("primary").objects("manifests/")) and copies.is_restorable("primary")

    stage.until("the primary has every manifest and every listed object again", complete, 900, LISTING_PAUSE)
    stage.served_again("the backup Workers have brought every listed object back into the primary")


def back_up(stage: Stage) -> None:
    stage.full_backup()


def restore_from_it(stage: Stage) -> None:
    result = stage.restore("primary", stage.now(), into="drill")
    stage.check("the primary alone can be restored again", True, f"to {result['point']}")
    stage.remove_restore("drill")


SCENARIO = Scenario(
    name="primary-bucket-lost",
    title="Primary bucket lost",
    situation="Every object of the primary bucket is gone. The database serves on. The backup Workers send alarms.",
    promises=("BAK-2", "BAK-3", "BAK-5"),
    recovery_seconds=900,
    runbook="restore.md",
    not_at_aws="R2's lock rules refuse to delete the objects",
    steps=(
        Step("Lose every object of the primary bucket, also those that lock rules keep.", lose_bucket, operator=False),
        Step("Do nothing: `verify` brings listed objects back from a good copy.", wait_for_workers),
        # WAL that no manifest lists yet is in the other copies only, so the primary's history would have a gap.
        Step("Make a full backup of each group: `backbuild-backup full` on its leader.", back_up),
        Step("Restore beside, from the primary alone, to show that it can be restored again.", restore_from_it),
    ),
)
