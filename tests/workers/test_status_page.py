"""Tests of the status page in a browser, with and without JavaScript, in normal operation and during outages."""

import re

import pytest
from playwright.sync_api import expect

from harness.status import MINUTE
from harness.status_rows import days, incident
from tests.lanes import first

from .browser import SITE, Site, component, notice, violations

HOSTILE = """<b onclick="x">&amp; "quoted" 'single'</b>"""
LONG = "antidisestablishmentarianism" * 12


# Content.


def test_current_state_is_shown_in_words(site: Site) -> None:
    page = site.open()
    expect(page).to_have_title("All systems operational \N{EN DASH} Ledger & <Sons> status")
    expect(page.get_by_role("heading", level=1)).to_have_text("All systems operational")
    for name in ("API", "Edge", "Database", "Database replication", "Object storage", "Backups"):
        expect(component(page, name).get_by_role("heading")).to_have_text(f"{name} Operational")
    expect(page.get_by_role("main")).to_contain_text("Checked live at 2026-11-24 10:00:30 UTC")
    expect(page.get_by_role("link", name="availability@example.com")).to_have_attribute(
        "href", "mailto:availability@example.com"
    )
    for path in ("/history", "/feed.atom", "/api/v2/summary.json", "/sla/2026-11.json"):
        assert page.locator(f'a[href="{path}"]').count() > 0, path


def test_outage_is_shown_at_once_and_unchecked_components_are_unknown(site: Site) -> None:
    site.status.world.database_down()
    page = site.open()
    expect(page.get_by_role("heading", level=1)).to_have_text("The platform is not available")
    expect(page.locator("#now")).to_have_class("down")
    expect(component(page, "Database")).to_contain_text("Down")
    expect(component(page, "API")).to_contain_text("Operational")
    site.status.world.silent()
    page.reload()
    expect(page.locator("#now")).to_have_class("down")
    expect(page.locator("#now")).to_contain_text("The API did not answer the check with a health report.")
    expect(component(page, "API")).to_contain_text("Down")
    expect(component(page, "Database")).to_contain_text("Unknown")


def test_open_incident_is_shown_first_even_if_checks_pass(site: Site) -> None:
    incident(site.status, "i1", "We are looking.", "Found it.", components=("api", "database"))
    page = site.open()
    article = page.locator("#i1")
    expect(article).to_contain_text("affects API, Database")
    expect(article).to_contain_text("since 2026-11-24 09:00 UTC")
    assert article.locator("li p").all_text_contents() == ["Found it.", "We are looking."]
    for impact, state, words in (
        (3, "down", "Critical incident in progress"),
        (2, "down", "Major incident in progress"),
        (1, "degraded", "Minor incident in progress"),
        (0, "ok", "All systems operational"),
    ):
        site.status.host.sql(f"UPDATE incidents SET impact = {impact}")
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_have_text(words)
        expect(page.locator("#now")).to_have_class(state)


def test_component_with_an_open_incident_is_never_green(site: Site) -> None:
    incident(site.status, "i1", "We are looking.", impact=3, components=("database",))
    page = site.open()
    state = component(page, "Database").locator("h3 b")
    for impact, looks, word in (
        (3, "down", "Critical incident; our checks pass"),
        (2, "partial", "Major incident; our checks pass"),
        (1, "degraded", "Minor incident; our checks pass"),
        (0, "ok", "Operational"),
    ):
        site.status.host.sql(f"UPDATE incidents SET impact = {impact}")
        page.reload()
        expect(state).to_have_text(word)
        expect(state).to_have_class(looks)
        expect(component(page, "API").locator("h3 b")).to_have_class("ok")
    site.status.host.sql("UPDATE incidents SET impact = 1")
    site.status.world.database_down()
    page.reload()
    expect(state).to_have_text("Minor incident; down in our checks")
    expect(state).to_have_class("down")
    site.status.maintenance("m1", 0, 90, "database")
    site.status.cron(1)
    site.minute = 1.5
    page.reload()
    expect(state).to_have_text("Minor incident, under maintenance; down in our checks")
    expect(state).to_have_class("down")


