"""`promises.toml`: every promise with its figures, the files that declare it, and its proofs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from console.errors import InputError
from policies.reading import Strict, Text, parse_toml, read, validate

ROOT: Final = Path(__file__).resolve().parent.parent
FILE: Final = ROOT / "promises.toml"


class Kind(StrEnum):
    """What a proof is based on, the strongest first."""

    DRILL = "drill"
    PROCESSES = "processes"
    PLAN = "plan"

    @property
    def meaning(self) -> str:
        """What the proof is based on, for readers."""
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
"""TOML has lists, which strict pydantic does not accept as tuples."""
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
    """One promise as a table of the file."""

    promise: Text
    figure: Text
    behaviour: bool
    """Whether the platform keeps it by its behaviour at run time; a plan alone does not prove such a promise."""
    figures: dict[str, int | float | str] = Field(default_factory=dict[str, "int | float | str"])
    declared_by: Texts = ()
    proven_by: Annotated[Proofs, BeforeValidator(_with_kinds)] = Proofs()
    not_declared: Text | None = None
    not_proven: Text | None = None
    """The proof that is missing. It is set also if `proven_by` proves a part of the promise."""

    @model_validator(mode="after")
    def _says_what_is_missing(self) -> Self:
        if bool(self.declared_by) == bool(self.not_declared):
            raise ValueError("give either declared_by or the reason not_declared, and not both")
        if self.not_proven is None:
            kinds = self.proven_by.by_kind.keys()
            if not kinds:
                raise ValueError("give proven_by, or the reason not_proven")
            if self.behaviour and kinds == {Kind.PLAN}:
                raise ValueError(
                    "a plan alone does not prove behaviour; add a proof by processes or drill, "
                    "or say in not_proven which proof is missing"
                )
        return self


class Promise(Entry):
    """One promise, with its id."""

    id: str

    @property
    def proven(self) -> bool:
        """Whether no proof is missing."""
        return self.not_proven is None

    @property
    def strongest(self) -> Kind | None:
        """The kind of its strongest proof."""
        return next(iter(self.proven_by.by_kind), None)


@cache
def load(file: Path = FILE) -> Mapping[str, Promise]:
    """Return every promise by its id; `InputError` names the file and the line or key."""
    document = parse_toml(read(file, "restore it from the repository"), str(file))
    return {id: _promise(file, id, table) for id, table in document.items()}


def _promise(file: Path, id: str, table: object) -> Promise:
    if not isinstance(table, dict):
        raise InputError(f"{file}: {id}: {table!r:.40}; write a table, [{id}]")
    return Promise.model_construct(id=id, **dict(validate(Entry, table, str(file), id)))  # pyright: ignore[reportUnknownArgumentType]


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


REPORT: Final = re.compile(r"docs/drills/\d{4,}-\d{4}-\d\d-\d\d-([a-z0-9-]+)\.json")


def scenario_of(report: str) -> str:
    """Return the scenario of a report's path; `InputError` for any other path."""
    found = REPORT.fullmatch(report)
    if found is None:
        raise InputError(f"{FILE}: {report} is not a drill's report; cite one as docs/drills/NUMBER-DATE-SCENARIO.json")
    return found[1]


@cache
def cited_scenarios() -> Mapping[str, tuple[str, ...]]:
    """Return each scenario of which a promise cites a report, with these promises."""
    found: dict[str, list[str]] = {}
    for promise in load().values():
        for report in promise.proven_by.drill:
            found.setdefault(scenario_of(report), []).append(promise.id)
    return {scenario: tuple(promises) for scenario, promises in sorted(found.items())}


def number(promise: str, name: str) -> float:
    """Return a figure of a promise that rules compute with."""
    found = load()[promise].figures.get(name)
    if not isinstance(found, int | float):
        raise InputError(f"{FILE}: {promise}.figures.{name}: a number is expected; add it")
    return float(found)
