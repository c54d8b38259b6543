"""Documents that are generated from the rules."""

from __future__ import annotations

from pathlib import Path

from policies import catalogue
from policies.packs import all_rules
from policies.promises import load

PAGE = Path(__file__).parents[2] / "docs" / "rules.md"


def test_the_catalogue_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == catalogue.render(), "run `make rules`"


def test_the_catalogue_lists_every_rule_below_its_promises() -> None:
    rows = {line.split()[1]: line for line in catalogue.render().splitlines() if line.startswith("| ")}
    for rule in all_rules():
        for promise in load():
            assert (f"`{rule.id}`" in rows[promise]) == (promise in rule.promises), (rule.id, promise)
