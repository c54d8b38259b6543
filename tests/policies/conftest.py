"""The shipped stacks as the sandbox brings them up, once for all tests that judge them."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies.sources import Judged
from policies.stacks import exported, planned
from tests.deployed import brought_up


@pytest.fixture(scope="session")
def prod(shared: Path) -> Judged:
    """Production, brought up: nothing in it is unknown."""
    return exported(brought_up(shared, "prod"), "prod")


@pytest.fixture(scope="session")
def staging(shared: Path) -> Judged:
    """Staging, brought up."""
    return exported(brought_up(shared, "staging"), "staging")


@pytest.fixture(scope="session")
def prod_plan(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """Production as its first preview sees it: in a sandbox that has never brought anything up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDBOX_HOME", str(tmp_path_factory.mktemp("home")))
        return planned("prod")
