"""The table of rooms in docs/architecture.md: each room imports only the rooms that the table allows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TABLE = re.findall(
    r"^\| \[(\w+)/\]\(\.\./\w+\) \| .* \| ([\w, ]+) \|$", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE
)
ALLOWED = {room: frozenset(imports.split(", ")) for room, imports in TABLE}
PROVIDERS = {"pulumi_aws", "pulumi_cloudflare", "pulumi_random"}
PURE = {room: {"pulumi", *PROVIDERS} for room in ("model", "machines", "status", "backups", "console")}
PURE["policies"] = PROVIDERS  # its packs speak Pulumi's protocol


def imports_of(room: str) -> Iterator[tuple[str, str]]:
    """Yield each import in a room: its file and line, and the imported package."""
    for path in sorted((ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", name.split(".")[0]


def test_every_room_is_in_the_table():
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {"workers"}
    assert rooms == set(ALLOWED)


@pytest.mark.parametrize("room", sorted(ALLOWED.keys() - {"tests"}))
def test_a_room_imports_only_what_the_table_allows(room: str):
    others = ALLOWED.keys() - ALLOWED[room] - {room}
    assert [(place, name) for place, name in imports_of(room) if name in others] == []


@pytest.mark.parametrize(("room", "excluded"), PURE.items())
def test_pure_rooms_do_not_import_pulumi(room: str, excluded: set[str]):
    assert [(place, name) for place, name in imports_of(room) if name in excluded] == []


def test_the_table_has_no_cycle():
    waiting = {room: set(imports) for room, imports in ALLOWED.items() if room != "tests"}
    while ready := {room for room, imports in waiting.items() if not imports & waiting.keys()}:
        waiting = {room: imports for room, imports in waiting.items() if room not in ready}
    assert waiting == {}
