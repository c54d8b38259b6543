"""Tests of replication: which objects are copied by events and by reconciliation, and which are not."""

import hashlib
import re
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from harness.backup_manifests import sealed
from harness.backup_world import GROUP, Machine, World
from harness.offsite import Offsite
from harness.workerd import Host

SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/eu-north-1/s3/aws4_request, "
    r"SignedHeaders=[\w;-]*host[\w;-]*, Signature=[0-9a-f]{64}"
)
WAL = f"hourly/archive/{GROUP}/17-1/0000000100000000/0000000100000000000000A1-{'ab' * 20}.zst"
ODD = f"hourly/backup/{GROUP}/a b+c!('*)/ü&<>\"x"


@pytest.fixture
def world(host: Host, offsite: Offsite) -> World:
    return World(host, offsite)


def copies(world: World, key: str) -> list[bytes | None]:
    return [world.read(store, key) for store in ("replica", "offsite")]


def test_event_copies_the_object_to_both_copies(world: World, offsite: Offsite) -> None:
    assert world.deliver(world.write({ODD: b"odd", WAL: b"x" * 100_000})) == []
    assert copies(world, ODD) == [b"odd"] * 2
    assert copies(world, WAL) == [b"x" * 100_000] * 2
    assert offsite.get(WAL)[1] == hashlib.sha256(b"x" * 100_000).hexdigest()
    assert all(SIGNED.fullmatch(asked.headers["authorization"]) for asked in offsite.requests)


def test_failed_store_does_not_block_the_others_and_is_retried(world: World, offsite: Offsite) -> None:
    offsite.fail = True
    assert world.deliver(world.write({WAL: b"one"})) == [WAL]
    assert copies(world, WAL) == [b"one", None]
    offsite.fail = False
    assert world.deliver([WAL]) == []
    assert copies(world, WAL) == [b"one"] * 2


def test_a_repeated_event_writes_nothing(world: World, host: Host, offsite: Offsite) -> None:
    world.deliver(world.write({WAL: b"one"}))
    first = host.get("COPY_REPLICA", WAL)
    offsite.requests.clear()
    world.deliver([WAL, WAL])
    assert host.get("COPY_REPLICA", WAL) == first
    assert len(offsite.requests) == 2  # one HEAD for each event, and no PUT


@pytest.mark.parametrize("old", [b"old", b"older"])
def test_unlisted_object_is_overwritten_by_the_primary(world: World, old: bytes) -> None:
    world.deliver(world.write({WAL: old}))
    world.deliver(world.write({WAL: b"new"}))
    assert copies(world, WAL) == [b"new"] * 2


def test_deletions_are_not_replicated(world: World, host: Host) -> None:
    world.deliver(world.write({WAL: b"one"}))
    world.delete("primary", WAL)
    messages = [
        {"action": action, "object": {"key": WAL}} for action in ("DeleteObject", "LifecycleDeletion", "PutObject")
    ]
    result = host.ask("queue", messages=messages, worker="replicate", instruction={"clock": world.time.isoformat()})
    assert result["explicitAcks"] == ["0", "1", "2"]
    assert copies(world, WAL) == [b"one"] * 2


@pytest.mark.parametrize("message", [{"action": "PutObject"}, {}, "text", None, 7])
def test_malformed_message_is_retried_alone(world: World, host: Host, message: object) -> None:
    world.write({WAL: b"one"})
    good = {"action": "PutObject", "object": {"key": WAL}}
    result = host.ask("queue", messages=[message, good], worker="replicate")
    assert (result["explicitAcks"], [one["msgId"] for one in result["retryMessages"]]) == (["1"], ["0"])


def test_event_is_retried_when_the_database_fails(world: World) -> None:
    world.write({WAL: b"one"})
    assert world.deliver([WAL], broken=["DB"]) == [WAL]
    assert world.deliver([WAL]) == []


