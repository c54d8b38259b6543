"""Rows, as a terminal shows them."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import cast

from rich.table import Table


def table(columns: Iterable[str], whole: Container[str] = ()) -> Table:
    """An empty table; the columns in `whole` are not broken, however narrow the terminal is."""
    empty = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        empty.add_column(column, no_wrap=column in whole, overflow="fold")
    return empty


def cell(value: object) -> str:
    """What stands in a cell; a text from elsewhere cannot steer the terminal."""
    if isinstance(value, list):
        return ", ".join(map(cell, cast("list[object]", value)))
    text = "" if value is None else str(value)
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
