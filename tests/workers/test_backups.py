"""Tests of all scheduled backup Workers."""

import pytest

from harness.workerd import Host


@pytest.mark.parametrize("worker", ["replicate", "verify", "age-out", "watch"])
def test_scheduled_workers_answer_404(host: Host, worker: str) -> None:
    host.start(f"backups/{worker}", r2Buckets=["COPY_PRIMARY", "COPY_REPLICA"], d1Databases=["DB"])
    assert host.fetch("/")["status"] == 404
