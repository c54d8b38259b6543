"""Restore from the daily copies alone: every object of the hourly class is gone from the copy."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from drills.restore.decisions import OutsideWindowError
from drills.running.copies import LISTING_PAUSE
from drills.running.scenario import Scenario, Step
from drills.running.stage import POINT_SECONDS, NotReachedError, Stage
from drills.scenarios.groups_agree import GROUPS, check_pairs

COPY, CLASS = "replica", "daily"
PAIRS = 100  # how many are committed before the day's first point depends on the computer


def write_pairs(stage: Stage) -> None:
    before = stage.copies.runs_of(COPY, CLASS)
    pairs = stage.pairs(*GROUPS)
    pairs.start()
    begun = datetime.now(UTC)
    try:
        refuse_earlier(_first_kept(stage, before), before, begun)
        stored = _stored(stage)
        stage.pass_time(POINT_SECONDS)
        stage.back_up("incr")  # its manifest lists the restore points after the first backup
        stage.until(
            "the daily copies have the WAL up to a common restore point",
            lambda: all(now > before for now, before in zip(_stored(stage), stored, strict=True)),
            600,
            LISTING_PAUSE,
        )
    finally:
        pairs.stop()


def _first_kept(stage: Stage, before: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Wait until every group has a new daily backup, and return the runs of each group."""
    kept = before

    def is_kept() -> bool:
        nonlocal kept
        kept = stage.copies.runs_of(COPY, CLASS)
        return all(kept[group] - before[group] for group in stage.groups)

    what = (
        "the first backup of the day is kept as a daily one (remedy: begin with a new stack, which has none of today)"
    )
    stage.until(what, is_kept, 900, LISTING_PAUSE)
    return dict(kept)


def refuse_earlier(now: Mapping[str, set[str]], before: Mapping[str, set[str]], begun: datetime) -> None:
    """Raise `NotReachedError` if a kept backup began before the clients wrote: it lacks their rows."""
    for group, runs in now.items():
        for run in sorted(runs - before[group]):
            if datetime.strptime(f"{run[:15]}Z", "%Y%m%d-%H%M%S%z") < begun:
                raise NotReachedError(
                    f"the first backup of the day of {group} ({run}) began before the clients wrote; begin with a new "
                    "stack, at most two minutes after `sandbox up`"
                )


def _stored(stage: Stage) -> list[int]:
    """Return how many objects the daily class of each group has."""
    return [len(stage.copies.bucket(COPY).objects(f"{CLASS}/{group}/")) for group in stage.groups]


def lose_the_hourly_class(stage: Stage) -> None:
    stage.copies.lose(COPY, "hourly/")


def restore(stage: Stage) -> None:
    try:
        found = stage.restore(COPY, stage.fault_time(), into="drill")
    except OutsideWindowError as refusal:  # it names the common point of the newest daily backup
        stage.remove_restore("drill")
        found = stage.restore(COPY, re.findall(r"backbuild-\d{8}T\d{6}Z", str(refusal))[-1], into="drill")
    # The backup Workers may have replaced hourly objects meanwhile: then the restore shows nothing about this class.
    classes = {group: one["class"] for group, one in found["groups"].items()}
    stage.check(
        f"every group is restored from the {CLASS} class",
        set(classes.values()) == {CLASS},
        ", ".join(f"{group} from {kept_as}" for group, kept_as in classes.items()),
    )
    check_pairs(stage, found, "restored", PAIRS)
    stage.served_again("the daily class alone was restored beside")
    stage.remove_restore("drill")


SCENARIO = Scenario(
    name="daily-class-left",
    title="Restore from the daily copies alone",
    situation="The moment is older than the point-in-time window, so a copy has only its daily backups for it.",
    promises=("BAK-4", "BAK-6", "REC-4"),
    recovery_seconds=600,
    runbook="restore.md",
    needs_new_stack=True,
    steps=(
        Step(
            "Let clients write to two groups until the first backup of a day, with a common point, is a daily one.",
            write_pairs,
            operator=False,
        ),
        Step("Delete every object of the replica's hourly class.", lose_the_hourly_class, operator=False),
        Step("Restore beside from the replica: it takes the daily class and its common point.", restore),
    ),
)
