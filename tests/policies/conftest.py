"""The committed stacks after an `up` in the sandbox, once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies.sources import Judged
from policies.stacks import exported, planned
from tests.deployed import brought_up


@pytest.fixture(scope="session")
def prod(shared: Path) -> Judged:
    """Production after an `up`: it contains no unknown values."""
    return exported(brought_up(shared, "prod"), "prod")


@pytest.fixture(scope="session")
def staging(shared: Path) -> Judged:
    """Staging after an `up`."""
    return exported(brought_up(shared, "staging"), "staging")


@pytest.fixture(scope="session")
def prod_plan(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """Production's first preview, in an empty sandbox."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDBOX_HOME", str(tmp_path_factory.mktemp("home")))
        return planned("prod")
