"""Memory of the replicate Worker: real objects, one read for two copies, and a slow destination."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import backups
from benchmarks.sink import Sink
from harness import copies
from harness.backup_manifests import PASSWORD
from harness.backup_world import GROUP, ROTATION
from harness.workerd import Host
from model.signing import public_key

MIB = 192
LIMIT_MIB = 128
KEY = f"hourly/backup/{GROUP}/large"


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    yield sink
    sink.close()


def growth(host: Host, sink: Sink, **bindings: Any) -> float:
    """Replicate an object of MIB MiB. Return the peak memory of workerd in MiB above that before."""
    bound = {
        "ROTATION": ROTATION,
        "GROUPS": [GROUP],
        "MANIFEST_KEYS": [public_key(PASSWORD)],
        **copies.BINDINGS,
        **bindings,
    }
    options: dict[str, Any] = {
        "r2Buckets": copies.BUCKETS,
        "d1Databases": {"DB": "backups"},
        "bindings": bound,
        "outboundService": {"external": {"address": sink.address, "http": {}}},
    }
    host.start_all({"backups/replicate": options})
    digest = host.bulk("fill", "COPY_PRIMARY", worker="replicate", key=KEY, mib=MIB)
    process = backups.Process(host)
    backups.deliver(host, KEY)
    grown = process.grown()
    assert sink.sha256(f"/{KEY}") == digest
    return grown


@pytest.mark.long
def test_slow_destination_does_not_fill_the_memory(host: Host, sink: Sink) -> None:
    sink.slow_down(0.01)
    assert growth(host, sink) < LIMIT_MIB


@pytest.mark.long
def test_copy_in_parts_fits_into_the_memory(host: Host, sink: Sink) -> None:
    part = 16 * 1024**2
    sink.slow_down(0.005)
    assert growth(host, sink, SIZES={"put": part, "part": part}) < LIMIT_MIB
