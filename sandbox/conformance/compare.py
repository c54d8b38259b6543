"""Pure functions that compare the plans, calls and states of two engines; each difference is one line of text.

Names, ids, passwords, keys and certificates that the clouds generate differ between two runs. They are compared up to
renaming: each generated word in one state must correspond to exactly one word in the other state.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

from sandbox.conformance.recorder import Call
from sandbox.engine import urns
from sandbox.engine.state import dependencies_of
from sandbox.values import SIGNATURE

# Times, which differ in every run, and positions in the program's source.
IGNORED_FIELDS: Final = frozenset({"created", "modified", "sourcePosition", "stackTrace"})
UNORDERED: Final = frozenset({"dependencies", "aliases", "additionalSecretOutputs"})
REPLACING: Final = frozenset({"create-replacement", "delete-replaced", "replace"})
# A key or certificate in PEM format, a public key in OpenSSH's, and the validity of a certificate are one word each.
_WHOLE: Final = (
    r"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----"
    r"|\bAAAA[A-Za-z0-9+/]{32,}=*"
    r"|\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"
)
_WORDS: Final = re.compile(rf"({_WHOLE}|[A-Za-z0-9]+)", re.DOTALL)
_GENERATED: Final = re.compile(rf"{_WHOLE}|(?=.*\d)[A-Za-z0-9]{{4,}}|[A-Za-z0-9]{{16,}}", re.DOTALL)

Document = dict[str, Any]


def operation(op: str) -> str:
    """Return an operation's common name: the parts of a replacement are all `replace`."""
    return "replace" if op in REPLACING else op


