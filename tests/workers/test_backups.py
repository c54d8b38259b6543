"""The backup Workers: what they copy, compare, count and miss."""

import hashlib
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


class TestReplicate:
    @pytest.fixture(autouse=True)
    def _running(self, host: Host, offsite: Offsite) -> None:
        offsite.empty()
        host.start("backups/replicate", r2Buckets=BUCKETS, **offsite.options)

    def test_goes_off_site_with_its_checksum(self, host: Host, offsite: Offsite) -> None:
        known, unknown = b"wal", b"x" * 100_000
        host.put("PRIMARY", "hourly/a b+c!('*)/ü", "wal", sha256=hashlib.sha256(known).hexdigest())
        host.put("PRIMARY", "multipart", unknown.decode())
        assert host.queue(event("hourly/a b+c!('*)/ü"), event("multipart"))["explicitAcks"] == ["0", "1"]
        assert offsite.get("hourly/a b+c!('*)/ü") == (known, hashlib.sha256(known).hexdigest())
        assert offsite.get("multipart") == (unknown, hashlib.sha256(unknown).hexdigest())
        assert all(SIGNED.fullmatch(request) for request in offsite.authorizations)

    def test_one_store_that_fails_holds_up_no_other_and_is_tried_again(self, host: Host, offsite: Offsite) -> None:
        host.put("PRIMARY", "a", "one")
        offsite.fail = True
        assert retried(host.queue(event("a"))) == ["0"]
        copy = host.get("REPLICA", "a")
        assert copy is not None
        assert copy["text"] == "one"
        offsite.fail = False
        assert host.queue(event("a"))["explicitAcks"] == ["0"]
        assert offsite.get("a")[0] == b"one"
        assert host.get("REPLICA", "a") == copy

    def test_copies_with_the_checksum_the_source_has(self, host: Host) -> None:
        sha256 = hashlib.sha256(b"wal").hexdigest()
        host.put("PRIMARY", "archive/a", "wal", sha256=sha256, customMetadata={"kind": "wal"})
        host.put("PRIMARY", "archive/b", "no checksum")
        result = host.queue(event("archive/a"), event("archive/b", "CompleteMultipartUpload"))
        assert result["explicitAcks"] == ["0", "1"]
        copy = host.get("REPLICA", "archive/a")
        assert copy is not None
        assert (copy["text"], copy["sha256"], copy["customMetadata"]["kind"]) == ("wal", sha256, "wal")
        other = host.get("REPLICA", "archive/b")
        assert other is not None
        assert other["text"] == "no checksum"

    @pytest.mark.parametrize("checksum", [{"sha256": hashlib.sha256(b"one").hexdigest()}, {}])
    def test_a_repeated_event_writes_nothing(self, host: Host, checksum: dict[str, str]) -> None:
        host.put("PRIMARY", "a", "one", **checksum)
        host.queue(event("a"))
        first = host.get("REPLICA", "a")
        host.queue(event("a"), event("a"))
        assert host.get("REPLICA", "a") == first

    @pytest.mark.parametrize("old", ["old", "older"])
    def test_a_changed_object_is_copied_again(self, host: Host, old: str) -> None:
        host.put("PRIMARY", "a", old)
        host.queue(event("a"))
        host.put("PRIMARY", "a", "new")
        host.queue(event("a"))
        copy = host.get("REPLICA", "a")
        assert copy is not None
        assert copy["text"] == "new"

    def test_deletions_do_not_spread(self, host: Host) -> None:
        host.put("PRIMARY", "a")
        host.queue(event("a"))
        host.delete("PRIMARY", "a")
        result = host.queue(event("a", "DeleteObject"), event("a", "LifecycleDeletion"), event("a"))
        assert result["explicitAcks"] == ["0", "1", "2"]
        assert host.get("REPLICA", "a") is not None

    def test_what_fails_is_retried_alone(self, host: Host) -> None:
        host.put("PRIMARY", "a")
        result = host.queue({"action": "PutObject"}, event("a"))
        assert result["explicitAcks"] == ["1"]
        assert retried(result) == ["0"]

    def test_a_replica_that_fails_loses_no_event(self, host: Host) -> None:
        host.start("backups/replicate", r2Buckets=["PRIMARY"])
        host.put("PRIMARY", "a")
        assert retried(host.queue(event("a"))) == ["0"]


class TestVerify:
    @pytest.fixture(autouse=True)
    def _running(self, host: Host, offsite: Offsite) -> None:
        offsite.empty()
        host.start("backups/verify", r2Buckets=BUCKETS, d1Databases=["DB"], **offsite.options)

    def test_counts_what_is_missing_and_what_differs(self, host: Host, offsite: Offsite) -> None:
        sha256 = hashlib.sha256(b"bytes").hexdigest()
        for key in ("same", "missing", "different", "shorter"):
            host.put("PRIMARY", key, sha256=sha256)
        host.put("REPLICA", "same", sha256=sha256)
        host.put("REPLICA", "different", "bytez")
        host.put("REPLICA", "shorter", "byte")
        for key in ("same", "missing", "different"):
            offsite.put(key, b"bytes")
        assert host.scheduled(AT) == "ok"
        expected = {"checked": 4, "missing": 2, "different": 2, "continueAfter": None}
        assert last_run(host, "verify") == ("alarm", expected)

    def test_goes_on_where_it_stopped_and_then_begins_anew(self, host: Host) -> None:
        for number in range(201):
            host.put("PRIMARY", f"{number:03}")
        host.scheduled("2026-11-24T10:00:00Z")
        assert last_run(host, "verify")[1] == {
            "checked": 200,
            "missing": 400,
            "different": 0,
            "continueAfter": "199",
        }
        host.scheduled("2026-11-24T11:00:00Z")
        assert last_run(host, "verify")[1]["checked"] == 1
        host.scheduled("2026-11-24T12:00:00Z")
        assert last_run(host, "verify")[1]["checked"] == 200

    def test_a_store_that_fails_is_a_failed_run(self, host: Host) -> None:
        host.start("backups/verify", r2Buckets=["PRIMARY"], d1Databases=["DB"], bindings={})
        host.put("PRIMARY", "a")
        host.scheduled(AT)
        assert last_run(host, "verify") == ("failed", {"error": "TypeError"})


def test_age_out_takes_stock_and_deletes_nothing(host: Host) -> None:
    host.start("backups/age-out", r2Buckets=BUCKETS, d1Databases=["DB"])
    host.put("PRIMARY", "a", "12345")
    host.put("PRIMARY", "b", "1")
    assert host.scheduled(AT) == "ok"
    outcome, detail = last_run(host, "age-out")
    assert outcome == "ok"
    assert datetime.fromisoformat(detail["primary"].pop("oldest")) < datetime.now(UTC)
    assert detail == {
        "primary": {"objects": 2, "bytes": 6, "complete": True},
        "replica": {"objects": 0, "bytes": 0, "oldest": None, "complete": True},
        "deleted": 0,
    }
    assert host.get("PRIMARY", "a") is not None
    host.scheduled(AT)
    assert host.sql("SELECT COUNT(*) AS runs FROM runs") == [{"runs": 1}]


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
