"""`exemptions.toml`: rules that are excused for a resource, with owner, reason and expiry date.

An exemption that is malformed, expired or too broad, or names an unknown rule, is an `InputError` with its line. One
that excuses nothing is a failure, so the file lists only exemptions in use.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, cast

from pydantic import AfterValidator, ValidationError

from console.errors import InputError
from policies import reading
from policies.graph import Graph
from policies.reading import Strict, Text, parse_toml, read

ROOT: Final = Path(__file__).resolve().parent.parent
FILE: Final = Path(__file__).with_name("exemptions.toml")
LONGEST_DAYS: Final = 366  # an exemption for more than a year is a decision, which belongs in the rule
FEWEST_WORDS: Final = 3  # "for now" and "see above" are not reasons
EMAIL: Final = re.compile(r"[a-z\d][\w.%+'-]*@([a-z\d]([a-z\d-]*[a-z\d])?\.)+[a-z]{2,}", re.ASCII | re.IGNORECASE)
TEAM: Final = re.compile(r"@[a-z\d][a-z\d-]*/[a-z\d][\w.-]*", re.ASCII | re.IGNORECASE)
# `*` may follow at least two parts of a name and six characters, as in `worker-1-*`. One part alone may match all
# resources of a type, as in `alarms-*`.
BEGINNING: Final = re.compile(r"(?=.{6,}-\*$)[^*-]+(-[^*-]+)+-\*")
HEADER: Final = re.compile(r"^\s*\[\[\s*exemption\s*\]\]")


def _owner(owner: str) -> str:
    if not EMAIL.fullmatch(owner) and not TEAM.fullmatch(owner):
        raise ValueError(f"{owner!r} is not a contact; name an e-mail address, or a team as @organisation/team")
    return owner


def _reason(reason: str) -> str:
    words = [word for word in reason.split() if sum(unicodedata.category(one)[0] == "L" for one in word) > 1]
    if len(words) < FEWEST_WORDS:
        raise ValueError(f"{reason!r} is too short; give the reason in {FEWEST_WORDS} words or more")
    return reason


def _resource(resource: str) -> str:
    """Refuse a pattern that is not a URN, or is too broad."""
    parts = resource.split("::")
    if not resource.startswith("urn:pulumi:") or len(parts) < 4:
        raise ValueError(
            f"{resource!r} is not a URN (urn:pulumi:STACK::PROJECT::TYPE::NAME; the preview shows them with --json)"
        )
    stack, project, type, name = parts[0], parts[1], parts[2], "::".join(parts[3:])
    if "*" in stack or "*" in project:
        raise ValueError(f"{resource!r} is too broad: name the stack and the project")
    if "*" in type:
        raise ValueError(f"{resource!r} is too broad: write the type in full, with the types of its parents")
    if "*" in name and not BEGINNING.fullmatch(name):
        raise ValueError(
            f"{resource!r} is too broad: name the resource, or two parts of its name and `-*`, as in worker-1-*"
        )
    return resource


class Entry(Strict):
    """One exemption as a table of the file."""

    rule: Text
    resource: Annotated[Text, AfterValidator(_resource)]
    owner: Annotated[Text, AfterValidator(_owner)]
    reason: Annotated[Text, AfterValidator(_reason)]
    expires: date

    @property
    def stack(self) -> str:
        """The stack that its resource belongs to."""
        return self.resource.split("::")[0].rpartition(":")[2]


class Exemption(Entry):
    """One exemption with its file and line."""

    source: str
    line: int

    @property
    def place(self) -> str:
        """`policies/exemptions.toml:12`."""
        return f"{self.source}:{self.line}"

    def matches(self, urn: str) -> bool:
        """Return whether it is for this resource; only `*` is special, and matches any text."""
        return _pattern(self.resource).fullmatch(urn) is not None

    def excuses(self, rule: str, urn: str) -> bool:
        """Return whether it excuses this rule for this resource."""
        return rule == self.rule and self.matches(urn)

    def days_left(self, today: date) -> int:
        """Return how many days it is still valid, including the last one."""
        return (self.expires - today).days + 1


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")))


def load(rules: Collection[str], today: date, file: Path = FILE, *, ignore_expired: bool = False) -> list[Exemption]:
    """Return the exemptions of a file, none if it does not exist; `InputError` lists all problems with their lines.

    `ignore_expired` leaves out expired ones instead of refusing them.
    """
    if not file.exists():
        return []
    content = read(file, "make it readable, or delete it if nothing is excused")
    return parse(content, rules, stacks(), today, _shown(file), ignore_expired=ignore_expired)


def stacks(root: Path = ROOT) -> list[str]:
    """Return the project's stacks."""
    return sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in root.glob("Pulumi.?*.yaml"))


