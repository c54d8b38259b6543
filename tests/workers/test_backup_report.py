"""Tests of the report Worker: the report, which needs a token, and the health of backups, which does not."""

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from harness.copies import COPIES
from harness.workerd import Host

NOW = "2026-11-24T10:00:00.000Z"
TOKEN = "the-report's-token"
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()
ROTATION = {"pointInTimeDays": 7, "minimumFulls": 3, "keepDays": {"hourly": 8, "daily": 35}}
FULL, INCREMENT = "20261123-013005F", "20261123-013005F_20261123-023005I"
POINT = "backbuild-20261123T023000Z"
BEARER = {"authorization": f"Bearer {TOKEN}"}
TABLES = ("alarms", "told", "runs", "findings", "objects", "object_copies", "manifests", "promotions", "audit")
UNSEEN = {"verified": 0, "oldest": None}
EMPTY_WAL = {
    "objects": 0,
    "bytes": 0,
    "first": None,
    "last": None,
    "oldest": None,
    "newest": None,
    "copies": {"primary": UNSEEN, "replica": UNSEEN, "offsite": UNSEEN},
}


def start(host: Host, **bindings: Any) -> None:
    bound = {"GROUPS": ["coordinator", "worker-1"], "ROTATION": ROTATION, "COPIES": COPIES, "TOKEN_SHA256": DIGEST}
    host.start("backups/report", bindings={**bound, "CLOCK": NOW, **bindings}, d1Databases=["DB"])


@pytest.fixture(scope="module")
def started(host: Host) -> Host:
    start(host)
    host.fetch("/health")  # makes the tables
    return host


@pytest.fixture
def report(started: Host) -> Host:
    """The report Worker with an empty catalogue."""
    for table in TABLES:
        started.sql(f"DELETE FROM {table}")
    return started


def read(host: Host) -> Any:
    response = host.fetch("/report.json", headers=BEARER)
    assert response["status"] == 200
    return json.loads(response["body"])


def insert(host: Host, table: str, **row: Any) -> None:
    values = ", ".join("NULL" if value is None else "'" + str(value).replace("'", "''") + "'" for value in row.values())
    host.sql(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})")


def add_object(
    host: Host, key: str, run: str = FULL, verified: Mapping[str, str] = MappingProxyType({}), **columns: Any
) -> None:
    """Add an object; `verified` has the verification time by copy."""
    row = {
        "key": key,
        "grp": "coordinator",
        "class": "hourly",
        "run": run,
        "manifest": run,
        "kind": "backup",
        "size": 10,
        "sha256": "ab" * 32,
        "stored_at": "2026-11-23T01:31:00.000Z",
        "listed_at": "2026-11-23T01:40:00.000Z",
        "check_after": "2026-11-23T01:40:00.000Z",
    }
    insert(host, "objects", **{**row, **columns})
    for copy in COPIES:
        name = copy["name"]
        insert(host, "object_copies", key=key, copy=name, since=row["listed_at"], verified_at=verified.get(name))


def add_manifest(host: Host, run: str, finished_at: str, **columns: Any) -> None:
    row = {
        "grp": "coordinator",
        "run": run,
        "kind": "full" if run.endswith("F") else "incremental",
        "started_at": finished_at,
        "finished_at": finished_at,
        "sha256": "cd" * 32,
        "depends_on": "[]",
        "history": 1,
        "wal_first": "0" * 24,
        "wal_last": "0" * 24,
        "read_at": finished_at,
    }
    insert(host, "manifests", **{**row, **columns})


def segment(number: int) -> str:
    return f"{1:08X}{0:08X}{number:08X}"


def test_report_of_an_empty_catalogue(report: Host) -> None:
    assert read(report) == {
        "time": NOW,
        "copies": ["primary", "replica", "offsite"],
        "rotation": ROTATION,
        "groups": [{"group": name, "runs": [], "wal": EMPTY_WAL} for name in ("coordinator", "worker-1")],
        "findings": [],
        "alarms": [],
        "workers": [],
        "planned": [],
        "audit": [],
    }


