"""The schema of an SDK's resource types and functions, with a cache on disk so that later runs need not read the SDK.

The cache is one JSON file for each package and version. It contains the types that were requested so far. A file that
cannot be read, or that has another format, is replaced.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final, Literal, cast

from sandbox.clouds.extract import Source

# Increase this whenever the output of `extract` changes, so that older cache files are replaced.
FORM: Final = 1
CACHE: Final = Path(sys.prefix) / "share" / "sandbox" / "schema"

Kind = Literal["string", "integer", "number", "boolean", "any", "list", "map", "object", "union"]
Section = Literal["resources", "functions", "objects"]


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a property: a scalar, a list or map `of` a type, a union `of` several types, or the object `name`."""

    kind: Kind
    of: tuple[Type, ...] = ()
    name: str = ""

    def __str__(self) -> str:
        match self.kind:
            case "list" | "map":
                return f"{self.kind} of {self.of[0]}"
            case "union":
                return " or ".join(str(option) for option in self.of)
            case _:
                return self.kind


@dataclass(frozen=True, slots=True)
class Property:
    """One input or output. A `required` output is one that the cloud always fills in."""

    type: Type
    required: bool
    allowed: tuple[str | int, ...] = ()


Declared = dict[str, Property]


@dataclass(frozen=True)
class Shape:
    """A resource type or function: its inputs and outputs by wire name, and its secret outputs."""

    inputs: Declared
    outputs: Declared
    secrets: tuple[str, ...] = ()

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The required inputs."""
        return tuple(name for name, declared in self.inputs.items() if declared.required)

    @cached_property
    def computed(self) -> dict[str, Type]:
        """The outputs that the cloud always fills in and that are not inputs."""
        return {name: declared.type for name, declared in self.outputs.items() if declared.required}


@dataclass
class Schema:
    """The types and functions of one package, in the version of the installed SDK."""

    package: str
    cache: Path = CACHE
    version: str = ""
    _documents: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    _resources: dict[str, Shape | None] = field(default_factory=dict[str, Shape | None])
    _functions: dict[str, Shape | None] = field(default_factory=dict[str, Shape | None])
    _objects: dict[str, Declared] = field(default_factory=dict[str, Declared])
    _grown: bool = False

    def __post_init__(self) -> None:
        self.version = importlib.metadata.version(f"pulumi_{self.package}")
        self._documents = self._read()

    @cached_property
    def _source(self) -> Source:
        return Source(self.package)

    def resource(self, token: str) -> Shape | None:
        """Return the shape of a resource type or provider, or None if the SDK does not have it."""
        if token not in self._resources:
            self._resources[token] = _shape(self._document("resources", token))
        return self._resources[token]

    def function(self, token: str) -> Shape | None:
        """Return the shape of a function, or None if the SDK does not have it."""
        if token not in self._functions:
            self._functions[token] = _shape(self._document("functions", token))
        return self._functions[token]

    def object(self, name: str) -> Declared:
        """Return the properties of a nested type by the `name` of a `Type`."""
        if name not in self._objects:
            self._objects[name] = _declared(self._document("objects", name) or {})
        return self._objects[name]

    def tokens(self) -> list[str]:
        """Return every resource token of the SDK. It reads the SDK's source, so use it only for error messages."""
        return self._source.tokens()

    def save(self) -> None:
        """Write new types to the cache. Concurrent writers may lose each other's additions; the file stays complete."""
        if not self._grown:
            return
        merged = self._read()
        for section, known in self._documents.items():
            merged[section].update(known)
        path = self._path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # A unique name for each writer in any process or thread.
            with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=path.name, delete=False) as aside:
                aside.write(json.dumps({"form": FORM, **merged}, separators=(",", ":")))
            Path(aside.name).replace(path)
        except OSError:
            return  # in a read-only environment there is no cache
        self._grown = False

    @property
    def _path(self) -> Path:
        return self.cache / f"{self.package}-{self.version}.json"

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            if document["form"] == FORM:
                return {section: dict(document[section]) for section in ("resources", "functions", "objects")}
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return {"resources": {}, "functions": {}, "objects": {}}

    def _document(self, section: Section, name: str) -> dict[str, Any] | None:
        known = self._documents[section]
        if name not in known:
            found = getattr(self._source, section.removesuffix("s"))(name)
            if found is None:
                return None
            known[name] = found
            self._grown = True
        return known[name]


def _shape(document: dict[str, Any] | None) -> Shape | None:
    if document is None:
        return None
    secrets = tuple(document.get("secrets", ()))
    return Shape(_declared(document["inputs"]), _declared(document["outputs"]), secrets)


def _declared(document: dict[str, Any]) -> Declared:
    return {
        name: Property(_type(entry[0]), entry[1], tuple(entry[2]) if len(entry) > 2 else ())
        for name, entry in document.items()
    }


_SCALARS: Final = {kind: Type(kind) for kind in ("string", "integer", "number", "boolean", "any")}


def _type(document: Any) -> Type:
    if isinstance(document, str):
        return _SCALARS[document]
    kind, *inner = cast(list[Any], document)
    if kind == "object":
        return Type("object", name=inner[0])
    return Type(kind, tuple(_type(each) for each in inner))
