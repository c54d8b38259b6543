"""One copy of the project and one `up` of each stack, shared by every test that looks at them."""

from __future__ import annotations

import pytest

from tests.components.project import Deployed, Project


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project."""
    return Project.copy(tmp_path_factory.mktemp("platform"))


@pytest.fixture(scope="session")
def prod(project: Project) -> Deployed:
    """Production, brought up."""
    return Deployed.up(project, "prod")


@pytest.fixture(scope="session")
def staging(project: Project) -> Deployed:
    """Staging, brought up."""
    return Deployed.up(project, "staging")
