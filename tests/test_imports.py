"""Each top-level folder imports only the folders that the table in docs/architecture.md allows."""

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
ALLOWED = {folder: frozenset(imports.split(", ")) for folder, imports in TABLE}
PROVIDERS = {"pulumi_aws", "pulumi_cloudflare", "pulumi_random", "pulumi_tls"}
PURE = {folder: {"pulumi", *PROVIDERS} for folder in ("model", "machines", "status", "backups", "console")}
PURE["policies"] = PROVIDERS  # its packs speak Pulumi's protocol


def imports_of(folder: str) -> Iterator[tuple[str, str]]:
    """Yield each import in a folder: its file and line, and the imported package."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", name.split(".")[0]


def test_every_folder_is_in_the_table():
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {"workers"}
    assert folders == set(ALLOWED)


@pytest.mark.parametrize("folder", sorted(ALLOWED.keys() - {"tests"}))
def test_a_folder_imports_only_what_the_table_allows(folder: str):
    others = ALLOWED.keys() - ALLOWED[folder] - {folder}
    assert [(place, name) for place, name in imports_of(folder) if name in others] == []


@pytest.mark.parametrize(("folder", "excluded"), PURE.items())
def test_pure_folders_do_not_import_pulumi(folder: str, excluded: set[str]):
    assert [(place, name) for place, name in imports_of(folder) if name in excluded] == []


def test_the_table_has_no_cycle():
    waiting = {folder: set(imports) for folder, imports in ALLOWED.items() if folder != "tests"}
    while ready := {folder for folder, imports in waiting.items() if not imports & waiting.keys()}:
        waiting = {folder: imports for folder, imports in waiting.items() if folder not in ready}
    assert waiting == {}
