"""Fixtures that run the Cloudflare Workers in workerd."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from harness.offsite import Offsite
from harness.status import Status
from harness.status_world import World, start_status
from harness.workerd import Host

from .browser import Site, chromium
from .watch_fixtures import Outside, Watch


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.close()


@pytest.fixture(scope="session")
def offsite() -> Iterator[Offsite]:
    offsite = Offsite()
    yield offsite
    offsite.close()


@pytest.fixture
def status(host: Host) -> Iterator[Status]:
    """The status Worker with empty stores; the components that it probes are healthy."""
    world = World()
    with world.serving() as address:
        start_status(host, address)
        yield Status(host, world)


@pytest.fixture
def without_tables(host: Host) -> Iterator[Status]:
    """The status Worker as in its first deployment: its database has no tables."""
    host.anew()
    world = World()
    with world.serving() as address:
        start_status(host, address)
        yield Status(host, world)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def world(host: Host) -> Iterator[World]:
    """The environment of the status Worker, started once for all tests of a module, because browser tests are slow."""
    world = World()
    with world.serving() as address:
        start_status(host, address)
        yield world


@pytest.fixture
def site(browser: Browser, host: Host, world: World) -> Iterator[Site]:
    """The status page with one recorded minute; the test fails if the browser reports an error."""
    status = Status(host, world)
    world.well()
    status.cron(0)
    for table in ("samples", "days", "incidents", "maintenances", "updates"):
        host.sql(f"DELETE FROM {table}")
    status.cron(0)
    site = Site(browser, status)
    yield site
    for context in browser.contexts:
        context.close()
    assert site.complaints == []


@pytest.fixture(scope="module")
def watching(host: Host) -> Iterator[Watch]:
    """The watch Worker, started once for all tests of a module; each test empties its stores."""
    outside = Outside()
    with outside.serving() as address:
        yield Watch(host, outside, address)


@pytest.fixture
def watch(watching: Watch) -> Watch:
    """The watch Worker after one run that found no problem."""
    watching.reset()
    assert watching.look(0) == []
    return watching
