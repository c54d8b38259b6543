"""The packs and their rules. Importing this module registers all rules."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Final

from policies.rule import REGISTRY, Rule

VERSION: Final = "1.0.0"
REDUNDANCY: Final = "redundancy"
RETENTION: Final = "retention"
PACKS: Final = {
    REDUNDANCY: "The loss of any one machine, zone or edge location is handled automatically",
    RETENTION: "Backups are made, verified, replicated to distant places, and kept as long as the rotation requires",
}

TOPICS: Final = tuple(sorted(file.parent.name for file in (Path(__file__).parent / "rules").glob("*/rules.py")))
"""The packages below `policies/rules`. Each has `rules.py`, and `weakenings.py`: changes that the rules must detect."""

for _topic in TOPICS:
    importlib.import_module(f"policies.rules.{_topic}.rules")


def rules_of(pack: str) -> list[Rule]:
    """Return the rules of a pack."""
    return REGISTRY.of(pack)


def all_rules() -> list[Rule]:
    """Return the rules of all packs, pack by pack."""
    return [rule for pack in PACKS for rule in rules_of(pack)]
