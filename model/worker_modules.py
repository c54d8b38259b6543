"""Collects the modules of a Cloudflare Worker for upload. Does not import Pulumi."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
WORKERS = PROJECT / "workers"
COMPATIBILITY_DATE = "2026-04-24"  # the latest date that the workerd of the tests supports
# Without this flag, an operator's script could import all bindings of the API Worker.
COMPATIBILITY_FLAGS = ("disallow_importable_env",)
APPLICATION = "application"
"""The folder of an operator's modules in the upload. No folder of `workers/` has this name."""
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
    """A module cannot be uploaded: it is missing, of an unsupported type, or outside of the allowed folder."""


@dataclass(frozen=True)
class Module:
    """One uploaded file: its path, relative to which imports resolve, and its bytes."""

    name: str
    content: bytes

    @property
    def content_type(self) -> str:
        """The module's type for Cloudflare."""
        return _CONTENT_TYPES[Path(self.name).suffix]


@dataclass(frozen=True)
class Application:
    """An operator's script, uploaded beside the Worker's own modules; `main` is the path of its main module."""

    main: str
    modules: tuple[Module, ...]


def modules_of(folder: str, root: Path = WORKERS) -> tuple[Module, ...]:
    """Return a Worker's `index.js` and all modules that it imports, sorted by path below `root`.

    Raises `ModuleError` with the importing file if a module cannot be uploaded.
    """
    found: dict[str, Module] = {}
    waiting = [(root / folder / "index.js", Path(folder).as_posix())]
    while waiting:
        path, importer = waiting.pop()
        if not path.resolve().is_relative_to(root.resolve()):
            raise ModuleError(f"{importer}: {path.name} is outside the folder {root.name}")
        name = path.resolve().relative_to(root.resolve()).as_posix()
        if name in found:
            continue
        if not path.is_file():
            raise ModuleError(f"{importer}: there is no module {name}")
        if path.suffix not in _CONTENT_TYPES:
            raise ModuleError(f"{importer}: {name} has an unsupported type; allowed: {', '.join(_CONTENT_TYPES)}")
        found[name] = Module(name, path.read_bytes())
        if path.suffix in _SCRIPTS:
            waiting += [(path.parent / imported, name) for imported in _imports(found[name])]
    return tuple(found[name] for name in sorted(found))


def application_of(script: str, project: Path = PROJECT) -> Application:
    """Return an operator's script: `index.js` of a folder in the project, and its imports. Raises `ModuleError`."""
    modules = [Module(f"{APPLICATION}/{one.name}", one.content) for one in modules_of(script, project)]
    main = (project / script / "index.js").resolve().relative_to(project.resolve()).as_posix()
    return Application(f"{APPLICATION}/{main}", tuple(modules))


def fingerprint(modules: Sequence[Module]) -> str:
    """Return the SHA-256 of names and contents, truncated to 25 characters, the limit of a version's tag."""
    digest = hashlib.sha256()
    for module in modules:
        digest.update(f"{module.name}\0{len(module.content)}\0".encode())
        digest.update(module.content)
    return digest.hexdigest()[:25]


def _imports(module: Module) -> list[str]:
    """Return a module's relative imports. Modules named `cloudflare:…` are built into the runtime."""
    try:
        text = module.content.decode()
    except UnicodeDecodeError:
        raise ModuleError(f"{module.name} is not UTF-8") from None
    named = [plain or bare for plain, bare in _IMPORT.findall(text)]
    for name in named:
        if not name.startswith((".", "cloudflare:")):
            raise ModuleError(
                f"{module.name} imports {name}, but scripts are uploaded unbundled; remedy: bundle it into the script"
            )
    return [name for name in named if name.startswith(".")]
