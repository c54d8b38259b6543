"""End-to-end test: backups of one machine over hours, all backup Workers, the report, alarms and the API's health."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from harness.backup_world import GROUP, STORES, TOKEN, Machine, Run, World
from harness.copies import NEWEST
from harness.offsite import Offsite
from harness.workerd import Host

HOURS = 4


class Platform:
    """A machine that makes a backup every hour and WAL every five minutes, and all backup Workers."""

    def __init__(self, host: Host, offsite: Offsite) -> None:
        self.world = World(host, offsite, whole=True)
        self.machine = Machine()
        self.begin = self.world.time
        self.slowest = timedelta()

    def hour(self, number: int, *, working: bool = True) -> None:
        """Let an hour pass: a backup at its beginning, WAL every five minutes, and every Worker every ten minutes."""
        run: Run | None = None
        for minute in range(0, 60, 10):
            self.world.time = self.begin + timedelta(hours=number, minutes=minute)
            if working and minute == 0:
                run = self.machine.backup(self.world.time, "full" if number % 24 == 0 else "incremental", files=1)
                self.world.time = run.finished
                self.write_and_deliver(run.objects | {run.key: run.envelope})
            elif working:
                self.write_and_deliver(self.machine.archive(self.world.time))
            self.world.pass_by(minutes=2)
            for script in ("replicate", "verify", "watch"):
                self.world.cron(script)
            if working:
                self.world.pass_by(minutes=3)
                self.write_and_deliver(self.machine.archive(self.world.time))
        self.world.cron("age-out")
        if run is not None:
            self.measure(run)

    def write_and_deliver(self, objects: dict[str, bytes]) -> None:
        ordered = dict(sorted(objects.items(), key=lambda one: one[0].endswith(".json")))
        index = {f"hourly/backup/{GROUP}/backup.info": b"index"}
        self.world.deliver(self.world.write(ordered | index))

    def measure(self, run: Run) -> None:
        """Measure the time until the run's objects were verified in all copies."""
        (found,) = self.world.sql(
            f"SELECT MAX({NEWEST}) AS at, COUNT(*) AS objects FROM objects "
            f"WHERE manifest = '{run.label}' AND class IN ('hourly', 'manifests')"
        )
        assert found["objects"] == len(run.objects) + 1
        self.slowest = max(self.slowest, datetime.fromisoformat(found["at"]) - run.finished)

    def report(self) -> dict[str, Any]:
        answer = self.world.host.ask(
            "fetch",
            path="/report.json",
            method="GET",
            headers={"authorization": f"Bearer {TOKEN}"},
            worker="report",
            instruction={"clock": self.world.time.isoformat()},
        )
        assert answer["status"] == 200, answer
        return json.loads(answer["body"])

    def webhooks(self) -> list[tuple[str, bool]]:
        """Return the webhooks since the last call: id of the alarm, and whether it has ended."""
        taken, self.world.offsite.hooks = self.world.offsite.hooks, []
        return [(one["id"], one["endedAt"] is not None) for one in taken]


@pytest.mark.long
def test_backups_are_replicated_verified_and_alarmed_when_missing(host: Host, offsite: Offsite) -> None:
    platform = Platform(host, offsite)
    world = platform.world
    for number in range(HOURS):
        platform.hour(number)
    # All is well: no notification, no finding, and every copy verified within five minutes.
    assert platform.webhooks() == []
    assert host.emails() == []
    assert world.findings() == []
    assert platform.slowest <= timedelta(minutes=5)
    digests = [world.digests(store) for store in STORES]
    assert digests[0] == digests[1] == digests[2]
    assert len(digests[0]) > 80
    report = platform.report()
    (group,) = report["groups"]
    assert (group["group"], report["findings"], report["alarms"]) == (GROUP, [], [])
    assert len([one for one in group["runs"] if one["class"] == "hourly"]) == HOURS
    assert {one["class"] for one in group["runs"]} == {"hourly", "daily", "monthly", "yearly"}
    for one in group["runs"]:
        assert {copy["verified"] for copy in one["copies"].values()} == {one["objects"]}
    # A dead letter is an alarm on every channel until its object is copied.
    key = next(iter(platform.machine.archive(world.time)))
    world.write({key: b"wal"})
    dead = [{"action": "PutObject", "object": {"key": key}}]
    instruction = {"clock": world.time.isoformat()}
    queue = "ledger-prod-backup-dead-letters"
    host.ask("queue", queue=queue, messages=dead, worker="replicate", instruction=instruction)
    for _ in range(2):
        world.pass_by(minutes=1)
        world.cron("watch")
    assert platform.webhooks() == [("findings:undelivered", False)]
    assert len(host.emails(1)) == 1
    world.pass_by(minutes=5)
    for script in ("replicate", "watch"):
        world.cron(script)
    assert platform.webhooks() == [("findings:undelivered", True)]
    host.emails(1)
    # The machine makes no more backups and no more WAL.
    for number in (HOURS, HOURS + 1):
        platform.hour(number, working=False)
    assert sorted(platform.webhooks()) == [(f"backup:{GROUP}", False), (f"wal:{GROUP}", False)]
    assert len(host.emails(2)) == 2
    assert {one["id"] for one in platform.report()["alarms"]} == {f"backup:{GROUP}", f"wal:{GROUP}"}
    # The API's health report, which the status page reads, has it too.
    health = host.ask("fetch", path="/health", method="GET", worker="api")
    assert json.loads(health["body"])["components"]["backups"]["status"] == "degraded"