class TestListed:
    @pytest.fixture
    def key(self, world: World) -> str:
        """An object of a run that is good in every store, a few minutes later."""
        run = Machine().backup(world.time, "full")
        world.deliver(world.write(run.objects) + world.write({run.key: run.envelope}))
        world.cron("verify")
        world.pass_by(minutes=10)
        return next(key for key in run.objects if key.startswith("hourly/backup/"))

    def test_damaged_primary_is_not_replicated_but_repaired(self, world: World, key: str) -> None:
        good = world.read("primary", key)
        world.deliver(world.write({key: b"bad"}))
        assert copies(world, key) == [good] * 2
        world.cron("verify")
        assert world.read("primary", key) == good
        (finding,) = world.findings()
        assert (finding["kind"], finding["store"], finding["key"]) == ("damaged", "primary", key)
        assert finding["outcome"] == "repaired"

    @pytest.mark.long
    def test_damaged_primary_does_not_replace_a_missing_copy(self, world: World, key: str) -> None:
        good = world.read("primary", key)
        world.delete("offsite", key)
        world.deliver(world.write({key: b"bad"}))
        assert copies(world, key) == [good, None]
        (finding,) = world.findings("closed_at IS NULL")
        assert (finding["kind"], finding["store"], finding["key"]) == ("damaged", "primary", key)
        world.cron("verify")
        assert [world.read("primary", key), *copies(world, key)] == [good] * 3
        assert world.findings("closed_at IS NULL") == []

    @pytest.mark.long
    def test_copy_with_the_listed_checksum_is_not_rewritten(self, world: World, key: str, offsite: Offsite) -> None:
        offsite.requests.clear()
        assert world.deliver([key]) == []
        assert len(offsite.requests) == 1

    def test_missing_copy_is_written_again(self, world: World, key: str) -> None:
        world.delete("replica", key)
        world.deliver([key])
        assert copies(world, key) == [world.read("primary", key)] * 2


def test_bytes_changed_before_their_manifest_was_read_are_not_replicated(world: World) -> None:
    run = Machine().backup(world.time, "full")
    world.deliver(world.write(run.objects))
    world.write({run.key: run.envelope})  # its event is late
    key, good = next((key, body) for key, body in run.objects.items() if "/bundle/" in key)
    world.deliver(world.write({key: b"bad"}))
    assert copies(world, key) == [good] * 2


class TestManifests:
    def test_invalid_manifest_is_a_finding_and_is_not_replicated(self, world: World) -> None:
        machine = Machine()
        machine.password = "somebody else's"
        run = machine.backup(world.time, "full")
        assert world.deliver(world.write(run.objects) + world.write({run.key: run.envelope})) == []
        assert copies(world, run.key) == [None, None]
        (finding,) = world.findings()
        assert (finding["kind"], finding["store"], finding["key"]) == ("refused", "primary", run.key)
        assert finding["detail"].startswith("key: ")

    def test_manifest_is_read_when_its_event_arrives(self, world: World) -> None:
        run = Machine().backup(world.time, "full")
        world.deliver(world.write({run.key: run.envelope}))
        assert world.sql("SELECT run FROM manifests") == [{"run": run.label}]
        assert copies(world, run.key) == [run.envelope] * 2


class TestDeadLetters:
    def bury(self, world: World, host: Host, message: object) -> None:
        queue = "backbuild-staging-backup-dead-letters"
        instruction = {"clock": world.time.isoformat()}
        result = host.ask("queue", queue=queue, messages=[message], worker="replicate", instruction=instruction)
        assert result["explicitAcks"] == ["0"]

    def test_dead_letter_is_a_finding_until_the_object_is_copied(self, world: World, host: Host) -> None:
        world.write({WAL: b"one"})
        self.bury(world, host, {"action": "PutObject", "object": {"key": WAL}})
        (finding,) = world.findings("closed_at IS NULL")
        assert (finding["kind"], finding["key"]) == ("undelivered", WAL)
        world.pass_by(minutes=5)
        world.cron("replicate")
        assert copies(world, WAL) == [b"one"] * 2
        assert world.findings("closed_at IS NULL") == []

    def test_malformed_dead_letter_is_a_finding(self, world: World, host: Host) -> None:
        self.bury(world, host, "text")
        assert [one["kind"] for one in world.findings()] == ["undelivered"]


