"""An ordered, crash-safe map on disk: a snapshot and a journal.

`NAME.json` is a readable snapshot; `NAME.journal` has one JSON line for each change since that snapshot. Opening the
map replays the journal. Closing it writes a new snapshot to a temporary file, renames that file, and does the same for
a backup copy, `NAME.json.bak`. If the process is killed, the journal's last line may be incomplete; that change was
never acknowledged, so the line is dropped. Any other unreadable content is an error that names the file and the last
good copy; no file is overwritten.

The engine stores its state in one ledger, and the simulated clouds store their objects in another.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TextIO, cast

Entry = dict[str, Any]


class CorruptError(Exception):
    """A ledger file is damaged or missing. The message names the file and the last good copy."""


class Ledger:
    """The map. `decode` converts a snapshot document to entries, `encode` converts entries to a document.

    Methods may be called from several threads. A value must not be mutated after `put`. Only one process may open a
    ledger for writing; the caller must hold a lock. A `readonly` ledger never writes to the files.
    """

    def __init__(
        self,
        path: Path,
        *,
        decode: Callable[[Entry], dict[str, Entry]],
        encode: Callable[[dict[str, Entry]], Entry],
        readonly: bool = False,
    ) -> None:
        self.path: Path = path
        self.readonly: bool = readonly
        self._journal_path: Path = path.with_suffix(".journal")
        self._backup_path: Path = path.with_name(path.name + ".bak")
        self._decode: Callable[[Entry], dict[str, Entry]] = decode
        self._encode: Callable[[dict[str, Entry]], Entry] = encode
        self._lock: threading.Lock = threading.Lock()
        self._entries: dict[str, Entry] = self._read_snapshot()
        self._replay()
        if not readonly:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Mode 600: the engine's state and the clouds' objects contain secrets.
            self._journal_path.touch(mode=0o600)
            self._journal: TextIO = self._journal_path.open("a", encoding="utf-8")
            self._fold()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._entries))

    def get(self, key: str) -> Entry | None:
        """The entry under `key`, or None."""
        return self._entries.get(key)

    def items(self) -> list[tuple[str, Entry]]:
        """Every key and entry, in order."""
        return list(self._entries.items())

    def put(self, key: str, entry: Entry) -> None:
        """Store `entry` at the end of the map. An existing key moves to the end."""
        with self._lock:
            self._append({"put": key, "entry": entry})
            self._entries.pop(key, None)
            self._entries[key] = entry

    def remove(self, key: str) -> None:
        """Remove `key` if it exists."""
        with self._lock:
            if key in self._entries:
                self._append({"remove": key})
                del self._entries[key]

    def replace_all(self, entries: dict[str, Entry]) -> None:
        """Replace all entries in one step. The old snapshot is kept as `NAME.json.previous`."""
        with self._lock:
            if self.path.exists():
                # A hard link, so that `NAME.json` exists at every moment.
                previous = self.path.with_name(self.path.name + ".previous")
                previous.unlink(missing_ok=True)
                previous.hardlink_to(self.path)
            self._entries = dict(entries)
            self._write_snapshot()

    def close(self) -> None:
        """Write the journal's changes into the snapshot. Without changes, write nothing."""
        with self._lock:
            if self.readonly or self._journal.closed:
                return
            self._fold()
            self._journal.close()
            self._journal_path.unlink()

    def _fold(self) -> None:
        if self._journal_path.stat().st_size:
            self._write_snapshot()

    def _append(self, change: Entry) -> None:
        self._journal.write(json.dumps(change, separators=(",", ":")) + "\n")
        self._journal.flush()

    def _write_snapshot(self) -> None:
        text = json.dumps(self._encode(self._entries), indent=2) + "\n"
        # The backup is a separate file, not a hard link: damage to one leaves the other intact.
        for path in (self.path, self._backup_path):
            aside = path.with_name(path.name + ".new")
            aside.touch(mode=0o600)
            with aside.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        self._journal.truncate(0)

    def _read_snapshot(self) -> dict[str, Entry]:
        if not self.path.exists():
            if self._backup_path.exists():
                raise CorruptError(
                    f"{self.path} is missing; the last good copy is {self._backup_path}: copy it over to continue from "
                    "there, or delete the copy as well to start with an empty ledger"
                )
            return {}
        try:
            return self._decode(cast(Entry, json.loads(self.path.read_text(encoding="utf-8"))))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._corrupt(self.path, error) from error

    def _replay(self) -> None:
        if not self._journal_path.exists():
            return
        content = self._journal_path.read_bytes()
        whole, _, torn = content.rpartition(b"\n")
        try:
            for line in whole.splitlines():
                change = cast(Entry, json.loads(line))
                if "put" in change:
                    self._entries.pop(change["put"], None)
                    self._entries[change["put"]] = change["entry"]
                else:
                    self._entries.pop(change["remove"], None)
        except (ValueError, KeyError, TypeError) as error:
            raise self._corrupt(self._journal_path, error) from error
        if torn and not self.readonly:
            with self._journal_path.open("r+b") as file:
                file.truncate(len(content) - len(torn))

    def _corrupt(self, path: Path, error: Exception) -> CorruptError:
        if path == self._journal_path:
            remedy = f"{self.path} holds the last complete run: move the journal away to continue from there"
        elif self._backup_path.exists():
            remedy = f"the last good copy is {self._backup_path}: copy it over to continue from there"
        else:
            remedy = "no earlier copy exists: move the file away to start with an empty ledger"
        return CorruptError(
            f"{path} cannot be read ({type(error).__name__}: {error}); the file was not changed; {remedy}"
        )
