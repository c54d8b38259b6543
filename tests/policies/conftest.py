"""The committed stacks after an `up` in the sandbox, once for all tests of this folder.

They are judged on the day of their newest drill, so that no test depends on today's date.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from policies.sources import Judged
from policies.stacks import exported, planned
from policies.views.drills import last_drilled
from tests.deployed import brought_up


def dated(judged: Judged) -> Judged:
    """Return a stack on the day of its newest drill."""
    return replace(judged, graph=last_drilled(judged.graph))


@pytest.fixture(scope="session")
def prod(shared: Path) -> Judged:
    """Production after an `up`: it contains no unknown values."""
    return dated(exported(brought_up(shared, "prod"), "prod"))


@pytest.fixture(scope="session")
def staging(shared: Path) -> Judged:
    """Staging after an `up`."""
    return dated(exported(brought_up(shared, "staging"), "staging"))


@pytest.fixture(scope="session")
def prod_plan(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """Production's first preview, in an empty sandbox."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDBOX_HOME", str(tmp_path_factory.mktemp("home")))
        return planned("prod")
