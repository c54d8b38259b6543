"""Restore from every copy, beside, and compare the groups: a commit that spans groups is in all of them, or in none."""

from collections.abc import Mapping
from typing import Any

from drills.running.pairs import TABLE
from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage

PAIRS = 10_000
GROUPS = ("coordinator", "worker-1")
HASHES = f"SELECT count(*) || ' ' || coalesce(sum(hashtext(client || '/' || number)::bigint), 0) FROM {TABLE}"


def write_pairs(stage: Stage) -> None:
    for copy in ("primary", "replica", "offsite"):
        stage.copies.await_backups(copy)
    pairs = stage.pairs(*GROUPS)
    pairs.start()
    stage.until(f"{PAIRS} pairs are committed", lambda: pairs.count >= PAIRS, 600)
    stage.next_point()
    stage.fault("a restore is needed, to a moment at which clients write to both groups")
    stage.memory["pairs"] = pairs
    stage.pass_time(20)  # commits after the point, which a restore must not have
    pairs.stop()


def compare(stage: Stage) -> None:
    for copy in ("primary", "replica", "offsite"):
        found = stage.restore(copy, stage.fault_time(), into="drill")
        stage.check_point(found["point"])
        check_pairs(stage, found, f"restored from {copy}", PAIRS)
        stage.remove_restore("drill")
    stage.served_again("every copy was restored beside")


def check_pairs(stage: Stage, found: Mapping[str, Any], restored: str, at_least: int) -> None:
    """Check that both groups of a cluster beside have the same pairs, and at least so many."""
    beside = [
        stage.sql_beside(member, place["socket"], place["port"], HASHES)
        for member, place in found["beside"].items()
        if member in stage.members(*GROUPS)
    ]
    written = int(beside[0].split()[0])
    stage.check(
        f"{restored} to {found['point']}, both groups have the same pairs",
        len(beside) == len(GROUPS) and len(set(beside)) == 1 and written >= at_least,
        f"{written} pairs (at least {at_least}), {'none torn' if len(set(beside)) == 1 else ' and '.join(beside)}",
    )


SCENARIO = Scenario(
    name="groups-agree",
    title="Restores over all groups at once",
    situation="Clients write to several groups at once. After a restore, each commit is in all of them or in none.",
    promises=("BAK-4", "REC-4"),
    recovery_seconds=1800,
    runbook="restore.md",
    not_at_aws=None,
    steps=(
        Step("Let clients commit 10,000 pairs in two groups.", write_pairs, operator=False),
        Step("Restore beside from each copy, to one restore point, and compare the groups.", compare),
    ),
)
