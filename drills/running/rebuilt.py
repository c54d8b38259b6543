"""The whole database and the primary bucket are lost: rebuild from one other copy."""

from __future__ import annotations

from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage


def rebuilt_from(copy: str) -> Scenario:
    """Return the scenario that rebuilds the database from a copy alone."""

    def lose_everything(stage: Stage) -> None:
        stage.copies.await_backups(copy)
        stage.next_point()  # without a point in the newest backup's WAL, there is no moment to restore all groups to
        stage.copies.lose("primary")
        stage.lose_for_good(*stage.members(*stage.groups))
        stage.detected("coordinator")
        stage.traffic.end()

    def create_again(stage: Stage) -> None:
        stage.begin_rebuilding()
        stage.first_members_run()

    def restore(stage: Stage) -> None:
        stage.restore(copy, "latest")

    def open_again(stage: Stage) -> None:
        stage.finish_rebuilding()
        stage.traffic.begin()
        stage.served(*stage.groups)
        stage.healthy()

    return Scenario(
        name=f"database-lost-{copy}",
        title=f"Whole database lost, rebuilt from {copy} alone",
        situation="All database machines, their volumes and the primary bucket's objects are gone.",
        promises=("REC-3", "REC-4", "BAK-5"),
        recovery_seconds=600,
        loss_seconds=60,
        runbook="restore.md",
        not_at_aws="it deletes volumes, and the objects of a bucket that locks protect",
        steps=(
            Step(
                "Lose all database machines, their volumes, and every object of the primary bucket.",
                lose_everything,
                operator=False,
            ),
            Step("Run `pulumi refresh` and `pulumi up`: it waits at the first machine of each group.", create_again),
            Step(f"Meanwhile restore: `drills restore --from {copy} --to latest --in-place`.", restore),
            Step("Wait until `pulumi up` has created the other machines.", open_again),
        ),
    )
