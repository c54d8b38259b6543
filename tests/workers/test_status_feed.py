"""Tests of the Atom feed, and of escaping any text in every format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from html.parser import HTMLParser
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .formats import NOW, SINCE, SVG, Formats, incident, maintenance, snapshot, update

ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture(scope="module")
def formats() -> Iterator[Formats]:
    formats = Formats()
    yield formats
    formats.close()


class Text(HTMLParser):
    """The text of HTML as a feed reader shows it: one line for each break."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(html)
        self.close()

    def handle_data(self, data: str) -> None:
        self.text += data.replace("\n", " ")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag in ("br", "p"):
            self.text += "\n"


def entries(feed: Element) -> dict[str, Element]:
    """Return a feed's entries by the target of their link."""
    links = [(entry, entry.find(f"{ATOM}link")) for entry in feed.findall(f"{ATOM}entry")]
    return {link.get("href", "").rpartition("/")[2]: entry for entry, link in links if link is not None}


def one_text(element: Element, name: str) -> str:
    """Return the text of the child of that name; RFC 4287 requires exactly one."""
    (child,) = element.findall(f"{ATOM}{name}")
    return child.text or ""


def assert_atom(feed: Element) -> None:
    """Check the requirements of RFC 4287, 4.1 for feeds and entries."""
    assert feed.tag == f"{ATOM}feed"
    names = {"id", "title", "subtitle", "updated", "author", "link", "entry"}
    assert {child.tag.removeprefix(ATOM) for child in feed} <= names
    links = {link.get("rel"): link.get("href") for link in feed.findall(f"{ATOM}link")}
    assert links == {"self": "https://status.example/feed.atom", "alternate": "https://status.example/"}
    assert [child.tag.removeprefix(ATOM) for child in feed.find(f"{ATOM}author") or []] == ["name", "email"]
    ids = [one_text(feed, "id")]
    for entry in feed.findall(f"{ATOM}entry"):
        ids.append(one_text(entry, "id"))
        assert re.fullmatch(r"tag:status\.example,\d{4}-\d\d-\d\d:(incident|maintenance)/[\w-]+", ids[-1])
        assert datetime.fromisoformat(one_text(entry, "published")) <= datetime.fromisoformat(
            one_text(entry, "updated")
        )
        (link,) = entry.findall(f"{ATOM}link")
        assert (link.get("rel"), link.get("type")) == ("alternate", "text/html")
        (content,) = entry.findall(f"{ATOM}content")
        assert content.get("type") == "html"
        one_text(entry, "title")
    assert len(set(ids)) == len(ids)
    datetime.fromisoformat(one_text(feed, "updated"))


def test_each_entry_has_all_updates_latest_first(formats: Formats) -> None:
    words = [
        update("u2", "resolved", "2026-11-24T09:30:00.000Z", "Fixed.\nThank you."),
        update("u1", "investigating", "2026-11-24T09:05:00.000Z", "We are looking."),
    ]
    feed = formats.atom(
        snapshot(
            incident("i2", resolvedAt="2026-11-24T09:30:00.000Z", updatedAt="2026-11-24T09:30:00.000Z", updates=words),
            incident("i1", impact="none", components=["api", "gone"]),
            maintenances=(maintenance("m1", "in_progress", emergency=True), maintenance("m2", "cancelled")),
        )
    )
    assert_atom(feed)
    assert one_text(feed, "title") == "Ledger & <Sons> status"
    assert one_text(feed, "updated") == "2026-11-24T10:00:00.000Z"
    assert list(entries(feed)) == ["m1", "m2", "i1", "i2"]
    resolved = entries(feed)["i2"]
    assert one_text(resolved, "id") == "tag:status.example,2026-11-24:incident/i2"
    assert one_text(resolved, "published") == "2026-11-24T09:05:00.000Z"
    assert one_text(resolved, "updated") == "2026-11-24T09:30:00.000Z"
    assert Text(one_text(resolved, "content")).text.split("\n") == [
        "",
        "Major impact · affects Database · 2026-11-24 09:00 UTC \N{EN DASH} 09:30 UTC (30 min)",
        "Resolved 2026-11-24 09:30 UTC",
        "Fixed.",
        "Thank you.",
        "Investigating 2026-11-24 09:05 UTC",
        "We are looking.",
    ]
    facts = {name: Text(one_text(entry, "content")).text.split("\n")[1] for name, entry in entries(feed).items()}
    assert facts["i1"] == "No impact · affects API, gone · since 2026-11-24 09:00 UTC"
    assert facts["m1"] == (
        "Emergency maintenance · in progress · affects Database · "
        "since 2026-11-24 10:00 UTC, planned until 2026-11-24 11:00 UTC"
    )
    hours = "2026-11-24 10:00 UTC \N{EN DASH} 11:00 UTC (1 h)"
    assert facts["m2"] == f"Maintenance · cancelled · affects Database · {hours}"