def test_runs_have_class_copies_and_end_of_retention(report: Host) -> None:
    add_manifest(report, FULL, "2026-11-23T01:35:00.000Z")
    add_manifest(report, INCREMENT, "2026-11-23T02:35:00.000Z", depends_on=json.dumps([FULL]))
    both = {"primary": "2026-11-23T03:00:00.000Z", "replica": "2026-11-23T04:00:00.000Z"}
    add_object(report, "hourly/a", verified=both)
    add_object(report, "hourly/b", verified={"primary": "2026-11-23T02:00:00.000Z"}, size=5)
    add_object(report, "hourly/c", INCREMENT, {"offsite": NOW})
    add_object(report, "hourly/wal", kind="wal", segment=segment(1), history=1)
    add_object(report, "manifests/a", kind="manifest", **{"class": "manifests"})
    due = "2026-11-25T11:15:00.000Z"
    for key, kind in (("daily/a", "backup"), ("daily/b", "wal"), ("daily/c", "index")):
        add_object(report, key, kind=kind, source="hourly/a", due_at=due, **{"class": "daily"})
    promoted = {"class": "daily", "period": "20261123", "grp": "coordinator", "run": FULL}
    insert(report, "promotions", **promoted, point=POINT, settled_at=NOW)
    group = read(report)["groups"][0]
    oldest = {"verified": 2, "oldest": "2026-11-23T02:00:00.000Z"}
    replica = {"verified": 1, "oldest": "2026-11-23T04:00:00.000Z"}
    assert group["runs"] == [
        {
            "class": "hourly",
            "run": INCREMENT,
            "kind": "incremental",
            "finishedAt": "2026-11-23T02:35:00.000Z",
            "objects": 1,
            "bytes": 10,
            "copies": {"primary": UNSEEN, "replica": UNSEEN, "offsite": {"verified": 1, "oldest": NOW}},
            "point": None,
            "agesOutAt": "2026-12-01T02:35:00.000Z",
            "planned": False,
            "dependsOn": [FULL],
        },
        {
            "class": "daily",
            "run": FULL,
            "kind": "full",
            "finishedAt": "2026-11-23T01:35:00.000Z",
            "objects": 3,
            "bytes": 30,
            "copies": {"primary": UNSEEN, "replica": UNSEEN, "offsite": UNSEEN},
            "point": POINT,
            "agesOutAt": due,
            "planned": True,
            "dependsOn": [],
        },
        {
            "class": "hourly",
            "run": FULL,
            "kind": "full",
            "finishedAt": "2026-11-23T01:35:00.000Z",
            "objects": 2,
            "bytes": 15,
            "copies": {"primary": oldest, "replica": replica, "offsite": UNSEEN},
            "point": None,
            "agesOutAt": "2026-12-01T01:35:00.000Z",
            "planned": False,
            "dependsOn": [],
        },
    ]
    planned = read(report)["planned"]
    assert planned == [
        {"class": "daily", "group": "coordinator", "run": FULL, "kind": kind, "objects": 1, "bytes": 10, "dueAt": due}
        for kind in ("backup", "index", "wal")
    ]


def test_point_is_reported_once_all_wal_up_to_it_is_in_the_catalogue(report: Host) -> None:
    add_manifest(report, FULL, "2026-11-23T01:35:00.000Z")
    add_object(report, "daily/a", **{"class": "daily"})
    insert(report, "promotions", **{"class": "daily"}, period="20261123", grp="coordinator", run=FULL, point=POINT)
    assert [run["point"] for run in read(report)["groups"][0]["runs"]] == [None]
    report.sql(f"UPDATE promotions SET settled_at = '{NOW}'")
    assert [run["point"] for run in read(report)["groups"][0]["runs"]] == [POINT]


def test_wal_of_each_group(report: Host) -> None:
    times = [f"2026-11-23T0{hour}:00:00.000Z" for hour in range(10)]
    # A rebuilt database starts again with low segment names, which sort before those of the old database.
    for number, history in ((7, 1), (8, 1), (2, 2), (3, 10)):
        key = f"hourly/{history}/{number}"
        place: dict[str, Any] = {"history": history, "segment": segment(number), "stored_at": times[number]}
        add_object(report, key, kind="wal", verified={"primary": times[number]}, **place)
    add_object(report, "hourly/h", kind="wal", history=11, segment=segment(9) + ".", stored_at=times[4])
    add_object(report, "hourly/n", kind="wal", stored_at=times[4])
    add_object(report, "hourly/backup", stored_at=NOW)
    add_object(report, "hourly/other", kind="wal", grp="worker-9", history=1, segment=segment(1))
    groups = {group["group"]: group["wal"] for group in read(report)["groups"]}
    assert groups["coordinator"] == {
        "objects": 6,
        "bytes": 60,
        "first": segment(7),
        "last": segment(3),
        "oldest": times[2],
        "newest": times[8],
        "copies": {"primary": {"verified": 4, "oldest": times[2]}, "replica": UNSEEN, "offsite": UNSEEN},
    }
    assert groups["worker-1"] == EMPTY_WAL
    # A former group is listed while it still has objects.
    assert groups["worker-9"]["first"] == segment(1)


