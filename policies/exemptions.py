"""`exemptions.toml`: which rule is excused for which resource, by whom, why, and until when.

An exemption that cannot be used (malformed, expired, too broad, of an unknown rule) stops everything with its line; one
that excuses nothing any more is reported as a failure, so that the file never says more than is true.
"""

from __future__ import annotations

import re
import tomllib
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
from policies.reading import Strict, Text

ROOT: Final = Path(__file__).resolve().parent.parent
FILE: Final = Path(__file__).with_name("exemptions.toml")
LONGEST_DAYS: Final = 366  # what is excused for longer than a year is a decision, and belongs into the rule
FEWEST_WORDS: Final = 3  # "for now", "see above" say nothing
EMAIL: Final = re.compile(r"[a-z\d][\w.%+'-]*@([a-z\d]([a-z\d-]*[a-z\d])?\.)+[a-z]{2,}", re.ASCII | re.IGNORECASE)
TEAM: Final = re.compile(r"@[a-z\d][a-z\d-]*/[a-z\d][\w.-]*", re.ASCII | re.IGNORECASE)
# What a star may follow: two parts of a name, six characters at least, as in `worker-1-*`. One part may be common to
# all names of a kind, as in `alarms-*`.
BEGINNING: Final = re.compile(r"(?=.{6,}-\*$)[^*-]+(-[^*-]+)+-\*")
HEADER: Final = re.compile(r"^\s*\[\[\s*exemption\s*\]\]")


def _owner(owner: str) -> str:
    if not EMAIL.fullmatch(owner) and not TEAM.fullmatch(owner):
        raise ValueError(f"{owner!r} reaches nobody; name an e-mail address, or a team as @organisation/team")
    return owner


def _reason(reason: str) -> str:
    words = [word for word in reason.split() if sum(unicodedata.category(one)[0] == "L" for one in word) > 1]
    if len(words) < FEWEST_WORDS:
        raise ValueError(f"{reason!r} says too little; say why in {FEWEST_WORDS} words or more")
    return reason


def _resource(resource: str) -> str:
    """Refuse a resource's pattern that is too broad."""
    parts = resource.split("::")
    if not resource.startswith("urn:pulumi:") or len(parts) < 4:
        raise ValueError(
            f"{resource!r} is no URN (urn:pulumi:STACK::PROJECT::TYPE::NAME; the preview shows them with --json)"
        )
    stack, project, type, name = parts[0], parts[1], parts[2], "::".join(parts[3:])
    if "*" in stack or "*" in project:
        raise ValueError(f"{resource!r} is too broad: name the stack and the project")
    if "*" in type:
        raise ValueError(f"{resource!r} is too broad: name the type, with its parents'")
    if "*" in name and not BEGINNING.fullmatch(name):
        raise ValueError(
            f"{resource!r} is too broad: name the resource, or two parts of its name and `-*`, as in worker-1-*"
        )
    return resource


class Entry(Strict):
    """One exemption as its table says it."""

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
    """One exemption, and where it begins."""

    source: str
    line: int

    @property
    def place(self) -> str:
        """`policies/exemptions.toml:12`."""
        return f"{self.source}:{self.line}"

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


def load(rules: Collection[str], today: date, file: Path = FILE, *, ignore_expired: bool = False) -> list[Exemption]:
    """Every exemption of a file, an empty list where there is none; `InputError` says what cannot be used.

    `ignore_expired` leaves out expired ones instead of refusing them.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    return parse(text, rules, stacks(), today, _shown(file), ignore_expired=ignore_expired)


def stacks(root: Path = ROOT) -> list[str]:
    """The stacks that the project has."""
    return sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in root.glob("Pulumi.?*.yaml"))


def parse(
    text: str,
    rules: Collection[str],
    stacks: Collection[str],
    today: date,
    source: str,
    *,
    ignore_expired: bool = False,
) -> list[Exemption]:
    """The same from its text."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        raise InputError(f"{source}:{place[1] if place else text.count(chr(10)) + 1}: {error}") from error
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
    """What is wrong with an exemption here and today: its key and the problem."""
    if entry.rule not in rules:
        yield "rule", f"{entry.rule!r} is no rule; `python -m policies rules` lists them"
    if entry.stack not in stacks:
        yield "resource", f"the project has no stack {entry.stack!r}; it has {', '.join(sorted(stacks))}"
    if entry.expires < today:
        yield "expires", f"{entry.expires} has passed; remedy the finding, or renew the exemption with its reason"
    if (entry.expires - today).days > LONGEST_DAYS:
        yield "expires", f"{entry.expires} is more than {LONGEST_DAYS} days away; exempt for a year at most"


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
    return [
        f"{one.place}: {one.rule}: {problem}"
        for one in exemptions
        if one.stack == graph.name and (problem := _problem(one, graph, used))
    ]


def _problem(one: Exemption, graph: Graph, used: Collection[Exemption]) -> str:
    fits = [resource for resource in graph.resources if one.matches(resource.urn)]
    types = sorted({resource.type for resource in fits})
    if len(types) > 1:
        return f"too broad: fits resources of {len(types)} types: {', '.join(types)}; name one of them"
    if one not in used:
        return "excuses nothing any more; remove it"
    kind = [resource for resource in graph.resources if resource.type in types]
    if "*" in one.resource and 2 * len(fits) > len(kind):
        return f"too broad: fits {len(fits)} of the {len(kind)} resources of type {types[0]}; name them one by one"
    return ""


def _shown(file: Path) -> str:
    """A path as it stands in the project."""
    resolved = file.resolve()
    return str(resolved.relative_to(ROOT)) if resolved.is_relative_to(ROOT) else str(file)
