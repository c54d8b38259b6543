"""What holds for every backup Worker."""

import pytest

from harness.workerd import Host


@pytest.mark.parametrize("worker", ["replicate", "verify", "age-out", "watch"])
def test_nothing_is_public(host: Host, worker: str) -> None:
    host.start(f"backups/{worker}", r2Buckets=["COPY_PRIMARY", "COPY_REPLICA"], d1Databases=["DB"])
    assert host.fetch("/")["status"] == 404
