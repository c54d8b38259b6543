"""The shipped stacks as the sandbox brings them up, once for all tests that judge them."""

from __future__ import annotations

import pytest

from policies.sources import Judged
from policies.stacks import brought_up, planned


@pytest.fixture(scope="session")
def prod() -> Judged:
    """Production, brought up: nothing in it is unknown."""
    return brought_up("prod")


@pytest.fixture(scope="session")
def staging() -> Judged:
    """Staging, brought up."""
    return brought_up("staging")


@pytest.fixture(scope="session")
def prod_plan(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """Production as its first preview sees it: in a sandbox that has never brought anything up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDBOX_HOME", str(tmp_path_factory.mktemp("home")))
        return planned("prod")