def test_maintenance_is_announced_with_times_and_components(site: Site) -> None:
    site.status.maintenance("m1", 0, 90, "database", emergency=True)
    site.status.maintenance("m2", 3 * 1440, 3 * 1440 + 60, "api")
    site.status.cron(1)
    site.minute = 1.5
    page = site.open()
    expect(page.get_by_role("heading", level=1)).to_have_text("Emergency maintenance in progress")
    expect(component(page, "Database").get_by_role("heading")).to_have_text("Database Under maintenance")
    expect(component(page, "API").get_by_role("heading")).to_have_text("API Operational")
    expect(page.locator("#m1")).to_contain_text("Emergency maintenance")
    expect(page.locator("#m1")).to_contain_text("Since 2026-11-24 10:00 UTC, planned until 2026-11-24 11:30 UTC")
    expect(page.locator("#m2")).to_contain_text("Scheduled")
    expect(page.locator("#m2 p b").first).to_have_text("2026-11-27 10:00 UTC \N{EN DASH} 11:00 UTC (1 h)")
    site.status.world.database_down()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("The platform is not available")
    expect(page.locator("#now")).to_contain_text("Emergency maintenance in progress.")
    expect(component(page, "Database").get_by_role("heading")).to_have_text("Database Under maintenance, down")


def test_ninety_days_are_drawn_and_described(site: Site) -> None:
    bad = {10: {"down": 12}, 30: {"degraded": 7}, 31: {"degraded": 1}, 40: {"down": 1}, 50: {"unknown": 1000}}
    days(site.status, "database", trouble={**bad, 60: {"unknown": 15}, 61: {"unknown": 14}}, count=80)
    page = site.open()
    row = component(page, "Database")
    assert {path.get_attribute("class"): path.get_attribute("d") for path in row.locator("path").all()} == {
        "none": "M0 0h10m29 0h1m49 0h1",
        "gaps": "M29 0h1",  # 15 minutes of it are unknown
        None: "M10 0h19m1 0h9m1 0h49",  # other states are drawn over it
        "degraded": "M49 0h1m9 0h1",
        "down": "M79 0h1",
    }
    known = 79 * 1440 + 1 - 1000 - 15 - 14
    percent = int(1e5 * (known - 13) / known) / 1000
    expect(row.locator("small")).to_have_text(
        f"{percent} %; 3 bad days: 14 Nov 12 min down, 25 Oct 7 min degraded, 15 Oct 1 min down; 11 d 3 h unknown"
    )


def test_day_with_half_of_it_unknown_is_drawn_as_unknown(site: Site) -> None:
    days(site.status, "api", trouble={ago: {"unknown": 710} for ago in range(1, 90)})
    row = component(site.open(), "API")
    assert [path.get_attribute("class") for path in row.locator("path").all()] == ["none", "gaps"]
    expect(row.locator("small")).to_contain_text("100 %; 44 d 7 h unknown")


def test_many_bad_days_are_counted(site: Site) -> None:
    days(site.status, "api", trouble={ago: {"down": 2} for ago in range(3, 7)})
    days(site.status, "edge")
    site.status.host.sql("UPDATE days SET ok = 600 WHERE ok = 1")  # of today, by ten o'clock
    page = site.open()
    assert (component(page, "API").locator("small").text_content() or "").endswith(" %; 4 bad days")
    expect(component(page, "Edge").locator("small")).to_have_text("100 %")


def test_uptime_is_truncated_not_rounded_up(site: Site) -> None:
    days(site.status, "api", trouble={3: {"down": 1}})
    days(site.status, "edge")
    page = site.open()
    expect(component(page, "API").locator("small b")).to_have_text("99.999 %")
    expect(component(page, "Edge").locator("small b")).to_have_text("100 %")


def test_monthly_figure_has_remaining_and_unknown_minutes(site: Site) -> None:
    days(site.status, "platform", trouble={4: {"down": 12}, 5: {"unknown": 8}, 40: {"down": 120}}, count=60)
    site.status.host.sql(f"INSERT INTO samples SELECT {MINUTE - 59 * 1440}, component, status FROM samples")
    site.status.host.sql("UPDATE days SET ok = 601 WHERE ok = 1")  # of today, by ten o'clock
    page = site.open()
    november, october = page.locator("#m-2026-11"), page.locator("#m-2026-10")
    expect(november.get_by_role("heading")).to_have_text("November 2026 so far")
    expect(november).to_contain_text("Target 99.9 %: met so far. 31.2 of 43.2 allowed minutes of downtime are left.")
    expect(november).to_contain_text("8 minutes are unknown; if all were down, uptime would be 99.9406 %.")
    expect(october).to_contain_text("99.7311 %")
    expect(october).to_contain_text("missed")
    expect(october).to_contain_text("Customers are credited 10 % of the month\N{RIGHT SINGLE QUOTATION MARK}s fee.")


