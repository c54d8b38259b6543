"""The operator's table of outputs names every output that there is, and no other."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_output_is_documented() -> None:
    # Read, not imported: importing it loads both SDKs. What is exported is compared with a stack in tests/components.
    source = (REPOSITORY / "components" / "platform.py").read_text()
    (exported,) = re.findall(r"self\.results = \{\n(.*?)\n        \}\n", source, re.DOTALL)
    names = re.findall(r'^            "(\w+)":', exported, re.MULTILINE)
    text = (REPOSITORY / "docs" / "operating.md").read_text()
    (table,) = re.findall(r"\| output \|.*?\n\|---\|---\|\n(.*?)\n\n", text, re.DOTALL)
    documented = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(documented) == sorted(names)
