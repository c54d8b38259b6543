"""The real scripts in workerd."""

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
    """The status Worker with empty stores, before a world in which all is well."""
    world = World()
    with world.serving() as address:
        start_status(host, address)
        yield Status(host, world)


@pytest.fixture
def without_tables(host: Host) -> Iterator[Status]:
    """The same, but as it is first deployed: it has made no table yet."""
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
    """What is around the status Worker, which is started once: a browser's tests are slow enough."""
    world = World()
    with world.serving() as address:
        start_status(host, address)
        yield world


@pytest.fixture
def site(browser: Browser, host: Host, world: World) -> Iterator[Site]:
    """A page of which one minute was recorded, and of which the browser has nothing to complain."""
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
    """The watch Worker, which is started once: its tests empty what it knows."""
    outside = Outside()
    with outside.serving() as address:
        yield Watch(host, outside, address)


@pytest.fixture
def watch(watching: Watch) -> Watch:
    """The watch Worker, which has looked once and found everything well."""
    watching.reset()
    assert watching.look(0) == []
    return watching
