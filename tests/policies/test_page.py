"""The evidence page in a real browser: light and dark, in print, with the keyboard, on a narrow screen."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from policies.evidence import page as renderer
from policies.evidence.gathered import Evidence
from policies.promises import Kind
from tests.workers.browser import AXE, chromium

from .test_evidence import EXEMPTION, bad, excused, good, proven, waiting  # noqa: F401 (fixtures)


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    with chromium() as running:
        yield running


def opened(browser: Browser, evidence: Evidence, folder: Path, **context: object) -> Page:
    file = folder / "report.html"
    file.write_text(renderer.render(evidence), encoding="utf-8")
    page = browser.new_context(**context).new_page()  # pyright: ignore
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.goto(file.as_uri())
    assert complaints == []
    return page


@pytest.mark.long  # checking the contrast of 9,000 elements takes long
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["good", "bad", "waiting"])
def test_axe_finds_no_accessibility_problem(
    browser: Browser, tmp_path: Path, request: pytest.FixtureRequest, which: str, scheme: str
) -> None:
    page = opened(browser, request.getfixturevalue(which), tmp_path, color_scheme=scheme, bypass_csp=True)
    page.get_by_role("button", name="Open all").click()
    page.add_script_tag(path=AXE)
    options = "{ resultTypes: ['violations'] }"  # axe would describe each element that passes, too
    found = page.evaluate(
        f"async () => (await axe.run({options})).violations.map((one) => [one.id, one.nodes[0].html])"
    )
    assert found == []


def test_the_headline_is_the_verdict(browser: Browser, tmp_path: Path, good: Evidence, bad: Evidence) -> None:  # noqa: F811
    page = opened(browser, good, tmp_path)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Every mandatory rule holds")
    expect(page.get_by_role("heading", level=1)).to_have_class("not-yet-proven")
    expect(page).to_have_title("Not yet proven \N{EN DASH} availability policies of prod")
    expect(page.get_by_text(good.judged.sha256)).to_be_visible()
    page = opened(browser, bad, tmp_path)
    expect(page.get_by_role("heading", level=1)).to_contain_text("A mandatory rule does not hold")
    expect(page).to_have_title("Not compliant \N{EN DASH} availability policies of prod")
    # What fails is open without anybody's doing.
    expect(page.locator("#RED-5").get_by_text("it has no DNSSEC")).to_be_visible()
    expect(page.locator("#RED-5 details.pass .rule").first).to_be_hidden()


def test_the_headline_says_if_a_verdict_is_undecided(browser: Browser, tmp_path: Path, waiting: Evidence) -> None:  # noqa: F811
    page = opened(browser, waiting, tmp_path)
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("verdicts are not decided before the update")
    expect(heading).to_have_class("undetermined")
    expect(page).to_have_title("Not decided \N{EN DASH} availability policies of prod")


# Each promise's tile and badge with its words and its colour, and what its proofs and its missing ones say.
SEEN = """() => Object.fromEntries([...document.querySelectorAll("article")].map((article) => {
  const shown = (one) => [one.textContent.replace(/\\s+/g, " ").trim(), getComputedStyle(one).color];
  const missing = article.querySelector(".missing")?.textContent ?? null;
  const proofs = article.querySelector("dl.links > div:last-child").textContent;
  return [article.id, {
    tile: shown(document.querySelector(`.tiles a[href="#${article.id}"]`)),
    badge: shown(article.querySelector(".badge")),
    missing, proofs,
  }];
}))"""


def green(colour: str) -> bool:
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    return green > max(red, blue) + 20


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_unproven_promise_is_never_green(browser: Browser, tmp_path: Path, good: Evidence, scheme: str) -> None:  # noqa: F811
    page = opened(browser, good, tmp_path, color_scheme=scheme)
    seen = page.evaluate(SEEN)
    assert list(seen) == list(good.promises)
    for promise in good.promises.values():
        word, found = good.standing_of(promise), seen[promise.id]
        for text, colour in (found["tile"], found["badge"]):
            assert word in text
            assert green(colour) == (word == "pass"), promise.id
        assert found["missing"] == (None if promise.proven else f"Not yet proven: {promise.not_proven}")
        for kind, paths in promise.proven_by.by_kind.items():
            shown = [one.text for one in good.drills[promise.id]] if kind is Kind.DRILL else [", ".join(paths)]
            assert all(f"{kind} {text}" in found["proofs"] for text in shown)
    heading = "getComputedStyle(document.querySelector('h1')).color"
    assert not green(page.evaluate(heading))
    page = opened(browser, proven(good), tmp_path, color_scheme=scheme)
    assert green(page.evaluate(heading))
    assert page.title() == "Compliant \N{EN DASH} availability policies of prod"


def test_promises_are_counted_by_standing_and_by_proof(browser: Browser, tmp_path: Path, good: Evidence) -> None:  # noqa: F811
    page = opened(browser, good, tmp_path)
    promises = page.get_by_role("list", name="Promises", exact=True)
    expect(promises.get_by_role("listitem")).to_have_text(["✓ 14 pass", "◇ 12 not yet proven"])
    proofs = page.get_by_role("list", name="Strongest proof of proven promises")
    expect(proofs.get_by_role("listitem")).to_have_text(["2 drill", "10 processes", "2 plan"])


def test_excused_promises_are_counted(browser: Browser, tmp_path: Path, excused: Evidence) -> None:  # noqa: F811
    promises = opened(browser, excused, tmp_path).get_by_role("list", name="Promises", exact=True)
    expect(promises.get_by_role("listitem")).to_have_text(["✓ 13 pass", "◇ 12 not yet proven", "◷ 1 excused"])


@pytest.mark.long
def test_dates_are_not_wrapped(browser: Browser, tmp_path: Path, excused: Evidence) -> None:  # noqa: F811
    page = opened(browser, excused, tmp_path, viewport={"width": 700, "height": 700})
    date = page.get_by_text(str(EXEMPTION.expires))
    height = date.evaluate("(one) => one.getClientRects().length")
    assert height == 1


def test_every_promise_links_to_its_rules(browser: Browser, tmp_path: Path, good: Evidence) -> None:  # noqa: F811
    page = opened(browser, good, tmp_path)
    expect(page.locator("article")).to_have_count(26)
    page.locator(".tiles a[href='#REC-4']").click()
    assert page.url.endswith("#REC-4")
    rules = page.locator("#REC-4 details")
    assert rules.count() == len(good.rules_for("REC-4"))


def test_the_page_works_with_the_keyboard(browser: Browser, tmp_path: Path, good: Evidence) -> None:  # noqa: F811
    page = opened(browser, good, tmp_path)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the promises")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the promises")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    first = page.locator("#SLA-1 details").first
    for _ in range(6):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    expect(first.locator("summary")).to_be_focused()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px"
    page.keyboard.press("Enter")
    expect(first.locator(".rule")).to_be_visible()
    page.keyboard.press("Enter")
    expect(first.locator(".rule")).to_be_hidden()


def test_the_filter_shows_only_what_does_not_pass(browser: Browser, tmp_path: Path, bad: Evidence) -> None:  # noqa: F811
    page = opened(browser, bad, tmp_path)
    button = page.get_by_role("button", name="Only what does not pass")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#SLA-2")).to_be_hidden()
    expect(page.locator("#REC-1")).to_be_visible()
    expect(page.locator("#RED-5")).to_be_visible()
    expect(page.locator("#RED-5 details:visible")).to_have_count(1)
    button.click()
    expect(page.locator("#SLA-2")).to_be_visible()


@pytest.mark.long
def test_a_print_contains_collapsed_sections(browser: Browser, tmp_path: Path, good: Evidence) -> None:  # noqa: F811
    page = opened(browser, good, tmp_path, color_scheme="dark")
    hidden = page.locator("#REC-4 details .rule").first
    expect(hidden).to_be_hidden()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    expect(hidden).to_be_visible()
    expect(page.locator("nav")).to_be_hidden()
    expect(page.get_by_role("button").first).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(hidden).to_be_hidden()
    assert page.pdf()[:5] == b"%PDF-"


def test_the_page_fits_a_narrow_screen(browser: Browser, tmp_path: Path, bad: Evidence) -> None:  # noqa: F811
    page = opened(browser, bad, tmp_path, viewport={"width": 340, "height": 700})
    page.get_by_role("button", name="Open all").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 340


def test_the_page_is_readable_without_javascript(browser: Browser, tmp_path: Path, good: Evidence) -> None:  # noqa: F811
    page = opened(browser, good, tmp_path, java_script_enabled=False)
    expect(page.get_by_role("button", name="Open all")).to_be_hidden()
    page.locator("#SLA-1 summary").first.click()
    expect(page.locator("#SLA-1 .rule").first).to_be_visible()