class TestReconciliation:
    def test_object_without_an_event_is_copied_and_a_finding(self, world: World) -> None:
        world.write({WAL: b"one"})
        world.cron("replicate")
        assert copies(world, WAL) == [None, None]  # its event may still arrive
        world.pass_by(minutes=5)
        world.cron("replicate")
        assert copies(world, WAL) == [b"one"] * 2
        found = [(one["kind"], one["store"], one["key"], one["outcome"]) for one in world.findings()]
        assert found == [("missed", store, WAL, "copied") for store in ("replica", "offsite")]
        world.pass_by(minutes=5)
        world.cron("replicate")
        assert world.last("replicate") == (
            "ok",
            {
                "compared": 1,
                "copied": 0,
                "failed": 0,
                "placed": 0,
                "extra": 0,
                "unlisted": 0,
                "complete": True,
                "continueAfter": None,
            }
            | {"since": world.time.isoformat().replace("+00:00", ".000Z")},
        )

    def test_several_pages_are_compared(self, world: World) -> None:
        keys = [f"hourly/backup/{GROUP}/20270101-013000F/bundle/{number:04}" for number in range(103)]
        world.write(dict.fromkeys(keys, b"x"))
        world.deliver(keys[:100])
        world.pass_by(minutes=5)
        world.cron("replicate", page=20)
        assert world.last("replicate")[1]["copied"] == 3
        assert world.keys("offsite") == world.keys("replica") == keys

    @pytest.mark.long
    def test_next_run_continues_where_the_last_one_stopped(self, world: World) -> None:
        """In this test a page is one object, and an invocation compares 200 pages."""
        keys = [f"hourly/backup/{GROUP}/20270101-013000F/bundle/{number:04}" for number in range(203)]
        world.write(dict.fromkeys(keys, b"x"))
        for store in ("replica", "offsite"):
            world.write(dict.fromkeys(keys[:-1], b"x"), store)
        world.pass_by(minutes=5)
        world.cron("replicate", page=1)
        detail = world.last("replicate")[1]
        assert (detail["compared"], detail["continueAfter"], detail["complete"]) == (200, keys[199], False)
        world.pass_by(minutes=5)
        world.cron("replicate", page=1)
        detail = world.last("replicate")[1]
        assert (detail["compared"], detail["copied"], detail["complete"]) == (3, 1, True)

    def test_extra_and_unlisted_objects_are_findings_until_they_are_deleted(self, world: World) -> None:
        world.write({"hourly/backup/extra": b"one"}, "replica")
        world.write({"hourly/backup/another": b"two"}, "offsite")
        world.write({WAL: b"three"})
        world.deliver([WAL])
        world.pass_by(hours=27)
        world.cron("replicate")
        found = {(one["kind"], one["store"], one["key"]) for one in world.findings("closed_at IS NULL")}
        assert found == {
            ("extra", "replica", "hourly/backup/extra"),
            ("extra", "offsite", "hourly/backup/another"),
            ("unlisted", "primary", WAL),
        }
        world.delete("replica", "hourly/backup/extra")
        world.pass_by(minutes=5)
        world.cron("replicate")
        assert [one["outcome"] for one in world.findings("key = 'hourly/backup/extra'")] == ["gone"]
        assert len(world.findings("closed_at IS NULL")) == 2

    def test_files_that_pgbackrest_rewrites_are_no_findings(self, world: World) -> None:
        for folder, name in (("backup", "backup"), ("archive", "archive")):
            world.deliver(
                world.write(
                    {f"hourly/{folder}/{GROUP}/{name}.info": b"x", f"hourly/{folder}/{GROUP}/{name}.info.copy": b"x"}
                )
            )
        world.pass_by(hours=27)
        world.cron("replicate")
        assert world.findings() == []

    def test_manifest_that_only_a_copy_has_is_read_and_copied_back(self, world: World) -> None:
        run = Machine().backup(world.time, "full")
        world.deliver(world.write(run.objects) + world.write({run.key: run.envelope}, "replica"))
        world.delete("replica", run.key)
        world.write({run.key: run.envelope}, "offsite")
        world.pass_by(minutes=5)
        world.cron("replicate")
        world.settle()
        assert [world.read(store, run.key) for store in ("primary", "replica", "offsite")] == [run.envelope] * 3

    def test_failed_store_fails_the_run_and_the_next_run_continues(self, world: World, offsite: Offsite) -> None:
        world.write({WAL: b"one"})
        world.pass_by(minutes=5)
        offsite.fail = True
        world.cron("replicate")
        assert world.last("replicate") == ("failed", {"error": "GET 503"})
        offsite.fail = False
        world.pass_by(minutes=5)
        world.cron("replicate")
        assert copies(world, WAL) == [b"one"] * 2


