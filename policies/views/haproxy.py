"""HAProxy's configuration: its sections, and the servers in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from policies.graph import Undetermined
from policies.views.machines import HAPROXY, UNITS, Machine
from policies.views.units import packaged_overridden

HEADS: Final = frozenset(
    {
        "global",
        "defaults",
        "frontend",
        "backend",
        "listen",
        "peers",
        "resolvers",
        "userlist",
        "cache",
        "program",
        "ring",
    }
)
DROP_IN: Final = f"{UNITS}/haproxy.service.d/backbuild.conf"
# The keys that the drop-in of HAProxy's unit may set; any value is accepted.
SERVICE: Final = {"Restart": None, "RestartSec": None, "LimitNOFILE": None}
FLAGS: Final = frozenset({"check", "check-ssl"})
LIMITS: Final = frozenset({"maxconn", "minconn", "maxqueue"})


@dataclass(frozen=True)
class Section:
    """A section: `head` is its first line, `lines` are the words of the others."""

    head: str
    lines: tuple[tuple[str, ...], ...]

    def starting(self, *words: str) -> list[tuple[str, ...]]:
        """Return the lines that begin with some words."""
        return [line for line in self.lines if line[: len(words)] == words]


@dataclass(frozen=True)
class Server:
    """A server; `keywords` have a value, except `check` and `check-ssl`, whose value is empty."""

    address: str
    port: str
    keywords: Mapping[str, str]


@cache
def sections_of(text: str) -> tuple[Section, ...]:
    """Parse a configuration. Raises `ValueError` if a quote does not end."""
    found: list[tuple[str, list[tuple[str, ...]]]] = []
    for line in text.splitlines():
        words = tuple(shlex.split(line, comments=True))
        if words and words[0] in HEADS:
            found.append((" ".join(words), []))
        elif words and found:
            found[-1][1].append(words)
        elif words:
            raise ValueError(f"the line {line} is in no section; move it below a section's head")
    return tuple(Section(head, tuple(lines)) for head, lines in found)


def haproxy_sections(machine: Machine) -> tuple[Section, ...]:
    """Return the sections of a machine's configuration. Raises `Undetermined` if it cannot be parsed."""
    try:
        return sections_of(machine.file(HAPROXY))
    except ValueError as error:
        raise Undetermined(machine.urn, HAPROXY, f"cannot be parsed: {error}") from None


def server_of(words: Sequence[str]) -> Server | None:
    """Parse a line `server NAME ADDRESS:PORT KEYWORDS`; None if it has another form, or a keyword twice."""
    where = re.fullmatch(r"([0-9.]+):(\d+)", words[2]) if len(words) > 2 else None
    if where is None:
        return None
    keywords: dict[str, str] = {}
    rest = list(words[3:])
    while rest:
        keyword = rest.pop(0)
        if keyword in keywords or (keyword not in FLAGS and not rest):
            return None
        keywords[keyword] = "" if keyword in FLAGS else rest.pop(0)
    return Server(where[1], where[2], keywords)


def wrong_keyword(server: Server) -> str | None:
    """Return which keyword of a server is missing or not allowed, None if all are correct."""
    for keyword, value in server.keywords.items():
        if keyword not in (*FLAGS, "port", *LIMITS):
            return f"{keyword} must not be set"
        if keyword not in FLAGS and not value.isdecimal():
            return f"{keyword} is {value}; a number is expected"
    return next((f"{one} is missing" for one in ("check", "check-ssl", "port") if one not in server.keywords), None)


def overridden(machine: Machine) -> str | None:
    """Return which file or variable overrides HAProxy's configuration file, None if none does."""
    for path, content in machine.files.items():
        if path == "/etc/default/haproxy" or (path.startswith("/etc/haproxy/") and path != HAPROXY):
            return f"{path} may override {HAPROXY}; remove it"
        if "EXTRAOPTS" in content:
            return f"{path} names EXTRAOPTS, options that override {HAPROXY}; remove it"
    return packaged_overridden(machine, "haproxy", DROP_IN, SERVICE)
