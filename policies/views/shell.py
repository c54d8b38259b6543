"""Parse the shell scripts of machines into lines without comments. A script that this cannot parse fails its rule."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from posixpath import basename
from typing import Final

from policies.views.machines import ENVIRONMENT, Machine

PIECE: Final = re.compile(
    r"""(?P<quoted>'[^'\n]*'|"(?:\\[^\n]|[^"\\\n])*")|(?P<joined>\\\n)|(?P<escaped>\\.)"""
    r"""|(?P<comment>(?:^|(?<=[\s;&|(]))\#[^\n]*)|[^'"\\]""",
    re.MULTILINE,
)
UNREADABLE: Final = re.compile(r"(?<!<)<<(?!<)|\$\"\"")  # here-documents, and quotes like $'…'
OPENING: Final = frozenset({"if", "while", "until", "for", "case", "select", "{"})
CLOSING: Final = frozenset({"fi", "done", "esac", "}"})
KEYWORDS: Final = frozenset({*OPENING, *CLOSING, "then", "elif", "else", "do", "!"})
FUNCTION: Final = re.compile(r"(?P<name>[A-Za-z_]\w*)\(\)\s*\{\s*(?P<body>[^;]+);\s*\}")
DEFINED: Final = re.compile(
    r"(?:^|[;&|{]|\b(?:then|do|else)\b)\s*"
    r"(?:function\s+([\w.-]+)|([\w.-]+)\s*\(\s*\)\s*[{(]|alias\s+(?:-\w+\s+)*([\w.-]+)=)",
    re.MULTILINE,
)
# Scripts read the file of variables, which in turn reads this one if it exists.
LOCAL: Final = "/etc/default/backbuild-local"
STEERING: Final = re.compile(
    r"(?:^|[;&|{(]|\b(?:then|do|else)\b)\s*(?:set|trap|exit|return|eval|shift)\b.*", re.MULTILINE
)
STRICT: Final = frozenset({"errexit", "nounset"})
LETTERS: Final = {"e": "errexit", "u": "nounset", "E": "errtrace", "C": "noclobber"}
LONG: Final = frozenset({*LETTERS.values(), "pipefail"})


@dataclass(frozen=True)
class Line:
    """A line of a script, without its comment, joined with the lines that continue it."""

    text: str
    bare: str
    """The text with `""` in place of each quoted string."""
    block: str
    """The line that begins the outermost block or function around it, or its `else`; empty outside of all blocks."""

    @property
    def commands(self) -> list[list[str]]:
        """The words of all commands in the line, without quoted strings."""
        return [words for _, words in _commands(self.bare) if words]

    @property
    def words(self) -> list[str] | None:
        """The words of a line that is one simple command, with `$X` for `${X}`; else None."""
        if re.search(r"[;&|<>()`!{}\\]", re.sub(r"\$\{\w+\}", "", self.bare)) or re.search(r"['\\]", self.text):
            return None
        return [re.sub(r"\$\{(\w+)\}", r"$\1", word) for word in shlex.split(self.text)]


@cache
def lines_of(script: str) -> tuple[Line, ...] | None:
    """Return the lines of a script, or None if they cannot be read with certainty.

    Unreadable are here-documents, strings of several lines, `case`, and blocks that do not end.
    """
    pieces = list(PIECE.finditer(script))
    if sum(len(piece[0]) for piece in pieces) < len(script):
        return None
    kept = [piece for piece in pieces if not piece["comment"] and not piece["joined"]]
    text = "".join(piece[0] for piece in kept)
    bare = "".join('""' if piece["quoted"] else "_" if piece["escaped"] else piece[0] for piece in kept)
    if UNREADABLE.search(bare):
        return None
    return _in_blocks(list(_joined(text.splitlines(), bare.splitlines())))


