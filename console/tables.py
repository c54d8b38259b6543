"""Tables and lines on stdout: fitted to the terminal's width, or of full width in a pipe.

No value is truncated. A table is a grid if it fits; otherwise each row is a block of lines. Only columns of prose are
wrapped, between words.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import cast

from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

GAP = "  "
NARROWEST_PROSE = 24  # in terminal columns; narrower text is hard to read
HEADER = "bold"


@dataclass(frozen=True)
class Table:
    """A table with named columns; `prose` lists the columns that may be wrapped."""

    columns: Sequence[str]
    prose: Sequence[str] = ()
    rows: list[tuple[Text, ...]] = field(default_factory=list[tuple[Text, ...]])

    def add(self, *values: object, style: str | Style = "") -> None:
        """Add a row. A `Text` keeps its style; other values are converted by `cell`."""
        texts = (value if isinstance(value, Text) else Text(cell(value), style) for value in values)
        self.rows.append(tuple(texts))

    def lines(self, width: int | None) -> list[Text]:
        """Return the lines of the table for a terminal of `width` columns, or for a pipe (None)."""
        if not self.rows:
            return [Text("none")]
        widths = self._widths(width)
        return list(self._blocks(cast("int", width)) if widths is None else self._grid(widths))

    def _widths(self, width: int | None) -> list[int] | None:
        """Return the width of each column of the grid, or None if the grid does not fit."""
        columns = list(zip(*self.rows, strict=True))
        natural = [
            max(cell_len(name), *(text.cell_len for text in texts))
            for name, texts in zip(self.columns, columns, strict=True)
        ]
        if width is None:
            return natural
        least = [
            min(whole, max(NARROWEST_PROSE, *(_longest_word(text) for text in texts))) if name in self.prose else whole
            for name, texts, whole in zip(self.columns, columns, natural, strict=True)
        ]
        spare = width - sum(least) - len(GAP) * (len(least) - 1)
        if spare < 0:
            return None
        # Columns of prose get the spare width from left to right, up to their full width.
        for index, (small, whole) in enumerate(zip(least, natural, strict=True)):
            least[index] += min(spare, whole - small)
            spare -= least[index] - small
        return least

    def _grid(self, widths: Sequence[int]) -> Iterator[Text]:
        yield _joined([Text(name, HEADER) for name in self.columns], widths)
        for row in self.rows:
            cells = [_wrapped(text, width) for text, width in zip(row, widths, strict=True)]
            for parts in zip_longest(*cells, fillvalue=Text()):
                yield _joined(parts, widths)

    def _blocks(self, width: int) -> Iterator[Text]:
        label = max(map(cell_len, self.columns)) + len(GAP)
        for number, row in enumerate(self.rows):
            if number:
                yield Text()
            for name, text in zip(self.columns, row, strict=True):
                for index, part in enumerate(_wrapped(text, max(width - label, NARROWEST_PROSE))):
                    yield _joined([Text("" if index else name, HEADER), part], [label - len(GAP), 0])


def show(table: Table) -> None:
    """Print a table, or `none` if it has no rows."""
    for line in table.lines(width()):
        say(line)


def say(text: str | Text, style: str = "") -> None:
    """Print one line without wrapping it."""
    Console(highlight=False, markup=False, emoji=False).print(text, style=style, soft_wrap=True)


def width() -> int | None:
    """Return the width from COLUMNS, or else of the terminal; None for a pipe."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    return (os.get_terminal_size(sys.stdout.fileno()).columns or None) if sys.stdout.isatty() else None


def cell(value: object) -> str:
    """Return a value as text, with control characters replaced so that they cannot control the terminal."""
    if isinstance(value, list | tuple):
        return ", ".join(map(cell, cast("Sequence[object]", value)))
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "" if value is None else str(value)
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _longest_word(text: Text) -> int:
    return max(map(cell_len, text.plain.split()), default=0)


def _wrapped(text: Text, width: int) -> list[Text]:
    """Split a text into lines of at most `width` columns; a longer word is not broken."""
    if text.cell_len <= width:
        return [text]
    parts = [""]
    for word in text.plain.split():
        if parts[-1] and cell_len(f"{parts[-1]} {word}") > width:
            parts.append("")
        parts[-1] += f" {word}" if parts[-1] else word
    return [Text(part, text.style) for part in parts]


def _joined(parts: Sequence[Text], widths: Sequence[int]) -> Text:
    line = Text()
    for index, (part, width) in enumerate(zip(parts, widths, strict=True)):
        line.append(GAP if index else "").append_text(part).append(" " * (width - part.cell_len))
    line.rstrip()
    return line
