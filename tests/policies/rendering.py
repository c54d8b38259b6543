"""Render Markdown like GitHub: with cmark-gfm, then detect the links and mentions that GitHub adds outside code."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import cmarkgfm

# Text that GitHub turns into links or notifications outside code.
REFERENCES = {
    "mention": r"(?<![\w/`])@[a-z0-9]",
    "issue": r"#\d",
    "issue, spelt out": r"\bgh-\d",
    "advisory": r"\b(?:ghsa|cve)-\w",
    "commit": r"\b[0-9a-f]{7,40}\b",
    "address": r"://|\bwww\.|\w@\w",
}


@dataclass
class Rendered(HTMLParser):
    """A rendered comment."""

    text: str = ""  # the visible text: without zero-width spaces
    prose: str = ""  # the text outside code, with zero-width spaces
    tags: set[str] = field(default_factory=set)
    _code: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.tags.add(tag)
        self._code += tag in {"code", "pre"}

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in {"code", "pre"}

    def handle_data(self, data: str) -> None:
        self.text += data.replace("\u200b", "")
        self.prose += "\n" if self._code else data

    @property
    def references(self) -> list[str]:
        """Return every kind of link or notification that GitHub would add."""
        return [kind for kind, pattern in REFERENCES.items() if re.search(pattern, self.prose, re.IGNORECASE)]


def rendered(markdown: str) -> Rendered:
    """Render a comment like GitHub."""
    shown = Rendered()
    options = cmarkgfm.Options.CMARK_OPT_UNSAFE  # keeps raw HTML, so that tests can find it
    shown.feed(cmarkgfm.github_flavored_markdown_to_html(markdown, options))
    shown.close()
    return shown
