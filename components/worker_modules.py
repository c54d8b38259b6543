"""What of a Worker is uploaded: its modules as they lie in `workers/`. Pure: nothing here imports Pulumi."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

WORKERS = Path(__file__).resolve().parent.parent / "workers"
COMPATIBILITY_DATE = "2026-04-24"  # what the tests' workerd knows; a later one would run here as something else
_CONTENT_TYPES = {".js": "application/javascript+module", ".sql": "text/plain"}
_IMPORT = re.compile(
    r"""^(?:import|export)\s[^;]*?from\s+["'](\.[^"']+)["']|^import\s+["'](\.[^"']+)["']""", re.MULTILINE
)


@dataclass(frozen=True)
class Module:
    """One uploaded file: its path below `workers/`, and its bytes."""

    name: str
    content: bytes

    @property
    def content_type(self) -> str:
        """What the edge takes the file for."""
        return _CONTENT_TYPES[Path(self.name).suffix]


def modules_of(folder: str, root: Path = WORKERS) -> tuple[Module, ...]:
    """A Worker's `index.js` and everything that it imports, by name; imports keep resolving because paths are kept.

    Raises `FileNotFoundError` naming the file that imports what is not there.
    """
    found: dict[str, Module] = {}
    waiting = [(root / folder / "index.js", root / folder)]
    while waiting:
        path, importer = waiting.pop()
        name = path.resolve().relative_to(root.resolve()).as_posix()
        if name in found:
            continue
        if not path.is_file():
            raise FileNotFoundError(f"{importer}: there is no module {name}")
        found[name] = Module(name, path.read_bytes())
        if path.suffix == ".js":
            imports = _IMPORT.findall(found[name].content.decode())
            waiting += [(path.parent / (plain or bare), path) for plain, bare in imports]
    return tuple(found[name] for name in sorted(found))


def fingerprint(modules: Sequence[Module]) -> str:
    """The SHA-256 over names and contents, shortened to what a version's tag holds (25 characters)."""
    digest = hashlib.sha256()
    for module in modules:
        digest.update(f"{module.name}\0{len(module.content)}\0".encode())
        digest.update(module.content)
    return digest.hexdigest()[:25]
