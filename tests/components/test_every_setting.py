"""Every setting can be planned without a value and at both ends of its range."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from harness.stacks import settings_of
from model.settings import Settings
from tests.components.every_setting import Case, cases, changes_of, leaves, packed
from tests.components.planning import plan

STACKS = ("staging", "prod")
EVERYDAY = 2
"""How many plans of production every test run makes."""


def plans() -> Iterator[ParameterSet]:
    """Yield a plan for each group of cases. All but the first ones of production are marked as long."""
    for stack in STACKS:
        for number, group in enumerate(packed(stack)):
            quick = stack == "prod" and number < EVERYDAY
            yield pytest.param(stack, group, id=f"{stack}-{number}", marks=() if quick else pytest.mark.long)


@pytest.mark.parametrize(("stack", "group"), list(plans()))
def test_every_setting_can_be_planned(stack: str, group: list[Case], tmp_path: Path) -> None:
    assert plan(tmp_path, stack, changes_of(group)), [str(case) for case in group]


@pytest.mark.parametrize("stack", STACKS)
def test_every_case_can_be_configured_alone(stack: str) -> None:
    for case in cases(stack):
        assert settings_of(stack, case.changes), case


def test_every_setting_has_cases() -> None:
    """Every field that is not a section has cases. A new setting needs a range or an entry in `EXAMPLES`."""
    tried = {case.path for stack in STACKS for case in cases(stack) if case.words != "absent"}
    fields = dict(leaves(Settings))
    sections = {path for path in fields if any(other.startswith(f"{path}.") for other in fields)}
    assert set(fields) - sections == tried
