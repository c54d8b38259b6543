"""Decide from a test file's source whether it starts programs and observes them while they run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("tests", "harness", "drills")
STARTS = {"Popen", "launch"}
"""Calls that start a process or a browser that runs during the test. `subprocess.run` waits until the process ends."""
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Module:
    """A file in `FOLDERS`: its top-level definitions, its imports from such files, and its parametrized arguments."""

    path: Path
    defined: dict[str, Definition]
    imported: dict[str, tuple[Path, str]]
    parameters: set[str]

    def fixture(self, name: str) -> Path | None:
        """Return the file that defines the fixture `name`, or None. A parametrized argument hides a fixture."""
        above = [folder / "conftest.py" for folder in self.path.parents if folder.is_relative_to(ROOT / "tests")]
        files = [self.path, *(path for path in above if path.is_file())]
        found = next((path for path in files if name in read(path).defined), None)
        return None if name in self.parameters else found


@cache
def read(path: Path) -> Module:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    defined = {node.name: node for node in tree.body if isinstance(node, Definition)}
    imported = {
        alias.asname or alias.name: (source, alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (source := source_of(path, node)) is not None
        for alias in node.names
    }
    parameters = {name for names in arguments(tree, "parametrize") for name in re.findall(r"\w+", names)}
    return Module(path, defined, imported, parameters)


def arguments(tree: ast.AST, mark: str) -> Iterator[str]:
    """Yield the text arguments of a pytest mark: names of arguments or fixtures."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == mark:
            first = node.args[0].elts if isinstance(node.args[0], ast.Tuple) else node.args
            yield from (one.value for one in first if isinstance(one, ast.Constant) and isinstance(one.value, str))


def source_of(path: Path, node: ast.ImportFrom) -> Path | None:
    """Return the imported file if it is in `FOLDERS`, else None."""
    folder = path.parents[node.level - 1] if node.level else ROOT
    found = folder.joinpath(*(node.module or "").split(".")).with_suffix(".py")
    return found if found.is_file() and any(found.is_relative_to(ROOT / room) for room in FOLDERS) else None


def starts_programs(path: Path) -> bool:
    """Whether a test of the file, a fixture of it, or a helper that these use starts a program."""
    module = read(path)
    waiting = [(path, name) for name in module.defined if name.startswith(("test_", "Test"))]
    seen: set[tuple[Path, str]] = set()
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        found = read(place[0])
        node = found.defined[place[1]]
        if any(isinstance(one, ast.Attribute) and one.attr in STARTS for one in ast.walk(node)):
            return True
        waiting += uses(found, node)
    return False


def uses(module: Module, node: Definition) -> Iterator[tuple[Path, str]]:
    """Yield the definitions that a definition uses: of its own module, imported ones, and fixtures."""
    names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    yield from ((module.path, name) for name in names if name in module.defined)
    for source, name in (module.imported[name] for name in names if name in module.imported):
        if name in read(source).defined:
            yield source, name
    fixtures = {one.arg for one in ast.walk(node) if isinstance(one, ast.arg)} | set(arguments(node, "usefixtures"))
    yield from ((path, name) for name in fixtures if (path := module.fixture(name)) is not None)
