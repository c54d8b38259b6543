"""Settings of every test run, so that its result depends only on the code."""

from __future__ import annotations

import gc
import os
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.collected import COLLECTED, of

# Loading modules creates no garbage. With the garbage collector off it takes two thirds of the time.
gc.disable()

# The same examples in every run, and no failure because of a slow machine.
settings.register_profile(
    "suite", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Record the collected tests before `-m` deselects some."""
    session.stash[COLLECTED] = of(items)


def pytest_collection_finish() -> None:
    """Enable the garbage collector again, without the loaded modules, which are never freed."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session", autouse=True)
def _own_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the sandbox's state in a temporary folder, because a developer or another run may use the project's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDBOX_HOME", str(tmp_path_factory.mktemp("sandbox")))
        # Tests start the same programs repeatedly: with bytecode files, these compile their modules once.
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield


@pytest.fixture(scope="module", autouse=True)
def _left_as_found() -> Iterator[None]:
    """Fail if a module's tests leave this process other than they found it: the next module's tests run in it."""

    def found() -> tuple[object, ...]:
        return tempfile.tempdir, Path.cwd(), resource.getrlimit(resource.RLIMIT_NOFILE)

    tempfile.gettempdir()  # sets `tempdir` when it is first called
    before = found()
    yield
    assert found() == before