def plans(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[str]:
    """Yield the differences of two plans (URN to operation), including `same` operations."""
    for urn in sorted({*ours, *theirs}):
        if ours.get(urn) != theirs.get(urn):
            yield f"{urn}: ours plans {ours.get(urn, 'nothing')}, Pulumi plans {theirs.get(urn, 'nothing')}"


def calls(ours: list[Call], theirs: list[Call], *states: Document) -> Iterator[str]:
    """Yield the differences of the calls to the clouds, and of their order among dependent resources.

    Direct and indirect dependencies are read from the `states`. Two deletions are ordered by direct dependencies only:
    Pulumi deletes two resources in parallel if all resources between them are kept.
    """
    direct = _direct(states)
    depends = _closed(direct)
    for call in sorted({*ours, *theirs}, key=lambda call: (call.urn, call.op)):
        if ours.count(call) != theirs.count(call):
            yield f"{call.urn}: {call.op}: {ours.count(call)} times in ours, {theirs.count(call)} times in Pulumi"
    mine, other = _positions(ours), _positions(theirs)
    common = [call for call in mine if call in other]
    by_urn: dict[str, list[Call]] = {}
    for call in common:
        by_urn.setdefault(call.urn, []).append(call)
    for call in common:
        related = {call.urn, *depends.get(call.urn, ())}
        for before in (one for urn in related for one in by_urn.get(urn, ()) if one != call):
            if before.op == call.op == "delete" and before.urn not in direct.get(call.urn, ()):
                continue
            if (mine[before] < mine[call]) != (other[before] < other[call]):
                order = "before" if mine[before] < mine[call] else "after"
                yield f"{before.op} of {before.urn}: {order} {call.op} of {call.urn} in ours, the other way in Pulumi"


def _positions(made: list[Call]) -> dict[Call, int]:
    return {call: index for index, call in enumerate(made)}


def _direct(states: Iterable[Document]) -> dict[str, set[str]]:
    """Return each resource's direct dependencies in any of these states."""
    direct: dict[str, set[str]] = {}
    for document in states:
        for entry in document["deployment"].get("resources") or ():
            direct.setdefault(entry["urn"], set()).update(dependencies_of(entry))
    return direct


def _closed(direct: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return each resource's direct and indirect dependencies."""
    closed: dict[str, set[str]] = {}

    def close(urn: str) -> set[str]:
        if urn not in closed:
            closed[urn] = set()
            for need in direct.get(urn, ()):
                closed[urn] |= {need} | close(need)
        return closed[urn]

    for urn in direct:
        close(urn)
    return closed


def states(ours: Document, theirs: Document) -> Iterator[str]:
    """Yield the differences of two exported states with secrets in plain text, resource by resource."""
    mine, other = _resources(ours), _resources(theirs)
    renaming = Renaming()
    for key in [*mine, *(key for key in other if key not in mine)]:
        if key not in mine or key not in other:
            yield f"{key}: only in the state of {'ours' if key in mine else 'Pulumi'}"
            continue
        yield from _values(mine[key], other[key], key, renaming)


def _resources(document: Document) -> dict[str, Document]:
    """Return the entries by URN, with a suffix for objects that are to be deleted."""
    entries: Iterable[Document] = document["deployment"].get("resources") or ()
    found: dict[str, Document] = {}
    for entry in entries:
        key = entry["urn"] + (" (to be deleted)" if entry.get("delete") else "")
        while key in found:
            key += "'"
        found[key] = _shape(entry)
    return found


def _shape(entry: Document) -> Document:
    shape: Document = {}
    for key, value in entry.items():
        if key in IGNORED_FIELDS or value in (None, [], {}, "", False):
            continue
        shape[key] = sorted(value) if key in UNORDERED else _plain(value)
    listed_needs = cast("dict[str, list[str] | None]", entry.get("propertyDependencies") or {})
    needs = {key: sorted(set(listed or [])) for key, listed in listed_needs.items()}
    shape["propertyDependencies"] = {key: listed for key, listed in needs.items() if listed}
    return shape


def _plain(value: Any, *, hidden: bool = False) -> Any:
    """Return a value with decrypted and marked secrets, so that the marks are compared, too."""
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        if SIGNATURE in table and "plaintext" in table:
            content = _plain(json.loads(table["plaintext"]), hidden=True)
            return content if hidden else {"secret": content}  # a nested mark makes no difference
        return {key: _plain(item, hidden=hidden) for key, item in table.items()}
    return [_plain(item, hidden=hidden) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _values(mine: Any, other: Any, path: str, renaming: Renaming) -> Iterator[str]:
    if isinstance(mine, dict) and isinstance(other, dict):
        left, right = cast("dict[str, Any]", mine), cast("dict[str, Any]", other)
        for key in sorted({*left, *right}):
            if key in left and key in right:
                yield from _values(left[key], right[key], f"{path}.{key}", renaming)
            else:
                yield f"{path}.{key}: only in the state of {'ours' if key in left else 'Pulumi'}"
    elif isinstance(mine, list) and isinstance(other, list):
        first, second = cast("list[Any]", mine), cast("list[Any]", other)
        if len(first) != len(second):
            yield f"{path}: ours has {len(first)} elements, Pulumi {len(second)}"
            return
        for index, (a, b) in enumerate(zip(first, second, strict=True)):
            yield from _values(a, b, f"{path}[{index}]", renaming)
    elif isinstance(mine, str) and isinstance(other, str):
        if not renaming.matches(mine, other):
            yield f"{path}: ours has {mine!r:.120}, Pulumi {other!r:.120}"
    elif mine != other or isinstance(mine, bool) != isinstance(other, bool):
        yield f"{path}: ours has {mine!r:.120}, Pulumi {other!r:.120}"


class Renaming:
    """A one-to-one mapping of generated words, extended while texts are compared."""

    def __init__(self) -> None:
        self._there: dict[str, str] = {}
        self._back: dict[str, str] = {}

    def matches(self, mine: str, other: str) -> bool:
        """Whether two texts are equal except for corresponding generated words."""
        if mine == other:
            return True
        first, second = _WORDS.split(mine), _WORDS.split(other)
        if len(first) == len(second) and first[::2] == second[::2]:
            pairs = [(a, b) for a, b in zip(first[1::2], second[1::2], strict=True) if a != b]
            if all(_GENERATED.fullmatch(a) and _GENERATED.fullmatch(b) for a, b in pairs):
                return all(self._bind(a, b) for a, b in pairs)
        # A password with special characters has no words to compare, so it is mapped as a whole.
        return len(mine) == len(other) >= 16 and " " not in mine + other and self._bind(mine, other)

    def _bind(self, mine: str, other: str) -> bool:
        return self._there.setdefault(mine, other) == other and self._back.setdefault(other, mine) == mine


def shown(operations: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return operations by URN, without default providers."""
    return {urn: operation(op) for urn, op in operations if not urns.is_default_provider(urn)}
