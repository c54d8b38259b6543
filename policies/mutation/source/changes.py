"""Read and apply the changes of `weakenings.toml` and `variants.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from console.errors import InputError
from policies.reading import Strict, Text, parse_toml, read, validate

FOLDER: Final = Path(__file__).resolve().parent


class Edit(Strict):
    """A replacement of `old` by `new` in one file. Without `old`, `new` is a whole new file."""

    file: Text
    old: str | None = None
    new: str


class Change(Strict):
    """One weakening (`harm` says what breaks) or variant (`why` says why it is right)."""

    name: Text
    harm: Text | None = None
    why: Text | None = None
    stack: Text = "prod"
    edit: list[Edit] = []  # noqa: RUF012 (pydantic copies defaults)

    def apply(self, folder: Path) -> None:
        """Edit a copy of the project. Raises `OutdatedError` if a file does not contain the old text exactly once."""
        for edit in self.edit:
            path = folder / edit.file
            if edit.old is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(edit.new, encoding="utf-8")
                continue
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            if text.count(edit.old) != 1:
                raise OutdatedError(
                    f"{edit.file} contains the old text {text.count(edit.old)} times; "
                    "once is expected: update the change"
                )
            path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")


class OutdatedError(InputError):
    """A change no longer fits the source."""


class _Changes(Strict):
    change: list[Change]


def weakenings() -> list[Change]:
    """Return the changes that the packs must stop."""
    return _load("weakenings.toml")


def variants() -> list[Change]:
    """Return the changes that the packs must accept."""
    return _load("variants.toml")


def _load(name: str) -> list[Change]:
    file = FOLDER / name
    return validate(_Changes, parse_toml(read(file, "restore it"), str(file)), str(file)).change
