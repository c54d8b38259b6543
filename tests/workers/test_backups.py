"""The backup Workers: what they copy, compare, count and miss."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .offsite import Offsite
from .workerd import Host

AT = "2026-11-24T10:00:00.000Z"
BUCKETS = ["PRIMARY", "REPLICA"]
SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/eu-north-1/s3/aws4_request, "
    r"SignedHeaders=host;[\w;-]+, Signature=[0-9a-f]{64}"
)
LABEL = "20261123-000000F"
SEGMENT = "0000000100000000000000A1-" + "ab" * 20 + ".zst"


def event(key: str, action: str = "PutObject") -> dict[str, Any]:
    return {"action": action, "bucket": "primary", "object": {"key": key, "size": 5, "eTag": "e"}}


def last_run(host: Host, worker: str) -> tuple[str, Any]:
    row = host.sql(f"SELECT outcome, detail FROM runs WHERE worker = '{worker}' ORDER BY at DESC LIMIT 1")[0]
    return row["outcome"], json.loads(row["detail"])


def retried(result: dict[str, Any]) -> list[str]:
    return [message["msgId"] for message in result["retryMessages"]]


@pytest.fixture(scope="module")
def offsite() -> Iterator[Offsite]:
    offsite = Offsite()
    yield offsite
    offsite.close()


class TestWatch:
    """Stored objects carry the real time, so it is the clock that moves on."""

    @staticmethod
    def start(host: Host, *keys: str, later: timedelta = timedelta(seconds=30)) -> None:
        clock = (datetime.now(UTC) + later).isoformat()
        host.start("backups/watch", r2Buckets=["PRIMARY"], d1Databases=["DB"], bindings={"CLOCK": clock})
        for key in keys:
            host.put("PRIMARY", key)
        assert host.scheduled(AT) == "ok"

    KEYS = (
        f"hourly/backup/coordinator/{LABEL}/backup.manifest",
        f"hourly/archive/coordinator/17-1/0000000100000000/{SEGMENT}",
    )

    @pytest.mark.parametrize(
        ("later", "missing"),
        [
            ({"minutes": 1}, []),
            ({"minutes": 12}, ["wal"]),
            ({"minutes": 77}, ["increment", "wal"]),
            ({"hours": 26, "minutes": 2}, ["full", "increment", "wal"]),
        ],
    )
    def test_alarms_when_the_newest_is_too_old(self, host: Host, later: dict[str, int], missing: list[str]) -> None:
        self.start(host, *self.KEYS, later=timedelta(**later))
        outcome, detail = last_run(host, "watch")
        assert outcome == ("alarm" if missing else "ok")
        assert [line.split()[2] for line in detail["missing"]] == missing

    def test_an_empty_bucket_is_an_alarm(self, host: Host) -> None:
        self.start(host)
        missing = ["the primary bucket holds no backup of any group"]
        assert last_run(host, "watch") == ("alarm", {"ages": {}, "missing": missing})

    def test_a_backup_without_its_manifest_does_not_count(self, host: Host) -> None:
        self.start(host, f"hourly/backup/coordinator/{LABEL}/pg_data/base.bundle", self.KEYS[1])
        assert last_run(host, "watch")[1]["ages"] == {"coordinator": {"full": None, "increment": None, "wal": 0}}

    def test_an_increment_is_no_full_backup_and_each_group_is_looked_at(self, host: Host) -> None:
        increment = f"hourly/backup/worker-1/{LABEL}_20261124-090000I/backup.manifest"
        self.start(host, *self.KEYS, increment, "hourly/archive/worker-1/17-1/00000002.history")
        assert last_run(host, "watch")[1]["ages"] == {
            "coordinator": {"full": 0, "increment": 0, "wal": 0},
            "worker-1": {"full": None, "increment": 0, "wal": None},
        }


@pytest.mark.parametrize("worker", ["replicate", "verify", "age-out", "watch"])
def test_nothing_is_public(host: Host, worker: str) -> None:
    host.start(f"backups/{worker}", r2Buckets=BUCKETS, d1Databases=["DB"])
    assert host.fetch("/")["status"] == 404
