"""Make the machines' package `restore` importable, without bytecode among the templates; real backups, a machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from harness.repository import Repository, repository
from machines.files import TEMPLATES
from tests.machines.manifests import S3
from tests.machines.restore.backups import Backups, make, stored
from tests.machines.restore.machine import Machine, running

sys.path.append(str(TEMPLATES / "database/usr/local/lib/backbuild"))
sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
import restore.listing  # noqa: E402
import restore.selection  # noqa: E402, F401

sys.dont_write_bytecode = before


@pytest.fixture(scope="session")
def made() -> Iterator[Repository]:
    if os.getuid() != 0:
        pytest.skip("needs root, to run PostgreSQL in another account")
    with repository() as made:
        yield made


@pytest.fixture(scope="session")
def states(made: Repository) -> tuple[Backups, Backups]:
    """The backups before and after a restore in place. The repository's server has the later state."""
    return make(made)


@pytest.fixture
def before(states: tuple[Backups, Backups], s3: S3) -> Backups:
    """Backups on one timeline, whose newest points no manifest lists; the bucket has them."""
    return stored(s3, states[0])


@pytest.fixture
def after(states: tuple[Backups, Backups], s3: S3) -> Backups:
    """The same, and backups on a second timeline; the bucket has all."""
    return stored(s3, states[1])


@pytest.fixture
def member(s3: S3) -> Iterator[Machine]:
    with running(s3) as machine:
        yield machine