def test_omitted_updates_are_counted(formats: Formats) -> None:
    world = snapshot(
        incident("i1", updatesTotal=7), *(incident(f"o{n}") for n in range(60)), maintenances=(maintenance(),)
    )
    world["history"]["incidentsTotal"] = 500
    feed = formats.atom(world)
    assert_atom(feed)
    assert len(entries(feed)) == 51
    assert one_text(feed, "subtitle") == "Incidents and maintenance; 450 more not shown"
    assert Text(one_text(entries(feed)["i1"], "content")).text.endswith("\n4 earlier updates not shown.")


def test_entry_id_does_not_change_with_later_updates(formats: Formats) -> None:
    first = incident()
    later = incident(
        title="Another title",
        status="resolved",
        resolvedAt=NOW,
        updatedAt=NOW,
        updates=[update("i1-4", "resolved", NOW), *first["updates"]],
    )
    before, after = (entries(formats.atom(snapshot(one)))["i1"] for one in (first, later))
    assert one_text(before, "id") == one_text(after, "id")
    assert one_text(before, "updated") < one_text(after, "updated")


def test_feed_without_entries_is_valid(formats: Formats) -> None:
    quiet, unknown = formats.atom(snapshot()), formats.atom(snapshot(known=False))
    for feed in (quiet, unknown):
        assert_atom(feed)
        assert entries(feed) == {}
    assert one_text(quiet, "updated") == SINCE
    assert one_text(unknown, "subtitle") == "The history is unavailable at the moment."


def paired(text: str) -> str:
    """Return a text as JavaScript interprets it: a surrogate pair becomes one character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def allowed(text: str) -> str:
    """Return a text without the characters that XML forbids."""
    return re.sub("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)


AWKWARD = st.sampled_from(
    [
        "]]>",
        "</title><script>alert(1)</script>",
        "<!--",
        "&amp;",
        "&#0;",
        "\0",
        "\x1b",
        "\r\n",
        "\ufffe",
        "\ud83d",
        "\N{COLLISION SYMBOL}",
        "\N{RIGHT-TO-LEFT OVERRIDE}",
        "\N{HEBREW LETTER ALEF}",
    ]
)
ANY_TEXT = st.lists(st.one_of(AWKWARD, st.text(st.characters())), max_size=8).map("".join).map(paired)


@given(title=ANY_TEXT, body=ANY_TEXT, platform=ANY_TEXT, name=ANY_TEXT)
def test_any_text_is_escaped_in_every_format(formats: Formats, title: str, body: str, platform: str, name: str) -> None:
    known: list[dict[str, Any]] = [{"id": "api", "name": "API"}, {"id": "database", "name": name}]
    words = [update("u1", "investigating", NOW, body)]
    told = incident(title=title, updates=words, updatedAt=NOW)
    world = snapshot(told, platform=platform, components=known, maintenances=(maintenance(title=title),))

    summary = formats.statuspage(world)["summary.json"]
    assert summary["page"]["name"] == platform
    assert summary["components"][1]["name"] == name
    assert [one["name"] for one in summary["incidents"] + summary["scheduled_maintenances"]] == [title, title]
    assert summary["incidents"][0]["incident_updates"][0]["body"] == body

    feed = formats.atom(world)
    assert_atom(feed)
    assert one_text(feed, "title") == f"{allowed(platform)} status"
    for entry in feed.findall(f"{ATOM}entry"):
        assert one_text(entry, "title") == allowed(title)
    content = Text(one_text(entries(feed)["i1"], "content"))
    assert allowed(name).replace("\n", " ") in content.text
    assert content.text.endswith(f"\n{allowed(body)}")
    assert content.tags == {"p", "b", "small", "time", "br"}
    assert content.attributes == {"dir", "datetime"}

    assert formats.badge(world).findtext(f"{SVG}title") == f"{allowed(platform)} status: outage"
