"""`exemptions.toml`: which rule is excused for which resource, by whom, why, and until when.

An exemption that cannot be used (malformed, expired, too broad, of an unknown rule) stops everything with its line; one
that excuses nothing any more is reported as a failure, so that the file never says more than is true.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

from console.errors import InputError
from policies.graph import Graph

FILE: Final = Path(__file__).with_name("exemptions.toml")
LONGEST_DAYS: Final = 366  # what is excused for longer than a year is a decision, and belongs into the rule
KEYS: Final = ("rule", "resource", "owner", "reason", "expires")
BEGINNING: Final = re.compile(r"[^*-][^*]*-\*")  # `worker-1-*`: one part at least is named, and nothing follows
HEADER: Final = re.compile(r"^\s*\[\[\s*exemption\s*\]\]")


@dataclass(frozen=True)
class Exemption:
    """One exemption; `line` is where it begins."""

    rule: str
    resource: str
    owner: str
    reason: str
    expires: date
    source: str
    line: int

    @property
    def place(self) -> str:
        """`policies/exemptions.toml:12`."""
        return f"{self.source}:{self.line}"

    @property
    def stack(self) -> str:
        """The stack that its resource belongs to."""
        return self.resource.split("::")[0].rpartition(":")[2]

    def matches(self, urn: str) -> bool:
        """Whether it is about this resource; `*` stands for any text, and nothing else is special."""
        return _pattern(self.resource).fullmatch(urn) is not None

    def excuses(self, rule: str, urn: str) -> bool:
        """Whether it excuses this rule on this resource."""
        return rule == self.rule and self.matches(urn)

    def days_left(self, today: date) -> int:
        """How many days it still holds, the last one included."""
        return (self.expires - today).days + 1


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")))


def load(rules: Collection[str], today: date, file: Path = FILE) -> list[Exemption]:
    """Every exemption of a file, an empty list where there is none; `InputError` says what cannot be used."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    return parse(text, rules, today, _shown(file))


def parse(text: str, rules: Collection[str], today: date, source: str) -> list[Exemption]:
    """The same from its text."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        raise InputError(f"{source}:{found[1] if found else text.count(chr(10)) + 1}: {error}") from error
    lines = text.splitlines()
    if strange := sorted(document.keys() - {"exemption"}):
        raise InputError(f"{source}:{_line_of(strange[0], lines, 0)}: {strange[0]}: only [[exemption]] may stand here")
    entries = document.get("exemption", [])
    if not isinstance(entries, list):
        raise InputError(
            f"{source}:{_line_of('exemption', lines, 0)}: write [[exemption]], with two brackets each side"
        )
    starts = [number for number, line in enumerate(lines, 1) if HEADER.match(line)]
    listed = cast("list[Any]", entries)
    if len(starts) != len(listed):
        raise InputError(f"{source}:1: write each exemption as a table of its own, below [[exemption]]")
    return [_exemption(entry, rules, today, source, start, lines) for entry, start in zip(listed, starts, strict=True)]


def _exemption(
    entry: dict[str, Any], rules: Collection[str], today: date, source: str, start: int, lines: Sequence[str]
) -> Exemption:
    def wrong(key: str, what: str) -> InputError:
        return InputError(f"{source}:{_line_of(key, lines, start)}: {key}: {what}")

    for key in sorted(entry.keys() - set(KEYS)):
        raise wrong(key, f"no such key; an exemption has {', '.join(KEYS)}")
    for key in KEYS[:-1]:
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            raise wrong(key, "missing or empty; a text is expected")
    expires = entry.get("expires")
    if type(expires) is not date:  # a date and time is a date to isinstance()
        raise wrong("expires", f"{expires!r}; a date without quotes is expected, as 2027-01-31")
    if entry["rule"] not in rules:
        raise wrong("rule", f"{entry['rule']!r} is no rule; `python -m policies rules` lists them")
    if problem := _breadth(entry["resource"]):
        raise wrong("resource", f"{entry['resource']!r} {problem}")
    if expires < today:
        raise wrong("expires", f"{expires} has passed; remedy the finding, or renew the exemption with its reason")
    if (expires - today).days > LONGEST_DAYS:
        raise wrong("expires", f"{expires} is more than {LONGEST_DAYS} days away; exempt for a year at most")
    return Exemption(entry["rule"], entry["resource"], entry["owner"], entry["reason"], expires, source, start)


def _breadth(resource: str) -> str:
    """What is too broad about a resource's pattern; empty for one that may stand."""
    parts = resource.split("::")
    if not resource.startswith("urn:pulumi:") or len(parts) < 4:
        return "is no URN (urn:pulumi:STACK::PROJECT::TYPE::NAME; the preview shows them with --json)"
    stack, project, type, name = parts[0], parts[1], parts[2], "::".join(parts[3:])
    if "*" in stack or "*" in project:
        return "is too broad: name the stack and the project"
    if "*" in type:
        return "is too broad: name the type, with its parents'"
    if "*" in name and not BEGINNING.fullmatch(name):
        return "is too broad: name the resource, or the beginning of its name and `-*`"
    return ""


def _line_of(key: str, lines: Sequence[str], start: int) -> int:
    """The line of a key of the table that begins at `start`; the table's own where the key is missing."""
    for number, line in enumerate(lines[start:], start + 1):
        if HEADER.match(line):
            break
        if re.match(rf"\s*\[?\[?\s*[\"']?{re.escape(key)}[\"']?\s*[]=]", line):
            return number
    return max(start, 1)


def problems(exemptions: Iterable[Exemption], graph: Graph, used: Collection[Exemption]) -> list[str]:
    """What is wrong with the stack's exemptions now that it was judged: unused ones, and those that fit too much."""
    found: list[str] = []
    for one in exemptions:
        if one.stack != graph.name:
            continue
        types = sorted({resource.type for resource in graph.resources if one.matches(resource.urn)})
        if len(types) > 1:
            found.append(
                f"{one.place}: {one.rule}: too broad: fits resources of {len(types)} types: {', '.join(types)}"
            )
        elif one not in used:
            found.append(f"{one.place}: {one.rule}: excuses nothing any more; remove it")
    return found


def _shown(file: Path) -> str:
    """A path as it stands in the project."""
    root = Path(__file__).resolve().parent.parent
    resolved = file.resolve()
    return str(resolved.relative_to(root)) if resolved.is_relative_to(root) else str(file)
