"""Reading TOML into pydantic models: each problem with the key that has it and what is allowed there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

# What counts as printable and shows nothing: fillers, the empty Braille cell, joiners, variation selectors.
FILLERS: Final = (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0)
SELECTORS: Final = (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
BLANK: Final = frozenset(chr(code) for code in (*FILLERS, *SELECTORS))
PLAIN: Final = {"string_type": "a text", "bool_type": "true or false", "date_type": "a date without quotes"}


class Strict(BaseModel):
    """A frozen table that takes its own keys and types only."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def _visible(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; a text is expected")
    hidden = next((one for one in text if not one.isprintable() or one in BLANK), None)
    if hidden is not None:
        raise ValueError(f"holds U+{ord(hidden):04X}, which does not show; write visible characters on one line")
    return text


Text = Annotated[str, AfterValidator(_visible)]
"""A text that a reader sees whole."""


def problems(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Each problem as its key (empty for the table as a whole) and what is wrong; unknown keys come first."""
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
    expected = f"{PLAIN[kind]} is expected" if kind in PLAIN else f"{message[0].lower()}{message[1:]}"
    return f"{detail['input']!r:.60}; {expected}"


def _siblings(location: tuple[str | int, ...], model: type[BaseModel]) -> list[str]:
    """The keys that are allowed beside an unknown one."""
    for part in location[:-1]:
        annotation = model.model_fields[str(part)].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return list(model.model_fields)