def test_month_is_not_met_if_unknown_minutes_could_miss_the_target(site: Site) -> None:
    days(site.status, "platform", trouble={4: {"down": 12}, 5: {"unknown": 30}, 40: {"unknown": 45}}, count=60)
    site.status.host.sql(f"INSERT INTO samples SELECT {MINUTE - 59 * 1440}, component, status FROM samples")
    site.status.host.sql("UPDATE days SET ok = 601 WHERE ok = 1")
    page = site.open()
    november, october = page.locator("#m-2026-11"), page.locator("#m-2026-10")
    expect(november).to_contain_text("Target 99.9 %: unknown so far.")
    expect(november).to_contain_text("30 minutes are unknown; if all were down, uptime would be 99.87")
    expect(november.locator("b.unknown")).to_have_text("unknown so far")
    expect(october.locator("b.unknown")).to_have_text("unknown")


def test_late_recording_is_shown_with_its_time(site: Site) -> None:
    site.minute = 5
    page = site.open()
    expect(page.locator("#now")).not_to_contain_text("late")
    expect(page.locator("#now")).to_have_class("ok")
    site.minute = 6
    page.reload()
    expect(page.locator("#now")).to_contain_text("Recording is late: the last recorded minute is 2026-11-24 10:00 UTC.")
    expect(page.locator("#now")).to_have_class("degraded")


def test_page_without_database_shows_the_live_check(site: Site) -> None:
    site.broken = ["DB"]
    page = site.open()
    expect(page.get_by_role("heading", level=1)).to_have_text("Not everything is confirmed to work")
    expect(page.locator("#now")).to_have_class("degraded")
    expect(page.locator("#now")).to_contain_text(
        "All checks pass right now, but the history is unavailable at the moment: "
        "incidents and maintenance cannot be read."
    )
    expect(component(page, "Database").get_by_role("heading")).to_have_text("Database Operational")
    assert page.locator("#components svg").count() == 0
    page.goto(f"{SITE}/history")
    expect(page.get_by_role("main")).to_contain_text("The history is unavailable at the moment")


def test_credit_is_conditional_until_the_month_ends(site: Site) -> None:
    days(site.status, "platform", trouble={4: {"down": 120}, 40: {"down": 45}}, count=60)
    site.status.host.sql(f"INSERT INTO samples SELECT {MINUTE - 59 * 1440}, component, status FROM samples")
    page = site.open()
    fee = "of the month\N{RIGHT SINGLE QUOTATION MARK}s fee"
    expect(page.locator("#m-2026-11")).to_contain_text(
        f"missed so far. The 43.2 allowed minutes of downtime are exceeded by 76.8. "
        f"Customers would be credited 10 % {fee} if the month ended now."
    )
    expect(page.locator("#m-2026-10")).to_contain_text(f"Customers are credited 10 % {fee}.")


def test_past_incidents_are_listed_and_complete_on_the_history(site: Site) -> None:
    incident(site.status, "of-late", "Over.", resolved=MINUTE - 1440)
    incident(site.status, "long-ago", "Long over.", resolved=MINUTE - 30 * 1440)
    page = site.open()
    named = page.locator("li", has=page.get_by_role("link", name="of-late"))
    expect(named).to_have_text(re.compile(r"^of-late\s+Major impact · 2026-11-23 09:18 UTC \(42 min\)$"))
    expect(page.get_by_role("link", name="of-late")).to_have_attribute("href", "/incidents/of-late")
    assert page.get_by_role("link", name="long-ago").count() == 0
    page.goto(f"{SITE}/history#long-ago")
    expect(page.locator("#long-ago")).to_contain_text("2026-10-25 09:18 UTC \N{EN DASH} 10:00 UTC (42 min)")
    expect(page.locator("#long-ago")).to_contain_text("Long over.")
    expect(page.locator("#of-late")).to_contain_text("Over.")
    expect(page.locator("#m-2026-11").get_by_role("link")).to_have_attribute("href", "/sla/2026-11.json")


def test_long_texts_are_shortened_on_the_first_page_and_complete_on_the_history(site: Site) -> None:
    words = [f"{number}: {LONG * 3}" for number in range(5)]
    incident(site.status, "i1", *words)
    article = site.open().locator("#i1")
    shown = article.locator("li p").all_text_contents()
    assert shown == [f"{word[:300]}\N{HORIZONTAL ELLIPSIS}" for word in reversed(words[2:])]
    expect(article.get_by_role("link", name="2 earlier updates")).to_have_attribute("href", "/incidents/i1")
    assert site.open("/history").locator("#i1 li p").all_text_contents() == words[::-1]


