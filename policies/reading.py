"""Reading TOML and JSON files into pydantic models, with errors that name the file, the line or key, and the remedy."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from console.errors import InputError

# Characters that count as printable and show nothing: fillers, the empty Braille cell, joiners, variation selectors.
FILLERS: Final = (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0)
SELECTORS: Final = (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
BLANK: Final = frozenset(chr(code) for code in (*FILLERS, *SELECTORS))
EXPECTED: Final = {
    "string_type": "a text",
    "bool_type": "true or false",
    "date_type": "a date without quotes",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
}
"""Pydantic's error type to what was expected, in plain words."""


class Strict(BaseModel):
    """A frozen table that accepts only its own keys and types."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Foreign(BaseModel):
    """A frozen table of a format that another program defines: keys that are not read are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


Model = TypeVar("Model", bound=BaseModel)


def _visible(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; a text is expected")
    hidden = next((one for one in text if not one.isprintable() or one in BLANK), None)
    if hidden is not None:
        raise ValueError(f"contains U+{ord(hidden):04X}, which is invisible; write visible characters on one line")
    return text


Text = Annotated[str, AfterValidator(_visible)]
"""A text of visible characters on one line."""


def read(file: Path, remedy: str) -> bytes:
    """Return a file's content; `InputError` names the file and the remedy."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}; {remedy}") from error


def parse_toml(content: bytes, source: str) -> dict[str, Any]:
    """Parse TOML; `InputError` names the source and the line."""
    try:
        return tomllib.loads(content.decode())
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        line = place[1] if place else content.count(b"\n") + 1
        raise InputError(f"{source}:{line}: {error}; correct the TOML") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{source}:{_line(content, error)}: is not UTF-8; save the file as UTF-8") from error


def line_of(lines: Sequence[str], header: str, key: str = "") -> int:
    """Return the line of a TOML table's header, or of a key in that table; the header's line if the key is missing."""
    start = next((number for number, line in enumerate(lines) if line.strip()[1:-1].strip("\"'") == header), 0)
    keys = (f'"{key}"', f"'{key}'", key)
    rows = (number for number in range(start, len(lines)) if lines[number].partition("=")[0].strip() in keys)
    return (next(rows, start) if key else start) + 1


def parse_json(content: bytes, source: str, remedy: str = "correct the JSON") -> Any:
    """Parse standard JSON; `InputError` names the source, the line and the remedy.

    NaN, infinite numbers and lone surrogates, which Python alone accepts, are errors.
    """
    try:
        return standard_json(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{source}:{_line(content, error)}: is not UTF-8; {remedy}") from error
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise InputError(f"{source}:{line}: not JSON ({error}); {remedy}") from error


def standard_json(text: str) -> Any:
    """Parse standard JSON; `ValueError` for NaN, infinite numbers and lone surrogates."""
    document = json.loads(text, parse_constant=_not_finite, parse_float=_finite)
    if re.search(r"\\u[dD][89a-fA-F]", text):
        json.dumps(document, ensure_ascii=False).encode()  # raises for a lone surrogate
    return document


def _not_finite(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number in JSON")


def _finite(text: str) -> float:
    return value if math.isfinite(value := float(text)) else _not_finite(text)


def _line(content: bytes, error: UnicodeDecodeError) -> int:
    return content.count(b"\n", 0, error.start) + 1


def validate(model: type[Model], document: object, source: str, key: str = "", remedy: str = "") -> Model:
    """Validate a document, or the part of one at `key`; `InputError` lists each problem with its key."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = [
            f"{source}: {'.'.join(filter(None, (key, inner))) or 'the document'}: {what}"
            for inner, what in problems(error, model)
        ]
        raise InputError("\n".join(f"{one}; {remedy}" if remedy else one for one in found)) from error


def problems(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Return each problem as its key (empty for the table as a whole) and a message; unknown keys come first."""
    details = cast("list[dict[str, Any]]", error.errors())
    for detail in sorted(details, key=lambda one: one["type"] != "extra_forbidden"):
        location: tuple[str | int, ...] = detail["loc"]
        yield _key(location), _message(detail, model)


def _key(location: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")


def _message(detail: dict[str, Any], model: type[BaseModel]) -> str:
    kind, message = str(detail["type"]), str(detail["msg"])
    if kind == "missing":
        return "is missing; add it"
    if kind == "extra_forbidden":
        return f"no such key; allowed are {', '.join(_siblings(detail['loc'], model))}"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    if kind == "enum":
        return f"{detail['input']!r:.60}; {detail['ctx']['expected']} is expected"
    expected = f"{EXPECTED[kind]} is expected" if kind in EXPECTED else f"{message[0].lower()}{message[1:]}"
    return f"{detail['input']!r:.60}; {expected}"


def _siblings(location: tuple[str | int, ...], model: type[BaseModel]) -> list[str]:
    """Return the keys that are allowed beside an unknown one."""
    for part in location[:-1]:
        annotation = model.model_fields[str(part)].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return [field.alias or name for name, field in model.model_fields.items()]
