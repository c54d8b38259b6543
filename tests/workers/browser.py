"""A headless Chromium for the status page: the status Worker answers every request, at the minute that a test sets."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from harness.status import START, Status
from harness.waiting import TIMEOUT_SECONDS
from harness.workerd import WORKERS

SITE = "https://status.example"
expect.set_options(timeout=TIMEOUT_SECONDS * 1_000)
AXE = WORKERS / "node_modules" / "axe-core" / "axe.min.js"


@contextmanager
def chromium() -> Generator[Browser]:
    """Start Debian's Chromium, without a download and without its sandbox, because tests may run as root."""
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    # One renderer process for all pages: starting another for each test takes a fifth of a test's processor time.
    arguments += ["--renderer-process-limit=1", "--process-per-site"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        yield browser
        browser.close()


def refuse(route: Route) -> None:
    """Fail a request as an unreachable network does."""
    route.abort("connectionrefused")


@dataclass
class Site:
    """The status page in a browser: the Worker answers at `minute`, unless a test sets `trouble` to answer instead."""

    browser: Browser
    status: Status
    minute: float = 0.5
    broken: list[str] = field(default_factory=list[str])
    trouble: Callable[[Route], None] | None = None
    asked: list[str] = field(default_factory=list[str])
    complaints: list[str] = field(default_factory=list[str])
    """Errors in the browser's console: errors of scripts, and violations of the content security policy."""

    def open(self, path: str = "/", **context: Any) -> Page:
        """Open a page whose clock starts at START and runs."""
        options = {"viewport": {"width": 900, "height": 700}, **context}
        page = self.browser.new_context(**options).new_page()
        page.set_default_timeout(TIMEOUT_SECONDS * 1_000)
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.context.route("**/*", self._answer)
        page.clock.install(time=START)
        page.goto(f"{SITE}{path}")
        return page

    def wait_for_requests(self, count: int) -> None:
        """Wait until the browser has sent so many requests. They arrive here later than a script sends them."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while len(self.asked) < count and time.monotonic() < end:
            self.browser.contexts[0].pages[0].wait_for_timeout(20)
        assert len(self.asked) >= count

    def _answer(self, route: Route) -> None:
        path = route.request.url.removeprefix(SITE)
        self.asked.append(path)
        if self.trouble is not None:
            self.trouble(route)
            return
        answer = self.status.get(path, self.minute, broken=self.broken)
        route.fulfill(status=answer["status"], headers=answer["headers"], body=answer["body"])


def pass_a_minute(page: Page) -> None:
    """Advance the page's clock until its next refresh."""
    page.clock.run_for(61_000)


def violations(page: Page) -> list[str]:
    """Return the accessibility violations that axe-core finds on the page: rule and element."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("async () => (await axe.run({ resultTypes: ['violations'] })).violations")
    return [f"{rule['id']}: {node['html']} {json.dumps(node['any'])}" for rule in found for node in rule["nodes"]]


def component(page: Page, name: str) -> Any:
    return page.locator("#components li").filter(has=page.get_by_role("heading", name=re.compile(f"^{name} [A-Z]")))


def notice(page: Page) -> Any:
    return page.locator("#notice")


def marked(page: Page) -> None:
    """Mark every node of the page, and record changes of its live regions."""
    page.evaluate(
        """() => {
          for (const element of document.querySelectorAll("*")) element.seen = true;
          window.announced = [];
          const watch = new MutationObserver(() => announced.push(document.querySelector("h1").textContent));
          const heard = document.querySelector("main [role=status]");
          watch.observe(heard, { subtree: true, childList: true, characterData: true });
        }"""
    )


def unseen(page: Page) -> list[str]:
    """Return the elements that were added after the page was marked."""
    return page.evaluate("[...document.querySelectorAll('*')].filter(e => !e.seen).map(e => e.localName)")


def grey(page: Page) -> bool:
    """Return whether nothing on the page is green, including the tab's icon."""
    filtered = page.evaluate("getComputedStyle(document.querySelector('main')).filter")
    return filtered == "grayscale(1)" and "%23888" in (page.locator("link[rel=icon]").get_attribute("href") or "")