def test_runs_without_manifest_or_of_an_unknown_class_are_listed(report: Host) -> None:
    add_object(report, "hourly/a", stored_at="2026-11-23T01:31:00.000Z")
    add_object(report, "hourly/b", stored_at="2026-11-23T01:32:00.000Z")
    add_object(report, "weekly/c", INCREMENT, stored_at="never", **{"class": "weekly"})
    runs = read(report)["groups"][0]["runs"]
    assert [(run["kind"], run["finishedAt"], run["agesOutAt"]) for run in runs] == [
        ("incremental", "never", None),
        ("full", "2026-11-23T01:32:00.000Z", "2026-12-01T01:32:00.000Z"),
    ]


def test_findings_are_listed_open_first_then_closed_within_a_week(report: Host) -> None:
    ends = [None, "2026-11-24T00:00:00.000Z", "2026-11-17T10:00:00.001Z", "2026-11-17T09:59:59.999Z", None]
    for number, end in enumerate(ends):
        found = f"2026-10-0{number + 1}T00:00:00.000Z"
        outcome = None if end is None else "repaired"
        insert(
            report,
            "findings",
            kind="damaged",
            store="replica",
            key=str(number),
            detail="why",
            found_at=found,
            seen_at=found,
            closed_at=end,
            outcome=outcome,
        )
    findings = read(report)["findings"]
    assert [finding["key"] for finding in findings] == ["4", "0", "1", "2"]
    assert findings[2] == {
        "kind": "damaged",
        "store": "replica",
        "key": "1",
        "detail": "why",
        "foundAt": "2026-10-02T00:00:00.000Z",
        "closedAt": "2026-11-24T00:00:00.000Z",
        "outcome": "repaired",
    }


def test_lists_are_limited(report: Host) -> None:
    many = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 700)"
    report.sql(
        f"INSERT INTO findings (kind, store, key, detail, found_at, seen_at) {many} "
        f"SELECT 'lost', 'primary', n, '', '{NOW}', '{NOW}' FROM s"
    )
    report.sql(
        f"INSERT INTO audit (at, action, grp, class, run, kind, objects, bytes, reason) {many} "
        f"SELECT '{NOW}', 'kept', 'coordinator', 'hourly', n, 'full', 1, 2, 'why' FROM s"
    )
    said = read(report)
    assert len(said["findings"]) == 500
    assert [entry["run"] for entry in said["audit"]] == [str(number) for number in range(700, 600, -1)]
    assert said["audit"][0] == {
        "at": NOW,
        "action": "kept",
        "group": "coordinator",
        "class": "hourly",
        "run": "700",
        "kind": "full",
        "objects": 1,
        "bytes": 2,
        "reason": "why",
    }


def test_only_current_alarms_are_listed(report: Host) -> None:
    for name, raised, ended in (("suspicion", None, None), ("over", NOW, NOW), ("lasts", NOW, None)):
        insert(report, "alarms", id=name, since=NOW, text=f"{name}.", raised_at=raised, ended_at=ended)
    assert read(report)["alarms"] == [{"id": "lasts", "text": "lasts.", "since": NOW}]


def test_newest_run_of_each_worker_is_listed_even_with_malformed_detail(report: Host) -> None:
    for worker, minute, detail in (
        ("verify", 1, "{}"),
        ("verify", 3, "{oops"),
        ("verify", 2, "{}"),
        ("watch", 0, '{"told": 1}'),
        ("somebody else", 5, "{}"),
    ):
        insert(report, "runs", worker=worker, at=f"2026-11-24T09:0{minute}:00.000Z", outcome="ok", detail=detail)
    assert read(report)["workers"] == [
        {"worker": "verify", "at": "2026-11-24T09:03:00.000Z", "outcome": "ok", "detail": None},
        {"worker": "watch", "at": "2026-11-24T09:00:00.000Z", "outcome": "ok", "detail": {"told": 1}},
    ]


