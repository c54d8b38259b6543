"""The ledger: crash safety, and errors for corrupt files, which it never overwrites."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.ledger import CorruptError, Entry, Ledger


def decode(document: Entry) -> dict[str, Entry]:
    return dict(document["things"])


def encode(entries: dict[str, Entry]) -> Entry:
    return {"things": entries}


def opened(path: Path, **options: Any) -> Ledger:
    return Ledger(path, decode=decode, encode=encode, **options)


def content(path: Path) -> list[tuple[str, Entry]]:
    return opened(path, readonly=True).items()


def test_order_and_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "things.json"
    with opened(path) as ledger:
        ledger.put("a", {"n": 1})
        ledger.put("b", {"n": 2})
        ledger.put("a", {"n": 3})
        ledger.remove("nothing")
    assert content(path) == [("b", {"n": 2}), ("a", {"n": 3})]
    assert json.loads(path.read_text()) == {"things": {"b": {"n": 2}, "a": {"n": 3}}}
    assert not path.with_suffix(".journal").exists()


changes = st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 9)), max_size=12)


@given(before=changes, after=changes, cut=st.integers(0, 400))
def test_a_kill_loses_at_most_the_last_line(
    tmp_path_factory: pytest.TempPathFactory, before: list[Any], after: list[Any], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    path, journal = folder / "things.json", folder / "things.journal"
    with opened(path) as ledger:
        apply(ledger, before)
    states = {0: content(path)}
    ledger = opened(path)
    for change in after:
        apply(ledger, [change])
        states[journal.read_bytes().count(b"\n")] = ledger.items()
    # Simulate a kill: copy the files and cut the last line at any position.
    killed = folder / "killed"
    killed.mkdir()
    for file in (path, journal):
        if file.exists():
            shutil.copy(file, killed)
    torn = (killed / "things.journal").read_bytes()[:cut]
    (killed / "things.journal").write_bytes(torn)
    assert content(killed / "things.json") == states[torn.count(b"\n")]
    assert (killed / "things.journal").read_bytes() == torn
    with opened(killed / "things.json") as continued:
        apply(continued, [("z", 1)])
    assert content(killed / "things.json")[-1] == ("z", {"n": 1})


def apply(ledger: Ledger, changes: list[Any]) -> None:
    for key, value in changes:
        if value is None:
            ledger.remove(key)
        else:
            ledger.put(key, {"n": value})


def test_a_corrupt_snapshot_is_not_changed_and_the_error_names_the_backup(tmp_path: Path) -> None:
    path = tmp_path / "things.json"
    for n in (1, 2):
        with opened(path) as ledger:
            ledger.put("a", {"n": n})
    path.write_text('{"things": {"a": ')
    with pytest.raises(CorruptError, match=r"things\.json .*last good copy is .*things\.json\.bak"):
        opened(path)
    assert path.read_text() == '{"things": {"a": '
    path.with_name("things.json.bak").rename(path)
    assert content(path) == [("a", {"n": 2})]


def test_damage_to_the_first_snapshot_leaves_the_backup_intact(tmp_path: Path) -> None:
    path = tmp_path / "things.json"
    with opened(path) as ledger:
        ledger.put("a", {"n": 1})
    with path.open("r+") as file:  # in place, so that a hard link would be damaged, too
        file.truncate(5)
    with pytest.raises(CorruptError, match=r"last good copy is .*things\.json\.bak"):
        opened(path)
    path.with_name("things.json.bak").rename(path)
    assert content(path) == [("a", {"n": 1})]


def test_a_missing_snapshot_with_a_backup_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "things.json"
    with opened(path) as ledger:
        ledger.put("a", {"n": 1})
    path.unlink()
    with pytest.raises(CorruptError, match=r"things\.json is missing; the last good copy is .*things\.json\.bak"):
        opened(path)
    assert not path.exists()


def test_the_error_for_a_corrupt_snapshot_says_that_no_backup_exists(tmp_path: Path) -> None:
    path = tmp_path / "things.json"
    path.write_text("[]")
    with pytest.raises(CorruptError, match="no earlier copy exists"):
        opened(path)
    assert path.read_text() == "[]"


def test_a_corrupt_journal_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "things.json"
    with opened(path) as ledger:
        ledger.put("a", {"n": 1})
    journal = path.with_suffix(".journal")
    journal.write_text('nonsense\n{"put":"b","entry":{}}\n')
    with pytest.raises(CorruptError, match="move the journal away"):
        opened(path)
    assert journal.read_text().startswith("nonsense")


def test_a_readonly_ledger_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "things.json"
    assert opened(path, readonly=True).items() == []
    assert not path.parent.exists()


def test_replace_all_keeps_the_previous_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "things.json"
    with opened(path) as ledger:
        ledger.put("a", {"n": 1})
    with opened(path) as ledger:
        ledger.replace_all({"b": {"n": 2}})
    assert content(path) == [("b", {"n": 2})]
    assert json.loads(path.with_name("things.json.previous").read_text()) == {"things": {"a": {"n": 1}}}
