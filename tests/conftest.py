"""What every test run has in common, so that its verdict depends on the code and on nothing else."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.collected import COLLECTED, of

# While modules are loaded there is nothing to collect: without looking for it, that takes two thirds of the time.
gc.disable()

# The same examples in every run, and none that fails because a machine is slow.
settings.register_profile(
    "suite", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Note what the tests are before any of them runs, and before `-m` leaves some out."""
    session.stash[COLLECTED] = of(items)


def pytest_collection_finish() -> None:
    """Collect garbage again, but not among the modules, which stay."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session", autouse=True)
def _own_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the sandbox's state in a folder of this run: not in the project's, which a developer or another run uses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDBOX_HOME", str(tmp_path_factory.mktemp("sandbox")))
        # Programs that tests start again and again compile their modules once.
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield
