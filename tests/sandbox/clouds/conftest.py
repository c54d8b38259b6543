"""Fixtures: simulated clouds on an empty store. The SDKs' schemas are read once for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.clouds import Clouds, open_clouds
from sandbox.clouds.cloud import Cloud

REGION = "eu-central-1"
ACCOUNT_ID = "0" * 32
ZONE_ID = "1" * 32


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("schema")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "clouds.json"


@pytest.fixture
def clouds(store: Path, cache: Path) -> Iterator[Clouds]:
    with open_clouds(store, cache=cache) as opened:
        yield opened


@pytest.fixture
def aws(clouds: Clouds) -> Cloud:
    return clouds.provider("aws").configure({"region": REGION})


@pytest.fixture
def cloudflare(clouds: Clouds) -> Cloud:
    return clouds.provider("cloudflare").configure({})


@pytest.fixture
def random(clouds: Clouds) -> Cloud:
    return clouds.provider("random").configure({})


def urn(type: str, name: str) -> str:
    return f"urn:pulumi:test::project::{type}::{name}"
