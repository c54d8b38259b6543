"""Tables keep every character at any width: a grid if it fits, otherwise a block for each record."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from console.tables import GAP, Table, cell, say, show, width

ID = "3f0c1d7e-5a55-4a0b-9d59-2f6f8f1f0c11-opened"
SENTENCE = "Writes to the ledger were slow because a replica was catching up after its disk had been replaced."


def plain(table: Table, columns: int | None) -> list[str]:
    return [line.plain for line in table.lines(columns)]


def example() -> Table:
    table = Table(("id", "at", "attempts", "what"), prose=("what",))
    table.add(ID, "2026-11-24T10:01Z", 3, SENTENCE)
    table.add(ID.replace("3f", "4f"), "2026-11-24T10:02Z", 10, "Short.")
    return table


def test_a_grid_that_fits_has_one_line_for_each_record() -> None:
    head, *rows = plain(example(), 200)
    assert head.split() == ["id", "at", "attempts", "what"]
    assert rows[0] == f"{ID}  2026-11-24T10:01Z  3         {SENTENCE}"
    assert len(rows) == 2


def test_prose_is_wrapped_between_words_if_the_grid_then_fits() -> None:
    lines = plain(example(), 110)
    assert lines[0].startswith("id ")
    assert all(len(line) <= 110 for line in lines)
    begin = lines[0].index("what")
    assert " ".join(line[begin:] for line in lines[1:-1]) == SENTENCE


@pytest.mark.parametrize("columns", [1, 40, 80])
def test_a_table_that_does_not_fit_has_a_block_for_each_record(columns: int) -> None:
    lines = plain(example(), columns)
    assert lines[0] == f"id        {ID}"
    assert lines[1] == "at        2026-11-24T10:01Z"
    assert lines.count("") == 1
    assert all(len(line) <= max(columns, 34) or ID[4:] in line for line in lines)


def test_width_is_none_for_a_pipe() -> None:
    table = example()
    table.add("x" * 5_000, "", "", SENTENCE * 50)
    assert len(plain(table, None)) == 4


def test_a_table_without_rows_prints_none() -> None:
    assert plain(Table(("id",)), 80) == ["none"]


WORDS = st.text(st.characters(categories=["Lo", "Lu", "N", "P", "S"]), min_size=1, max_size=60)
PROSE = st.lists(WORDS, max_size=12).map(" ".join)


@given(rows=st.lists(st.tuples(WORDS, PROSE, WORDS, PROSE), min_size=1, max_size=5), columns=st.integers(1, 250))
def test_no_word_is_lost_or_broken_at_any_width(rows: list[tuple[str, ...]], columns: int) -> None:
    table = Table(("id", "title", "at", "what"), prose=("title", "what"))
    for row in rows:
        table.add(*row)
    for limit in (columns, None):
        lines = plain(table, limit)
        is_grid = "title" in lines[0]
        names = table.columns if is_grid else table.columns * len(rows)
        words = [word for row in rows for text in row for word in text.split()]
        assert sorted(word for line in lines for word in line.split()) == sorted([*words, *names])
        assert not is_grid or limit is None or all(cell_len(line) <= limit for line in lines)


def test_a_style_survives_wrapping() -> None:
    table = Table(("id", "what"), prose=("what",))
    table.add(ID, Text(SENTENCE, "yellow"))
    for columns in (80, 100, None):
        lines = table.lines(columns)
        styled = [line.plain[span.start : span.end] for line in lines for span in line.spans if span.style == "yellow"]
        assert " ".join(styled) == SENTENCE


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (True, "yes"), (False, "no"), (0, "0"), (["a", "b"], "a, b"), ((), ""),
        ("\x1b[2J\n\u202e", "\N{REPLACEMENT CHARACTER}[2J" + "\N{REPLACEMENT CHARACTER}" * 2),
    ],
)  # fmt: skip
def test_cells(value: object, text: str) -> None:
    assert cell(value) == text


def test_the_variable_columns_sets_the_width(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert width() is None
    show(example())
    assert len(capsys.readouterr().out.splitlines()) == 3
    for exported, columns in (("80", 80), ("0", None), ("wide", None), ("", None)):
        monkeypatch.setenv("COLUMNS", exported)
        assert width() == columns
    monkeypatch.setenv("COLUMNS", "40")
    say(f"{SENTENCE} [bold]:smile:")
    assert capsys.readouterr().out == f"{SENTENCE} [bold]:smile:\n"


def test_columns_of_a_grid_do_not_touch() -> None:
    head = plain(example(), 110)[0]
    starts = [head.index(name) for name in ("id", "at", "attempts", "what")]
    assert all(head[after - len(GAP) : after] == GAP for _, after in pairwise(starts))
