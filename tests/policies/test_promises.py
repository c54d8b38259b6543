"""`promises.toml` is held to what exists: every promise is declared, enforced and proven, or says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.errors import InputError
from policies import promises
from policies.packs import all_rules
from policies.promises import Promise

ROOT = Path(__file__).parents[2]
PROMISED = [
    f"{kind}-{number}"
    for kind, count in (("SLA", 3), ("STA", 3), ("RED", 5), ("BAK", 6), ("REC", 5), ("MNT", 3), ("CON", 1))
    for number in range(1, count + 1)
]
ALL = list(promises.load().values())


def test_every_promise_is_there() -> None:
    assert [promise.id for promise in ALL] == PROMISED


@pytest.mark.parametrize("promise", ALL, ids=lambda promise: promise.id)
def test_what_it_names_exists(promise: Promise) -> None:
    for path in (*promise.declared_by, *promise.proven_by):
        assert (ROOT / path).is_file(), path
    assert list(promise.enforced_by) == [rule.id for rule in all_rules() if promise.id in rule.promises]
    for link, reason in promise.reasons.items():
        assert len(reason) > 30, f"{link}: a reason that says nothing"


def test_every_rule_is_about_promises_that_there_are() -> None:
    for rule in all_rules():
        assert set(rule.promises) <= set(PROMISED), rule.id


WHOLE = """\
[X]
promise = "a"
figure = "b"
declared_by = ["d"]
enforced_by = ["r"]
proven_by = ["t"]
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("X = 1", "X: a table is expected"),
        ('[X]\npromise = "a"\n', "X.figure: a text is expected"),
        ('[X]\npromise = "a"\nfigure = "b"\nenforced = []\n', "X.enforced: no such key"),
        (
            '[X]\npromise = "a"\nfigure = "b"\nenforced_by = ["r"]\nproven_by = ["t"]\n',
            "X: give either declared_by or the reason not_declared",
        ),
        (
            f"{WHOLE}not_proven = 'x'\n",
            "X: give either proven_by or the reason not_proven, and not both",
        ),
        ("[X", "cannot be read"),
    ],
)
def test_a_promise_that_lacks_something_without_a_reason_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "promises.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        promises.load(file)


def test_a_figure_that_rules_compute_with_must_be_a_number() -> None:
    assert promises.number("REC-4", "seconds") == 3600
    with pytest.raises(InputError, match=r"REC-4.figures.minutes: a number is expected"):
        promises.number("REC-4", "minutes")