class TestAuthorization:
    @pytest.mark.parametrize(
        "header",
        [
            None,
            "",
            "Bearer",
            "Bearer ",
            "Bearer wrong",
            f"Bearer {DIGEST}",
            f"Basic {TOKEN}",
            TOKEN,
            f"Bearer {TOKEN}x",
        ],
    )
    def test_requests_without_the_token_get_401(self, report: Host, header: str | None) -> None:
        response = report.fetch("/report.json", headers={} if header is None else {"authorization": header})
        assert response["status"] == 401
        assert response["headers"]["www-authenticate"] == "Bearer"
        assert list(json.loads(response["body"])) == ["error"]

    def test_authorization_scheme_is_case_insensitive(self, report: Host) -> None:
        assert report.fetch("/report.json", headers={"authorization": f"bearer  {TOKEN}"})["status"] == 200

    def test_response_is_not_cached_and_has_no_secrets(self, report: Host) -> None:
        response = report.fetch("/report.json", headers=BEARER)
        assert response["headers"]["cache-control"] == "no-store"
        for secret in (TOKEN, DIGEST):
            assert secret not in response["body"]

    def test_only_reads_are_allowed(self, report: Host) -> None:
        head = report.fetch("/report.json", "HEAD", headers=BEARER)
        assert (head["status"], head["body"]) == (200, "")
        assert report.fetch("/report.json", "HEAD")["status"] == 401
        for method in ("POST", "PUT", "DELETE"):
            refused = report.fetch("/report.json", method, headers=BEARER)
            assert (refused["status"], refused["headers"]["allow"]) == (405, "GET, HEAD")
        for path in ("/", "/report", "/report.json/", "/constructor"):
            assert report.fetch(path, headers=BEARER)["status"] == 404


class TestHealth:
    @staticmethod
    def health(report: Host, **instruction: Any) -> str:
        response = report.fetch("/health", instruction=instruction)
        assert response["status"] == 200
        body = json.loads(response["body"])
        assert list(body) == ["status"]
        return body["status"]

    @staticmethod
    def looked(report: Host, minute: int, outcome: str = "ok") -> None:
        insert(report, "runs", worker="watch", at=f"2026-11-24T09:{minute}:00.000Z", outcome=outcome, detail="{}")

    @pytest.mark.parametrize(
        ("minute", "outcome", "status"),
        [(45, "ok", "ok"), (44, "ok", "degraded"), (55, "alarm", "ok"), (55, "failed", "degraded")],
    )
    def test_health_is_that_of_the_newest_watch_run(self, report: Host, minute: int, outcome: str, status: str) -> None:
        self.looked(report, 30, "failed" if outcome == "ok" else "ok")
        self.looked(report, minute, outcome)
        assert self.health(report) == status

    def test_health_is_degraded_before_the_first_watch_run(self, report: Host) -> None:
        insert(report, "runs", worker="verify", at=NOW, outcome="ok", detail="{}")
        assert self.health(report) == "degraded"

    @pytest.mark.parametrize("at", ["2026-11-24T10:16:00.000Z", "zzz"])
    def test_watch_run_with_an_invalid_or_future_time_does_not_count(self, report: Host, at: str) -> None:
        insert(report, "runs", worker="watch", at=at, outcome="ok", detail="{}")
        assert self.health(report) == "degraded"

    def test_alarm_degrades_health_and_pending_condition_does_not(self, report: Host) -> None:
        self.looked(report, 55)
        insert(report, "alarms", id="full:x", since=NOW, text="", raised_at=NOW, ended_at=NOW)
        insert(report, "alarms", id="wal:x", since=NOW, text="")
        assert self.health(report) == "ok"
        insert(report, "alarms", id="wal:y", since=NOW, text="", raised_at=NOW)
        assert self.health(report) == "degraded"

    def test_health_is_unknown_within_the_timeout_when_the_database_fails(self, report: Host) -> None:
        self.looked(report, 55)
        assert self.health(report, broken=["DB"]) == "unknown"
        assert self.health(report, silent=["DB"]) == "unknown"
        assert 0 < report.passed() < 1.5


def test_report_gets_503_within_the_timeout_when_the_database_fails(report: Host) -> None:
    for instruction in ({"broken": ["DB"]}, {"silent": ["DB"]}):
        response = report.fetch("/report.json", headers=BEARER, instruction=instruction)
        assert report.passed() < 12
        assert response["status"] == 503
        assert json.loads(response["body"]) == {"error": "the catalogue does not answer; try again"}


@pytest.mark.parametrize("bound", [None, "", TOKEN, DIGEST.upper(), DIGEST[:-1]])
def test_malformed_token_digest_grants_no_access(host: Host, bound: str | None) -> None:
    start(host, TOKEN_SHA256=bound)
    response = host.fetch("/report.json", headers=BEARER)
    assert (response["status"], json.loads(response["body"])) == (500, {"error": "internal error"})


def test_missing_rotation_is_an_internal_error(host: Host) -> None:
    start(host, ROTATION=None)
    host.fetch("/health")
    add_object(host, "hourly/a")
    assert host.fetch("/report.json", headers=BEARER)["status"] == 500
