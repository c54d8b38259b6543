"""The operators' table of outputs lists exactly the stack's outputs."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_output_is_documented() -> None:
    # The source is parsed, because importing it would load both SDKs. tests/components checks a stack's real outputs.
    source = (REPOSITORY / "components" / "platform.py").read_text()
    (exported,) = re.findall(r"self\.results = \{\n(.*?)\n        \}\n", source, re.DOTALL)
    names = re.findall(r'^            "(\w+)":', exported, re.MULTILINE)
    text = (REPOSITORY / "docs" / "operating.md").read_text()
    (table,) = re.findall(r"\| output \|.*?\n\|---\|---\|\n(.*?)\n\n", text, re.DOTALL)
    documented = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(documented) == sorted(names)
