"""The real scripts in workerd."""

from collections.abc import Iterator

import pytest

from .status_fixtures import Status
from .workerd import Host
from .world import World, start_status


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.close()


@pytest.fixture
def status(host: Host) -> Iterator[Status]:
    """The status Worker with empty stores, before a world in which all is well."""
    world = World()
    with world.serving() as address:
        start_status(host, address)
        yield Status(host, world)
