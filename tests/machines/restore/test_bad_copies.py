"""A damaged copy is refused with the object's key, the copy and a remedy, or the restored data are complete."""

from __future__ import annotations

import random
import re

import pytest

from harness.backup_world import GROUP
from tests.machines.manifests import S3
from tests.machines.restore.backups import Backups
from tests.machines.restore.damage import DAMAGES, FAULTS, damage
from tests.machines.restore.machine import COPY, Machine, iso_of

KINDS = len(DAMAGES) + len(FAULTS)
REMEDY = re.compile(r"; (restore from another copy|choose another restore point|continue it|remove)")


def refusal(message: str) -> None:
    """Check that a message names the copy, an object, and a remedy."""
    assert COPY in message
    assert re.search(rf"(hourly|manifests|daily)/\S*{GROUP}|{GROUP}", message), message
    assert REMEDY.search(message), message


def outcome(member: Machine, backups: Backups, point: str | None) -> str:
    """Fetch, and recover what was fetched. Return why the copy was refused; an empty text if the data are complete."""
    wanted = point or backups.newest
    member.begin("audit", *((point, iso_of(point), point) if point else ()))
    code, _, err = member.call("run", "audit", "fetch")
    if code:
        assert "Traceback" not in err
        return err
    fetched = member.step("audit", "fetch")
    assert wanted in fetched["points"], "the copy silently lacks the newest data"
    member.step("audit", "recover", point=wanted, segment=fetched["points"][wanted])
    member.step("audit", "check")
    assert member.facts("audit") == backups.facts[wanted]
    return ""


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100))
def test_no_damage_is_restored_silently(member: Machine, before: Backups, s3: S3, seed: int):
    damaged = damage(s3, seed)
    point = random.Random(seed).choice([None, None, *before.points])
    reason = outcome(member, before, point)
    if reason:
        print(damaged, point, reason)
        refusal(reason)
        if damaged.kind not in {"far_wal", "gap", "missing"}:
            assert re.split(r"[.-]", damaged.key.rpartition("/")[2])[0] in reason
    else:
        print(damaged, point, "no harm")


@pytest.fixture
def planned(member: Machine) -> Machine:
    """A machine that has begun to restore the newest data."""
    member.begin("audit")
    return member


@pytest.mark.long
@pytest.mark.parametrize("seed", range(KINDS))
def test_each_kind_of_damage_is_refused_or_harmless(planned: Machine, before: Backups, s3: S3, seed: int):
    damage(s3, seed)
    code, _, err = planned.call("run", "audit", "fetch")
    if code:
        refusal(err)
        return
    folder = planned.of("audit") / "repository"
    fetched = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = planned.step("audit", "fetch")
    assert before.newest in result["points"]
    newest = f"manifests/{GROUP}/{result['run']}"
    for path, body in fetched.items():
        index = f"{newest}/{path.rpartition('/')[2]}"
        assert body == before.objects[index if path.endswith(".info") else f"hourly/{path}"]
