"""The last verified restore on the status page: what a drill has measured, and that it was a drill."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import expect

from harness.status import Status
from harness.status_world import BINDINGS, World, start_status
from harness.workerd import Host

from .browser import Site, violations

RESTORE: dict[str, Any] = BINDINGS["LAST_RESTORE"]


@contextmanager
def page_with(host: Host, restore: dict[str, Any] | None) -> Iterator[Status]:
    """Start the status Worker with this binding, or without it."""
    world = World()
    with world.serving() as address:
        start_status(host, address, LAST_RESTORE=restore)
        yield Status(host, world)


def section(status: Status) -> str:
    """Return the part of the page about the restore."""
    body = status.get("/")["body"]
    return re.findall(r"<h2>Last verified restore</h2>.*?(?=</main>)", body, re.DOTALL)[0]


@pytest.mark.parametrize("scripts", [True, False])
def test_page_shows_when_from_where_how_fast_and_that_it_was_the_sandbox(site: Site, scripts: bool) -> None:
    page = site.open(java_script_enabled=scripts)
    shown = page.locator("#restore")
    expect(page.get_by_role("heading", name="Last verified restore")).to_be_visible()
    expect(shown.get_by_role("heading")).to_contain_text("2026-11-20 10:05 UTC")
    expect(shown.get_by_role("heading")).to_contain_text("from the copy replica")
    expect(shown.locator(".figure")).to_have_text("3 min 26 s")
    expect(shown).to_contain_text(
        "From the loss of the database until clients were served; the last 19.3 s of data were lost. This was a "
        "drill on the live sandbox on one computer, not on the real platform."
    )
    if scripts:
        assert violations(page) == []


def test_page_shows_the_restore_even_if_the_history_is_unavailable(site: Site) -> None:
    site.broken = ["DB"]
    expect(site.open().locator("#restore")).to_be_visible()


def test_page_says_plainly_that_no_restore_was_verified(host: Host) -> None:
    with page_with(host, None) as status:
        assert "<p>No drill has verified a restore of the database yet.</p>" in section(status)
        assert "<article" not in section(status)
        assert json.loads(status.get("/restore.json")["body"]) == {"lastVerifiedRestore": None}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"sandbox": False}, "on the stack staging itself."),
        ({"recoverySeconds": None}, "<p class=figure>Recovery time not measured</p>"),
        ({"recoverySeconds": 24.8}, "<p class=figure>24.8 s</p>"),
        ({"recoverySeconds": 3600.5}, "<p class=figure>1 h 1 min</p>"),
        ({"lossSeconds": 0}, "; no data were lost."),
        (
            {"beside": True, "lossSeconds": None},
            "<p>Into a second database, until its data could be read; it has the data until <time ",
        ),
    ],
)
def test_each_fact_of_the_drill_is_told(host: Host, changes: dict[str, Any], text: str) -> None:
    with page_with(host, RESTORE | changes) as status:
        assert text in section(status)
        assert ("live sandbox" in section(status)) is (changes.get("sandbox") is None)


def test_texts_of_a_report_are_escaped(host: Host) -> None:
    hostile = """<b onclick="x">&'"""
    with page_with(host, RESTORE | {"from": hostile, "stack": hostile, "sandbox": False}) as status:
        assert "<b" not in section(status)
        assert section(status).count("&#60;b onclick=&#34;x&#34;&#62;&#38;&#39;") == 2


def test_restore_is_published_as_json_for_other_origins(status: Status) -> None:
    answer = status.get("/restore.json")
    assert json.loads(answer["body"]) == {"lastVerifiedRestore": RESTORE}
    assert answer["headers"]["access-control-allow-origin"] == "*"