def test_offsite_objects_are_locked_for_the_retention_of_their_class(world: World, offsite: Offsite) -> None:
    run = Machine().backup(world.time, "full")
    world.deliver(world.write(run.objects) + world.write({run.key: run.envelope}))
    world.cron("verify")
    until = {key.split("/")[0]: time for key, time in offsite.locks.items()}
    assert until == {
        "daily": "2027-02-05T01:30:00Z",
        "monthly": "2028-02-08T01:30:00Z",
        "yearly": "2034-01-06T01:30:00Z",
        "hourly": "2027-01-09T01:30:00Z",
        "manifests": "2027-01-09T01:30:00Z",
    }


def test_object_too_large_to_be_read_in_one_invocation_is_a_finding(world: World) -> None:
    world.write({WAL: b"one"})
    size = 60 * 1_024**3
    assert world.deliver([WAL], sizes={WAL: size}) == []
    assert copies(world, WAL) == [None, None]
    (finding,) = world.findings()
    assert (finding["kind"], finding["key"]) == ("oversize", WAL)
    assert str(size) in finding["detail"]


def test_manifest_with_a_negative_size_is_rejected(world: World) -> None:
    manifest = Machine().backup(world.time, "full").manifest
    manifest["objects"][0]["size"] = -1
    key = f"manifests/{GROUP}/{manifest['run']}.json"
    world.deliver(world.write({key: sealed(manifest)}))
    assert [(one["kind"], one["key"]) for one in world.findings()] == [("refused", key)]


EMPTY_PAGE = (
    "<ListBucketResult><MaxKeys>1000</MaxKeys><KeyCount>0</KeyCount><NextContinuationToken>{token}</NextContinuationToken>"
    "<IsTruncated>true</IsTruncated></ListBucketResult>"
)


class TestEmptyPages:
    """S3 may return empty pages that are not the last one, for example after thousands of objects were deleted."""

    @pytest.fixture
    def tokens(self, offsite: Offsite, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The continuation tokens of the empty pages, in order; the page after the last token is the real one."""
        listed = ["one", "two/+=&"]
        answer = offsite._application

        def paged(environ: dict[str, Any], start: Any) -> Any:
            query = dict(parse_qsl(environ["QUERY_STRING"]))
            if "list-type" in query:
                at = listed.index(query["continuation-token"]) + 1 if "continuation-token" in query else 0
                if at < len(listed):
                    body = EMPTY_PAGE.format(token=escape(listed[at])).encode()
                    start("200 OK", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
                    return [body]
                environ["QUERY_STRING"] = urlencode({key: query[key] for key in query if key != "continuation-token"})
            return answer(environ, start)

        monkeypatch.setattr(offsite, "_application", paged)
        return listed

    def test_empty_pages_are_skipped(self, world: World, tokens: list[str]) -> None:
        world.write({WAL: b"one"})
        world.pass_by(minutes=5)
        world.cron("replicate")
        assert (len(tokens), world.read("replica", WAL), world.read("offsite", WAL)) == (2, b"one", b"one")

    def test_stalled_listing_is_a_finding_until_it_continues(self, world: World, tokens: list[str]) -> None:
        world.write({WAL: b"one"})
        world.pass_by(minutes=5)
        tokens[1] = tokens[0]
        world.cron("replicate")
        assert [(one["kind"], one["store"]) for one in world.findings()] == [("stalled", "offsite")]
        assert world.last("replicate")[0] == "alarm"
        tokens[:] = []
        for _ in range(2):
            world.pass_by(minutes=5)
            world.cron("replicate")
        assert world.read("offsite", WAL) == b"one"
        assert world.findings("kind = 'stalled' AND closed_at IS NULL") == []
