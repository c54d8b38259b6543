"""What of a Worker is uploaded: its modules as they lie here. Pure: nothing here imports Pulumi."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
WORKERS = PROJECT / "workers"
COMPATIBILITY_DATE = "2026-04-24"  # what the tests' workerd knows; a later one would run here as something else
# Bindings reach only whom they are handed to: an operator's script could import all of them otherwise.
COMPATIBILITY_FLAGS = ("disallow_importable_env",)
APPLICATION = "application"
"""Where an operator's modules lie beside those of `workers/`: no Worker has this name."""
_CONTENT_TYPES = {
    ".js": "application/javascript+module",
    ".mjs": "application/javascript+module",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".html": "text/plain",
    ".sql": "text/plain",
    ".txt": "text/plain",
}
_SCRIPTS = (".js", ".mjs")
_IMPORT = re.compile(
    r"""(?:^|;)(?:import|export)\b[\w\s{},*$]*?\bfrom\s*["']([^"'\n]+)["']|(?:^|;)import\s*["']([^"'\n]+)["']""",
    re.MULTILINE,
)


class ModuleError(Exception):
    """A module cannot be uploaded: it is not there, not of a kind that the edge takes, or not ours to upload."""


@dataclass(frozen=True)
class Module:
    """One uploaded file: its path as other modules name it, and its bytes."""

    name: str
    content: bytes

    @property
    def content_type(self) -> str:
        """What the edge takes the file for."""
        return _CONTENT_TYPES[Path(self.name).suffix]


@dataclass(frozen=True)
class Application:
    """An operator's script, placed beside the Worker's own modules; `main` names the one to load."""

    main: str
    modules: tuple[Module, ...]


def modules_of(folder: str, root: Path = WORKERS) -> tuple[Module, ...]:
    """A Worker's `index.js` and everything that it imports, by path below `root`, where imports keep resolving.

    Raises `ModuleError` naming the file that imports what cannot be uploaded.
    """
    found: dict[str, Module] = {}
    waiting = [(root / folder / "index.js", Path(folder).as_posix())]
    while waiting:
        path, importer = waiting.pop()
        if not path.resolve().is_relative_to(root.resolve()):
            raise ModuleError(f"{importer}: {path.name} would lie outside the folder {root.name}")
        name = path.resolve().relative_to(root.resolve()).as_posix()
        if name in found:
            continue
        if not path.is_file():
            raise ModuleError(f"{importer}: there is no module {name}")
        if path.suffix not in _CONTENT_TYPES:
            raise ModuleError(f"{importer}: {name} is no module; allowed: {', '.join(_CONTENT_TYPES)}")
        found[name] = Module(name, path.read_bytes())
        if path.suffix in _SCRIPTS:
            waiting += [(path.parent / imported, name) for imported in _imports(found[name])]
    return tuple(found[name] for name in sorted(found))


def application_of(script: str, project: Path = PROJECT) -> Application:
    """An operator's script: the `index.js` of a folder in the project, and what it imports. Raises `ModuleError`."""
    modules = [Module(f"{APPLICATION}/{one.name}", one.content) for one in modules_of(script, project)]
    main = (project / script / "index.js").resolve().relative_to(project.resolve()).as_posix()
    return Application(f"{APPLICATION}/{main}", tuple(modules))


def fingerprint(modules: Sequence[Module]) -> str:
    """The SHA-256 over names and contents, shortened to what a version's tag holds (25 characters)."""
    digest = hashlib.sha256()
    for module in modules:
        digest.update(f"{module.name}\0{len(module.content)}\0".encode())
        digest.update(module.content)
    return digest.hexdigest()[:25]


def _imports(module: Module) -> list[str]:
    """The files that a module imports by relative path; the edge itself brings what is called `cloudflare:…`."""
    try:
        text = module.content.decode()
    except UnicodeDecodeError:
        raise ModuleError(f"{module.name} is not UTF-8") from None
    named = [plain or bare for plain, bare in _IMPORT.findall(text)]
    for name in named:
        if not name.startswith((".", "cloudflare:")):
            raise ModuleError(f"{module.name}: nothing brings {name} along; remedy: bundle it into the script")
    return [name for name in named if name.startswith(".")]
