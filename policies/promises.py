"""`promises.toml`: every promise with its figures, what declares it, what enforces it, and what proves it and how."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from console.errors import InputError
from policies.reading import Strict, Text, problems

ROOT: Final = Path(__file__).resolve().parent.parent
FILE: Final = ROOT / "promises.toml"


class Kind(StrEnum):
    """What a proof rests on, the strongest first."""

    DRILL = "drill"
    PROCESSES = "processes"
    PLAN = "plan"

    @property
    def meaning(self) -> str:
        """What it rests on, for readers."""
        return {
            Kind.DRILL: "measured on a running platform, with a report that is kept",
            Kind.PROCESSES: "the program that is deployed ran in a test, and was observed",
            Kind.PLAN: "a value in the declared resources or in the rendered files was checked",
        }[self]


def _below(folder: str) -> AfterValidator:
    def check(path: str) -> str:
        if not path.startswith(folder) or ".." in Path(path).parts:
            raise ValueError(f"{path!r} is not below {folder}; name a file there")
        return path

    return AfterValidator(check)


def _with_kinds(value: object) -> object:
    if not isinstance(value, dict):
        kinds = ", ".join(f"{{{kind} = […]}}" for kind in Kind)
        raise ValueError(f"a proof needs its kind; write one of {kinds}")
    return value  # pyright: ignore[reportUnknownVariableType] (validated next)


Texts = Annotated[tuple[Text, ...], Field(strict=False)]
"""TOML has lists; strict pydantic takes no list for a tuple."""
Tests = Annotated[tuple[Annotated[Text, _below("tests/")], ...], Field(strict=False)]
Reports = Annotated[tuple[Annotated[Text, _below("docs/drills/")], ...], Field(strict=False)]


class Proofs(Strict):
    """The proofs of a promise, by kind: tests, and reports of drills."""

    drill: Reports = ()
    processes: Tests = ()
    plan: Tests = ()

    @property
    def by_kind(self) -> dict[Kind, tuple[str, ...]]:
        """Kind to its proofs, the strongest first; a kind without a proof is left out."""
        listed = {Kind.DRILL: self.drill, Kind.PROCESSES: self.processes, Kind.PLAN: self.plan}
        return {kind: paths for kind, paths in listed.items() if paths}


class Entry(Strict):
    """One promise as its table says it."""

    promise: Text
    figure: Text
    behaviour: bool
    """Whether the platform keeps it by what it does while it runs: then a plan alone does not prove it."""
    figures: dict[str, int | float | str] = Field(default_factory=dict[str, "int | float | str"])
    declared_by: Texts = ()
    enforced_by: Texts = ()
    proven_by: Annotated[Proofs, BeforeValidator(_with_kinds)] = Proofs()
    not_declared: Text | None = None
    not_enforced: Text | None = None
    not_proven: Text | None = None
    """What is still to be shown, whatever proofs there are."""

    @model_validator(mode="after")
    def _says_what_is_missing(self) -> Self:
        for link in ("declared_by", "enforced_by"):
            reason = f"not_{link.removesuffix('_by')}"
            if bool(getattr(self, link)) == bool(getattr(self, reason)):
                raise ValueError(f"give either {link} or the reason {reason}, and not both")
        if self.not_proven is None:
            kinds = self.proven_by.by_kind.keys()
            if not kinds:
                raise ValueError("give proven_by, or the reason not_proven")
            if self.behaviour and kinds == {Kind.PLAN}:
                raise ValueError(
                    "a plan alone does not prove behaviour; add a proof by processes or drill, "
                    "or say in not_proven what is still to be shown"
                )
        return self


class Promise(Entry):
    """One promise, with its id."""

    id: str

    @property
    def proven(self) -> bool:
        """Whether nothing is left to be shown."""
        return self.not_proven is None

    @property
    def strongest(self) -> Kind | None:
        """The kind of its strongest proof."""
        return next(iter(self.proven_by.by_kind), None)


@cache
def load(file: Path = FILE) -> Mapping[str, Promise]:
    """Every promise by its id; what is wrong with the file is an `InputError` that names the key."""
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    return {id: _promise(file, id, table) for id, table in document.items()}


def _promise(file: Path, id: str, table: object) -> Promise:
    if not isinstance(table, dict):
        raise InputError(f"{file}: {id}: a table is expected, [{id}]")
    try:
        entry = Entry.model_validate(table)
    except ValidationError as error:
        found = [f"{file}: {'.'.join(filter(None, (id, key)))}: {what}" for key, what in problems(error, Entry)]
        raise InputError("\n".join(found)) from error
    return Promise.model_construct(id=id, **dict(entry))


def check_files(promises: Iterable[Promise], root: Path = ROOT, file: Path = FILE) -> None:
    """Raise an `InputError` for each file that a promise names and the project does not have."""
    missing = [
        f"{file}: {promise.id}.{key}: there is no file {path}; correct the path, or remove it"
        for promise in promises
        for key, paths in (
            ("declared_by", promise.declared_by),
            *((f"proven_by.{kind}", paths) for kind, paths in promise.proven_by.by_kind.items()),
        )
        for path in paths
        if not (root / path).is_file()
    ]
    if missing:
        raise InputError("\n".join(missing))


def number(promise: str, name: str) -> float:
    """A figure of a promise that rules compute with."""
    found = load()[promise].figures.get(name)
    if not isinstance(found, int | float):
        raise InputError(f"{FILE}: {promise}.figures.{name}: a number is expected")
    return float(found)
