"""Commands of pgBackRest, as scripts and PostgreSQL's settings contain them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

PROGRAMS: Final = frozenset({"pgbackrest", "/usr/bin/pgbackrest"})
# Options that change neither where backups go, nor whether they are made. They may be on any command.
HARMLESS: Final = frozenset(
    {"process-max", "log-level-console", "log-level-file", "log-level-stderr", "compress-level", "buffer-size"}
)


@dataclass(frozen=True)
class Command:
    """A command of pgBackRest with its options, without the harmless ones."""

    name: str
    options: Mapping[str, str]
    arguments: tuple[str, ...] = ()


def command_of(words: Sequence[str]) -> Command | None:
    """Parse the words of a command; None if it is not pgBackRest's, or has an option twice."""
    if not words or words[0] not in PROGRAMS:
        return None
    options: dict[str, str] = {}
    others: list[str] = []
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            others.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        if not equals and name in {"stanza", "type", *HARMLESS} and rest:
            value = rest.pop(0)
        if name in options:
            return None
        options[name] = value
    decisive = {
        name: value for name, value in options.items() if name not in HARMLESS or not re.fullmatch(r"\w+", value)
    }
    return Command(others[0], decisive, tuple(others[1:])) if others else None


def shell_command_of(text: str) -> Command | None:
    """Parse a command line; None if it has operators, variables, or comments of the shell."""
    if re.search(r"[;&|<>()`$#\\\n*?\[\]{}~!]", text):
        return None
    try:
        return command_of(shlex.split(text))
    except ValueError:  # a quote without its end
        return None
