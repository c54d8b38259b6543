"""The documents refer only to existing files, headings, commands and options of the sandbox, and make targets."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.cli import _parser

REPOSITORY = Path(__file__).resolve().parents[2]
SKIPPED = {".venv", "node_modules", ".git", ".sandbox", ".pytest_cache"}
DOCUMENTS = sorted(
    path for path in REPOSITORY.rglob("*.md") if not SKIPPED.intersection(path.relative_to(REPOSITORY).parts)
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
# A path in the prose: in the repository, with a folder and a suffix, such as `model/settings.py`.
FOLDERS = "components|machines|workers|policies|drills|sandbox|tests|docs|benchmarks|bin"
MENTION = re.compile(rf"(?<![\w./*-])((?:{FOLDERS})/[\w./-]+\.(?:py|md|js|sql|yaml|yml|toml|svg|json))\b")
SANDBOX = re.compile(r"python -m sandbox +([^`\n|#]+)")
MAKE = re.compile(
    r"(?:`|^\s*|&& *)make ((?:[\w-]+|[A-Z]+=\w+)(?: +(?:[\w-]+|[A-Z]+=\w+))*)(?=`|\s*(?:#.*)?$)", re.MULTILINE
)


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings."""
    headings = re.findall(r"^#+ +(.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def dangling(document: Path, text: str) -> Iterator[str]:
    """Yield the links and paths in a document whose target does not exist."""
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists():
            yield link
        elif anchor and anchor not in anchors(target):
            yield f"{link} (no such heading)"
    yield from (
        path
        for path in MENTION.findall(text)
        if not any((base / path).exists() for base in (REPOSITORY, document.parent))
    )


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the sandbox's commands by name."""
    (choices,) = (a.choices for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(choices)


def misspelt(text: str) -> Iterator[str]:
    """Yield the commands in a document that the sandbox or make would reject."""
    known = commands()
    for line in SANDBOX.findall(text):
        name, *words = shlex.split(line.partition(" -- ")[0].replace("…", ""))
        if not name.islower():  # a placeholder: COMMAND
            continue
        if name not in known:
            yield f"python -m sandbox {name}"
            continue
        options = known[name]._option_string_actions
        allowed = (word for word in words if word.startswith("--") and word != "--")
        yield from (f"{name} {word}" for word in allowed if word not in options)
    makefile = REPOSITORY / "Makefile"
    targets = set(re.findall(r"^([a-z][\w-]*):", makefile.read_text(), re.MULTILINE))
    for line in MAKE.findall(text):
        yield from (f"make {word}" for word in line.split() if "=" not in word and word not in targets)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_link_path_and_command_exists(document: Path) -> None:
    text = document.read_text()
    assert [*dangling(document, text), *misspelt(text)] == []


def test_a_missing_target_is_detected(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    text = (
        "# A heading\n[good](#a-heading) [gone](gone.md) [bad](#another) `components/none.py`\n"
        "`python -m sandbox frobnicate --stack prod`\n`python -m sandbox up --stak prod`\n`make nothing`\n"
    )
    document.write_text(text)
    assert list(dangling(document, text)) == ["gone.md", "#another (no such heading)", "components/none.py"]
    assert list(misspelt(text)) == ["python -m sandbox frobnicate", "up --stak", "make nothing"]


def test_runbooks_that_the_stack_exports_exist() -> None:
    # The source is parsed, because importing it would load both SDKs.
    exported = re.findall(r'"(docs/runbooks/[^"]+)"', (REPOSITORY / "components" / "platform.py").read_text())
    assert {REPOSITORY / path for path in exported} == set((REPOSITORY / "docs" / "runbooks").glob("*.md"))


def test_documents_are_found() -> None:
    assert REPOSITORY / "docs" / "operating.md" in DOCUMENTS
