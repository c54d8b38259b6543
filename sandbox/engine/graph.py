"""Dependencies between the resources of a state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property

from sandbox.engine.state import dependencies_of, in_order
from sandbox.ledger import Entry


class Dependents:
    """The dependents of each resource; computed at first use."""

    def __init__(self, entries: dict[str, Entry]) -> None:
        self._entries: dict[str, Entry] = entries

    @cached_property
    def _direct(self) -> dict[str, list[str]]:
        direct: dict[str, list[str]] = defaultdict(list)
        for urn, entry in self._entries.items():
            for need in dict.fromkeys(dependencies_of(entry)):
                direct[need].append(urn)
        return dict(direct)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {entry["urn"]: index for index, entry in enumerate(in_order(self._entries))}

    def of(self, urn: str) -> list[str]:
        """Return the direct and indirect dependents of `urn`, each after its dependencies."""
        found: set[str] = set()
        waiting = [urn]
        while waiting:
            fresh = [other for other in self._direct.get(waiting.pop(), ()) if other not in found]
            found.update(fresh)
            waiting.extend(fresh)
        return sorted(found, key=lambda each: self._position[each])


def waves(needs: Mapping[str, Iterable[str]]) -> Iterable[list[str]]:
    """Yield keys in waves for deletion: each key after all keys that need it.

    A cycle is an error in the state. Its keys, and the keys that they need, are the last wave.
    """
    needed_by: dict[str, int] = dict.fromkeys(needs, 0)
    wanted = {
        key: [need for need in dict.fromkeys(listed) if need in needs and need != key] for key, listed in needs.items()
    }
    for listed in wanted.values():
        for need in listed:
            needed_by[need] += 1
    wave = [key for key, count in needed_by.items() if count == 0]
    while wave:
        yield wave
        following: list[str] = []
        for key in wave:
            del needed_by[key]
            for need in wanted[key]:
                needed_by[need] -= 1
                if needed_by[need] == 0:
                    following.append(need)
        wave = following
    if needed_by:
        yield list(needed_by)
