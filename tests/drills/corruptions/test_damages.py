"""Damages of backups: what they change, what must name them, and how many can be left to the Workers at once."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from drills.corruptions.__main__ import main
from drills.corruptions.audit import Damaged, is_possible, wrong_refusal
from drills.corruptions.damages import DAMAGES, Damage, Where
from drills.corruptions.repairs import is_about, together

BY_NAME = {one.name: one for one in DAMAGES}
CONTENT, OTHER = bytes(range(200)), b"other"
RUN = "hourly/backup/coordinator/20261130-032208F/bundle/1"


def damaged(
    name: str = "one flipped bit", copy: str = "replica", key: str = RUN, original: str | None = None
) -> Damaged:
    return Damaged(BY_NAME[name], copy, key, CONTENT, b"", original)


@pytest.mark.parametrize("damage", [one for one in DAMAGES if "key" not in one.name], ids=lambda one: one.name)
def test_every_damage_changes_the_object_but_a_copy_of_it(damage: Damage):
    changed = damage.change(random.Random(1), CONTENT, OTHER)
    assert (changed == CONTENT) == (damage.of == "extra")


def test_a_flipped_bit_is_one_bit():
    changed = BY_NAME["one flipped bit"].change(random.Random(3), CONTENT, OTHER)
    assert changed is not None
    assert sum((one ^ two).bit_count() for one, two in zip(CONTENT, changed, strict=True)) == 1


def test_only_what_can_show_is_possible():
    known: Mapping[Where, list[str]] = {"stored": ["a"], "extra": ["a"], "manifest": ["m"], "newest": []}
    possible = {one.name for one in DAMAGES if is_possible(one, "primary", known)}
    assert "newest manifest missing" not in possible  # there is none
    assert "stale manifest" not in possible  # there is no other one
    assert "extra object" not in possible  # the primary reports it a day later
    assert {"one flipped bit", "manifest missing"} <= possible
    assert is_possible(BY_NAME["extra object"], "replica", known)
    assert is_possible(BY_NAME["stale manifest"], "primary", {**known, "manifest": ["m", "n"]})


@pytest.mark.parametrize(
    ("name", "message", "wrong"),
    [
        ("one flipped bit", f"replica: {RUN} has other bytes", ""),
        ("one flipped bit", f"offsite: {RUN} has other bytes", "refused without naming it"),
        ("one flipped bit", "replica: something is wrong", "refused without naming it"),
        ("newest manifest missing", f"replica: {RUN} is missing", "refused, although all data is there"),
    ],
)
def test_a_refusal_must_name_the_object_and_the_copy(name: str, message: str, wrong: str):
    found = wrong_refusal(damaged(name), message)
    assert wrong in found
    assert bool(found) == bool(wrong)


MANIFEST = "manifests/coordinator/20261130-032208F.json"


@pytest.mark.parametrize(
    ("key", "message", "named"),
    [
        (RUN, "worker-1-0: 15 files of replica cannot be read: status 501", False),
        (RUN, f"{RUN}0 in replica is damaged", False),
        (RUN, f"another/{RUN} in replica is damaged", False),
        (RUN, f"{RUN} in replica is damaged: its SHA-256 is 1", True),
        (MANIFEST, "the manifest of 20261130-032208F_20261130-040000I in replica names another one", False),
        (MANIFEST, "the chain in replica is broken: the manifest of 20261130-032208F is missing", True),
        (MANIFEST, f"replica lacks {MANIFEST}; restore from another copy", True),
    ],
)
def test_a_refusal_that_names_another_object_does_not_count(key: str, message: str, named: bool):
    assert (wrong_refusal(damaged(key=key), message) == "") is named


@pytest.mark.parametrize("count", ["0", "-1"])
def test_without_a_damage_nothing_is_shown(count: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        main(["--count", count])
    assert "--count must be 1 at least" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("finding", "about"),
    [
        (("damaged", "replica", RUN, "", True), True),
        (("missing", "replica", RUN, "", False), True),
        (("extra", "replica", RUN, "", False), False),
        (("damaged", "offsite", RUN, "", True), False),
        (("damaged", "replica", "another", "", True), False),
    ],
)
def test_a_finding_is_about_one_object_of_one_copy(finding: tuple[str, str, str, str, bool], about: bool):
    assert is_about(finding, damaged()) == about
    assert is_about(("extra", "replica", "new", "", False), damaged("extra object", key="new", original=RUN))


def test_an_object_stays_good_in_one_copy():
    many = [damaged(copy=copy) for copy in ("replica", "offsite", "primary", "replica")] + [damaged(key="another")]
    rounds = together(many, copies=3)
    assert [[one.copy for one in round] for round in rounds] == [
        ["replica", "offsite", "replica"],
        ["primary", "replica"],
    ]
    assert sorted(id(one) for round in rounds for one in round) == sorted(map(id, many))
    extra = damaged("extra object", key=f"{RUN}-1", original=RUN)
    assert len(together([damaged(), extra], copies=3)) == 2, "the object that is copied must be good"