def test_maintenance_has_its_actual_times(site: Site) -> None:
    """The page shows the actual start and end of maintenance that started early or ended early."""
    site.status.maintenance("m1", 60, 120, "database")
    say = "INSERT INTO updates VALUES ('m1-{0}', 'maintenance', 'm1', '{0}', NULL, '[\"database\"]', 'Done.', {1})"
    site.status.host.sql("UPDATE maintenances SET status = 'in_progress'")
    site.status.host.sql(say.format("in_progress", (MINUTE - 20) * 60_000))
    page = site.open()
    expect(page.get_by_role("heading", level=1)).to_have_text("Maintenance in progress")
    expect(page.locator("#m1")).to_contain_text("Since 2026-11-24 09:40 UTC, planned until 2026-11-24 12:00 UTC")
    site.status.host.sql("UPDATE maintenances SET status = 'completed', end_minute = start_minute")
    site.status.host.sql(say.format("completed", MINUTE * 60_000))
    page = site.open("/history")
    expect(page.locator("#m1")).to_contain_text("2026-11-24 09:40 UTC \N{EN DASH} 10:00 UTC (20 min)")


def test_incident_text_is_escaped_and_keeps_its_lines(site: Site) -> None:
    incident(site.status, "i1", f"{HOSTILE}\nsecond line\u202e", title=f"{HOSTILE} שלום")
    for path in ("/", "/history"):
        article = site.open(path).locator("#i1")
        expect(article.get_by_role("heading")).to_have_text(f"{HOSTILE} שלום")
        assert article.locator("li p").text_content() == f"{HOSTILE}\nsecond line\u202e"
        lines = article.locator("li p").evaluate(
            "p => p.getBoundingClientRect().height / parseFloat(getComputedStyle(p).lineHeight)"
        )
        assert round(lines) == 2
        assert article.locator("[onclick]").count() == 0


# Accessibility.


def test_page_is_complete_without_javascript(site: Site) -> None:
    incident(site.status, "i1", "We are looking.")
    page = site.open(java_script_enabled=False)
    meta = page.locator("head meta[http-equiv=refresh]")
    expect(meta).to_have_attribute("content", "60")
    for words in ("Major incident in progress", "We are looking.", "Checked live at 2026-11-24 10:00:30 UTC"):
        expect(page.get_by_text(words).first).to_be_visible()
    page.goto(f"{SITE}/history")
    expect(page.get_by_text("We are looking.")).to_be_visible()
    assert meta.count() == 0


@pytest.mark.parametrize("path", ["/", "/history"])
@pytest.mark.parametrize("state", first(2, ["well", "outage", "maintenance", "no database", "out of date"]))
def test_axe_finds_no_violation(site: Site, path: str, state: str) -> None:
    days(site.status, "database", trouble={10: {"down": 12}, 20: {"unknown": 1440}}, count=80)
    incident(site.status, "past", "Over.", resolved=MINUTE - 1440)
    if state == "outage":
        incident(site.status, "i1", "One.", "Two.", "Three.", "Four.")
        site.status.world.silent()
    elif state == "maintenance":
        site.status.maintenance("m1", 0, 90, "database", emergency=True)
        site.status.cron(1)
    elif state == "no database":
        site.broken = ["DB"]
    page = site.open(path)
    if state == "out of date":
        page.context.set_offline(True)
        page.clock.fast_forward(160_000)
        expect(notice(page)).to_contain_text("out of date")
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 320, "height": 640})
    assert violations(page) == []


@pytest.mark.parametrize("path", ["/", "/history"])
def test_page_fits_the_width_of_a_phone(site: Site, path: str) -> None:
    days(site.status, "database", trouble={10: {"down": 12}})
    incident(site.status, "i1", LONG, title=LONG)
    incident(site.status, "past", LONG, title=LONG, resolved=MINUTE - 1440)
    page = site.open(path, viewport={"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_states_are_distinguishable_in_forced_colours(site: Site) -> None:
    page = site.open(forced_colors="active")
    sign = page.locator("#components b").first.evaluate("b => getComputedStyle(b, '::before').content")
    assert sign.startswith('"✓')


def test_page_follows_the_light_or_dark_preference(site: Site) -> None:
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light, dark = site.open().evaluate(ground), site.open(color_scheme="dark").evaluate(ground)
    assert [sum(map(int, re.findall(r"\d+", colour))) > 382 for colour in (light, dark)] == [True, False]


@pytest.mark.parametrize(
    ("zone", "added"),
    [("Etc/UTC", ""), ("Asia/Tokyo", " (Wed, 00:30 GMT+0900)"), ("Europe/Berlin", " (Tue, 16:30 GMT+0100)")],
)
def test_local_time_is_added_if_it_differs(site: Site, zone: str, added: str) -> None:
    site.status.maintenance("m1", 330, 390, "database")
    page = site.open(timezone_id=zone)
    expect(page.locator("#m1 time").first).to_have_text(f"2026-11-24 15:30 UTC{added}")