def parse(
    content: bytes,
    rules: Collection[str],
    stacks: Collection[str],
    today: date,
    source: str,
    *,
    ignore_expired: bool = False,
) -> list[Exemption]:
    """Return the exemptions of a file's content."""
    document = parse_toml(content, source)
    lines = content.decode().splitlines()
    if strange := sorted(document.keys() - {"exemption"}):
        raise InputError(
            f"{source}:{_line_of(strange[0], lines, 0)}: {strange[0]}: no such key; only [[exemption]] is allowed here"
        )
    entries = document.get("exemption", [])
    if not isinstance(entries, list):
        raise InputError(
            f"{source}:{_line_of('exemption', lines, 0)}: write [[exemption]], with two brackets each side"
        )
    starts = [number for number, line in enumerate(lines, 1) if HEADER.match(line)]
    listed = cast("list[Any]", entries)
    if len(starts) != len(listed):
        raise InputError(f"{source}:1: write each exemption as its own table below [[exemption]]")
    wrong: list[str] = []
    found: list[Exemption] = []
    for table, start in zip(listed, starts, strict=True):
        try:
            entry = Entry.model_validate(table)
            if ignore_expired and entry.expires < today:
                continue
            problems = list(_problems(entry, rules, stacks, today))
        except ValidationError as error:
            problems = list(reading.problems(error, Entry))
        else:
            found.append(Exemption.model_construct(**dict(entry), source=source, line=start))
        wrong += [f"{source}:{_line_of(key, lines, start)}: {key}: {what}" for key, what in problems]
    if wrong:
        raise InputError("\n".join(wrong))
    return found


def _problems(entry: Entry, rules: Collection[str], stacks: Collection[str], today: date) -> Iterator[tuple[str, str]]:
    """Return the problems of an exemption in this project and today, each with its key."""
    if entry.rule not in rules:
        yield "rule", f"{entry.rule!r} is not a rule; `python -m policies rules` lists them"
    if entry.stack not in stacks:
        yield "resource", f"the project has no stack {entry.stack!r}; it has {', '.join(sorted(stacks))}"
    if entry.expires < today:
        yield "expires", f"{entry.expires} has passed; remedy the finding, or renew the exemption with its reason"
    if (entry.expires - today).days > LONGEST_DAYS:
        yield "expires", f"{entry.expires} is more than {LONGEST_DAYS} days away; choose a date within a year"


def _line_of(key: str, lines: Sequence[str], start: int) -> int:
    """Return the line of a key in the table that begins at `start`, the table's own line if the key is missing."""
    for number, line in enumerate(lines[start:], start + 1):
        if HEADER.match(line):
            break
        if re.match(rf"\s*\[?\[?\s*[\"']?{re.escape(key)}[\"']?\s*[]=]", line):
            return number
    return max(start, 1)


def problems(exemptions: Iterable[Exemption], graph: Graph, used: Collection[Exemption]) -> list[str]:
    """Return the problems of a judged stack's exemptions: those that excuse nothing or match too many resources."""
    return [
        f"{one.place}: {one.rule}: {problem}"
        for one in exemptions
        if one.stack == graph.name and (problem := _problem(one, graph, used))
    ]


def _problem(one: Exemption, graph: Graph, used: Collection[Exemption]) -> str:
    fits = [resource for resource in graph.resources if one.matches(resource.urn)]
    types = sorted({resource.type for resource in fits})
    if len(types) > 1:
        return f"too broad: matches resources of {len(types)} types: {', '.join(types)}; name one of them"
    if one not in used:
        return "excuses nothing; remove it"
    kind = [resource for resource in graph.resources if resource.type in types]
    if "*" in one.resource and 2 * len(fits) > len(kind):
        return f"too broad: matches {len(fits)} of the {len(kind)} resources of type {types[0]}; name them one by one"
    return ""


def _shown(file: Path) -> str:
    """Return a path relative to the project."""
    resolved = file.resolve()
    return str(resolved.relative_to(ROOT)) if resolved.is_relative_to(ROOT) else str(file)
