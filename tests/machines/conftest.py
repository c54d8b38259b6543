"""Fixtures for the tests of manifest.py: a simulated S3, a repository and a machine."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machines.manifests import S3, Machine, Repository, serving


@pytest.fixture(scope="session")
def server() -> Iterator[S3]:
    with serving() as s3:
        yield s3


@pytest.fixture
def s3(server: S3) -> S3:
    """An empty bucket without faults."""
    server.fault = lambda _method, _path: None
    for key in server.keys(""):
        server.delete(key)
    server.requests.clear()
    return server


@pytest.fixture
def repository(s3: S3) -> Repository:
    return Repository(s3, random.Random(7).randbytes)


@pytest.fixture
def machine(tmp_path: Path, s3: S3) -> Machine:
    return Machine(tmp_path, s3)
