"""One copy of the project and one `up` of each stack, shared by all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.components.project import Deployed, Project
from tests.deployed import brought_up


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project."""
    return Project.copy(tmp_path_factory.mktemp("platform"))


@pytest.fixture(scope="session")
def prod(project: Project, shared: Path) -> Deployed:
    """Production after an `up`."""
    return project.adopt(brought_up(shared, "prod"), "prod")


@pytest.fixture(scope="session")
def staging(project: Project, shared: Path) -> Deployed:
    """Staging after an `up`."""
    return project.adopt(brought_up(shared, "staging"), "staging")
