"""Tests of how the open status page refreshes itself in a browser."""

from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from harness.status import MINUTE, START
from harness.status_rows import days, incident

from .browser import Site, component, grey, marked, notice, pass_a_minute, refuse, unseen


def test_refresh_replaces_only_changed_elements(site: Site) -> None:
    incident(site.status, "of-late", "Over.", resolved=MINUTE - 1440)
    days(site.status, "database")
    page = site.open()
    page.locator('a[href="/history"]').first.focus()
    page.evaluate(
        """() => { getSelection().selectAllChildren(document.querySelector("#m-2026-11 h3")); scrollTo(0, 400); }"""
    )
    marked(page)
    site.minute = 1.5
    pass_a_minute(page)
    expect(page.locator("#now")).to_contain_text("10:01:30 UTC")
    assert unseen(page) == []
    assert page.evaluate("announced") == []
    assert page.evaluate("scrollY") == 400
    incident(site.status, "i1", "We are looking.", components=("edge",))
    site.status.world.database_down()
    site.minute = 2.5
    pass_a_minute(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("The platform is not available")
    expect(page).to_have_title("The platform is not available \N{EN DASH} Ledger & <Sons> status")
    assert "%23d93f35" in (page.locator("link[rel=icon]").get_attribute("href") or "")
    expect(component(page, "Database").get_by_role("heading")).to_have_text("Database Down")
    assert page.evaluate("announced") == ["The platform is not available"]
    assert set(unseen(page)) <= {"h2", "article", "h3", "p", "small", "b", "time", "ul", "li"}
    assert page.evaluate("document.querySelector('#components').seen && document.querySelector('#m-2026-11').seen")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "/history"
    assert page.evaluate("getSelection().toString()") == "November 2026 so far"
    site.status.world.well()
    site.status.host.sql(f"UPDATE incidents SET status = 'resolved', resolved_at = {(MINUTE + 3) * 60_000}")
    site.minute = 3.5
    pass_a_minute(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("All systems operational")
    assert page.evaluate("document.querySelector('#components').seen && document.querySelector('#m-2026-11').seen")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "/history"


def test_refresh_removes_outdated_attributes(site: Site) -> None:
    page = site.open()
    page.evaluate("document.querySelector('#now').setAttribute('hidden', '')")
    site.minute = 1.5
    pass_a_minute(page)
    expect(page.locator("#now")).to_contain_text("10:01:30 UTC")
    expect(page.locator("#now")).to_be_visible()


def test_stale_page_shows_a_notice_and_recovers(site: Site) -> None:
    page = site.open()
    expect(notice(page)).to_have_text("")
    assert not grey(page)
    page.evaluate(
        """() => {
          window.announced = [];
          const heard = document.querySelector("header [role=status]");
          new MutationObserver(() => announced.push(heard.textContent)).observe(heard, { childList: true });
        }"""
    )
    site.trouble = refuse
    page.clock.fast_forward(175_000)
    expect(notice(page)).to_have_text("This page is out of date: last checked 10:00:30 UTC (3 min ago)")
    expect(page.get_by_role("status").filter(has_text="out of date")).to_be_visible()
    assert grey(page)
    page.clock.run_for(5_000)
    site.trouble, site.minute = None, 5.5
    page.clock.run_for(16_000)
    expect(notice(page)).to_have_text("")
    assert page.evaluate("announced") == ["This page is out of date: last checked 10:00:30 UTC", ""]
    expect(page.locator("#now")).to_contain_text("10:05:30 UTC")
    assert not grey(page)
    site.complaints.clear()  # the refused connection


def test_page_is_refreshed_at_once_after_its_clock_went_back(site: Site) -> None:
    page = site.open()
    site.trouble = refuse
    page.clock.set_system_time(START - timedelta(hours=3))
    page.clock.run_for(2_000)
    expect(notice(page)).to_have_text("This page is out of date: last checked 10:00:30 UTC")
    assert grey(page)
    site.trouble, site.minute = None, 1.5
    page.clock.run_for(16_000)
    expect(notice(page)).to_have_text("")
    assert not grey(page)
    site.complaints.clear()  # the refused connection


def test_page_without_an_answer_is_out_of_date_and_requests_once(site: Site) -> None:
    page = site.open()
    site.trouble = lambda _route: None
    page.clock.run_for(61_000)
    page.evaluate("dispatchEvent(new Event('online')); dispatchEvent(new Event('online'))")
    site.wait_for_requests(2)
    expect(notice(page)).to_have_text("")
    # As after the computer slept: no timer has run, and the response is still pending.
    page.clock.set_system_time(START + timedelta(minutes=4))
    page.clock.run_for(1_000)
    expect(notice(page)).to_contain_text("This page is out of date")
    assert site.asked == ["/", "/"]
    site.complaints.clear()


def test_page_without_network_shows_a_notice_and_recovers_at_once(site: Site) -> None:
    page = site.open()
    page.context.set_offline(True)
    expect(notice(page)).to_have_text("You are offline: last checked 10:00:30 UTC (1 min ago)")
    assert grey(page)
    site.minute = 1.5
    page.context.set_offline(False)
    expect(notice(page)).to_have_text("")
    expect(page.locator("#now")).to_contain_text("10:01:30 UTC")
    assert not grey(page)


def error(route: Route) -> None:
    route.fulfill(status=503, content_type="text/html", body="<main data-at='2027'>Try later.</main>")


def portal(route: Route) -> None:
    route.fulfill(status=200, content_type="text/html", body="<main><h1>Log in to this network</h1></main>")


@pytest.mark.parametrize("trouble", [error, portal, refuse, None])
def test_other_responses_are_not_accepted_as_a_refresh(site: Site, trouble: Any) -> None:
    """With None, the response is a cached copy of the old page."""
    page = site.open()
    marked(page)
    site.trouble = trouble
    pass_a_minute(page)
    expect(notice(page)).to_contain_text("This page cannot be refreshed: last checked 10:00:30 UTC")
    expect(page.get_by_role("heading", level=1)).to_have_text("All systems operational")
    assert unseen(page) == []
    assert grey(page)
    site.trouble, site.minute = None, 1.5
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(notice(page)).to_have_text("")
    site.complaints.clear()  # the rejected responses


def test_page_is_refreshed_at_once_when_it_becomes_visible(site: Site) -> None:
    page = site.open()
    site.minute = 1.5
    page.evaluate("document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))")
    expect(page.locator("#now")).to_contain_text("10:01:30 UTC")
    assert site.asked == ["/", "/"]