def _joined(texts: Sequence[str], bares: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Join lines that end with `&&`, `||` or `|` with the next ones; omit empty lines."""
    text = bare = ""
    for more_text, more_bare in zip(texts, bares, strict=True):
        text, bare = f"{text} {more_text.strip()}".strip(), f"{bare} {more_bare.strip()}".strip()
        if bare and not bare.endswith(("&&", "|")):
            yield text, bare
            text = bare = ""
    if bare:
        yield text, bare


def _in_blocks(lines: Sequence[tuple[str, str]]) -> tuple[Line, ...] | None:
    found: list[Line] = []
    depth, block = 0, ""
    for text, bare in lines:
        if depth == 1 and re.match(r"(?:else|elif)\b", bare):
            block = text
        found.append(Line(text, bare, block))
        change = sum(opened for opened, _ in _commands(bare)) + bare.count("(") - bare.count(")")
        if depth == 0 and change > 0:
            block = text
        depth += change
        if depth < 0 or "case" in bare.split():
            return None
        block = block if depth else ""
    return None if depth else tuple(found)


def _commands(bare: str) -> Iterator[tuple[int, list[str]]]:
    """Return for each command of a line how many blocks it opens (negative: closes), and its words."""
    for part in re.split(r"[;&|()`]+", bare):
        words, opened = part.split(), 0
        while words and words[0] in KEYWORDS:
            keyword = words.pop(0)
            opened += (keyword in OPENING) - (keyword in CLOSING)
        yield opened, words


def functions_of(lines: Sequence[Line]) -> dict[str, list[str]]:
    """Return the functions of a script that only run one command with their own arguments: name to the command's words.

    A function that is defined twice is not among them.
    """
    found: dict[str, list[str]] = {}
    names = [name for line in lines for name in defined(line.bare)]
    texts = [line.text for line in lines]
    for index, line in enumerate(lines):
        several = line.text.endswith("{") and len(texts) > index + 2
        match = FUNCTION.fullmatch(f"{line.text} {texts[index + 1]}; {texts[index + 2]}" if several else line.text)
        body = Line(match["body"], match["body"], line.block).words if match and not line.block else None
        if match and body and body[-1] == "$@" and names.count(match["name"]) == 1:
            found[match["name"]] = body[:-1]
    return found


def expanded(words: list[str] | None, functions: dict[str, list[str]]) -> list[str]:
    """Return a command's words with the call of a function replaced by the command that the function runs."""
    return [*functions.get(words[0], words[:1]), *words[1:]] if words else []


def stops_at_errors(lines: Sequence[Line]) -> bool:
    """Return whether a script begins with `set -eu`, in any spelling, and keeps these options to its end."""
    options: set[str] = set()
    started = False
    for line in lines:
        if all(words[0] != "set" for words in line.commands):
            started = True
        elif started or line.block or (more := _options(line.words or [])) is None:
            return False
        else:
            options |= more
    return options >= STRICT


def _options(words: list[str]) -> set[str] | None:
    """Return the options that a `set` command switches on; None if it does anything else."""
    found: set[str] = set()
    rest = words[1:]
    while rest:
        word = rest.pop(0)
        if not re.fullmatch(r"-[eEuC]*o?", word) or word == "-":
            return None
        found |= {LETTERS[letter] for letter in word[1:] if letter != "o"}
        if word.endswith("o"):
            if not rest or rest[0] not in LONG:
                return None
            found.add(rest.pop(0))
    return found


@cache
def defined(text: str) -> frozenset[str]:
    """Return the names of the functions and aliases that a text defines, and PATH if it sets that variable."""
    names = {name for match in DEFINED.findall(text) for name in match if name}
    return frozenset(names | ({"PATH"} if re.search(r"\bPATH\+?=", text) else set()))


def steered(machine: Machine) -> str | None:
    """Return how the file of variables, which scripts read after `set -eu`, changes how they run, else None."""
    if LOCAL in machine.files:
        return f"{LOCAL} overrides {ENVIRONMENT}; move its lines there"
    found = STEERING.search(machine.file(ENVIRONMENT))
    return f"{ENVIRONMENT} has {found[0].strip()!r:.60}, which changes how scripts run; remove it" if found else None


def replaced(machine: Machine, *programs: str) -> str | None:
    """Return which file of a machine may replace a program, or defines a function or alias of its name; else None."""
    for path, content in machine.files.items():
        if basename(path) in programs:
            return f"{path} may run in place of {basename(path)}; rename it"
        if found := defined(content) & {*programs, "PATH"}:
            return f"{path} defines {min(found)}, so other programs may run than those that are named; remove it"
    return None
