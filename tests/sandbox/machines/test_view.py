"""The view of a live stack: answers of machines and Workers become lines."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from sandbox.machines import view
from sandbox.machines.view import Backups, Facts, Member

NOW = datetime(2026, 11, 29, 21, 0, 30, tzinfo=UTC)


def status(address: str, id: int, **more: Any) -> dict[str, Any]:
    return {"Endpoint": f"https://{address}:2379", "Status": {"header": {"member_id": id}, **more}}


def shown(facts: Facts) -> str:
    output = io.StringIO()
    Console(file=output, width=100).print(view.frame(facts))
    return output.getvalue()


def test_members_have_the_role_state_and_lag_that_patroni_knows():
    answer = json.dumps(
        {
            "members": [
                {"name": "worker-1-0", "role": "leader", "state": "running"},
                {"name": "worker-1-1", "role": "quorum_standby", "state": "streaming", "lag": 168},
                {"name": "worker-1-2", "role": "replica", "state": "starting", "lag": "unknown"},
            ]
        }
    )
    names = ["worker-1-0", "worker-1-1", "worker-1-2", "worker-1-3"]
    assert view.database_members("worker-1", names, answer) == [
        Member("worker-1-0", "worker-1", "leader", "running", True),
        Member("worker-1-1", "worker-1", "quorum_standby", "streaming", True, 168),
        Member("worker-1-2", "worker-1", "replica", "starting", False),
        Member("worker-1-3", "worker-1", "", "unknown to Patroni", False),
    ]


def test_members_of_a_silent_group_do_not_answer():
    (found,) = view.database_members("coordinator", ["coordinator-0"], "")
    assert (found.state, found.well) == ("no answer", False)


def test_etcd_members_lead_follow_or_have_no_quorum():
    names = {"10.0.0.1": "consensus-0", "10.0.0.2": "consensus-1", "10.0.0.3": "consensus-2", "10.0.0.4": "consensus-3"}
    answer = json.dumps(
        [status("10.0.0.1", 1, leader=1), status("10.0.0.2", 2, leader=1), status("10.0.0.3", 3, errors=["no leader"])]
    )
    assert [(one.role, one.state, one.well) for one in view.etcd_members(names, answer)] == [
        ("leader", "ok", True),
        ("follower", "ok", True),
        ("follower", "no quorum", False),
        ("", "no answer", False),
    ]


def test_a_gateway_has_a_leader_and_a_tunnel():
    assert view.gateway_member("gateway-0", "leader\ntunnel\n") == Member(
        "gateway-0", "gateway", "gateway", "connected", True
    )
    assert view.gateway_member("gateway-0", "leader\n").state == "no tunnel"
    assert view.gateway_member("gateway-0", "").state == "no leader, no tunnel"


def test_alarms_are_shown_by_their_subject_or_text():
    assert view.subject_of_mail(b"Subject: =?utf-8?q?Backup_missing?=\r\n\r\nbody") == "Backup missing"
    body = {"type": "backups.alarm", "text": "no full backup", "endedAt": None}
    assert view.subject_of_webhook(json.dumps({"body": json.dumps(body)})) == "no full backup"
    ended = {**body, "endedAt": "2026-11-29T21:00:00Z"}
    assert view.subject_of_webhook(json.dumps({"body": json.dumps(ended)})) == "ended: no full backup"
    assert view.subject_of_webhook("not JSON") == "without text"


def test_health_names_what_is_not_well():
    def report(**components: str) -> str:
        return json.dumps({"components": {name: {"status": status} for name, status in components.items()}})

    assert view.health_of(200, report(database="ok")) == "200 ok"
    assert view.health_of(503, report(database="down", backups="ok")) == "503: database down"
    assert view.health_of(502, "the sandbox has no stand-in") == "502"
    assert view.health_of(0, "") == "no answer"


def test_the_status_page_shows_open_incidents_and_its_last_minute():
    page = {"updated_at": "2026-11-29T21:00:00.000Z"}
    assert view.incidents_of(200, json.dumps({"page": page, "incidents": [{"name": "API is not available"}]})) == (
        "200: API is not available, recorded 2026-11-29T21:00"
    )
    assert "no open incident" in view.incidents_of(200, json.dumps({"page": page, "incidents": []}))
    assert view.incidents_of(0, "") == "no answer"


def test_a_frame_shows_members_backups_pages_and_alarms():
    text = shown(
        Facts(
            NOW,
            [
                Member("coordinator-0", "coordinator", "leader", "running", True),
                Member("gateway-0", "gateway", "", "stopped", False),
            ],
            [Backups("coordinator", "20261129-200000F", "2026-11-29T19:00:00.000Z", "2026-11-29T21:00:00.000Z")],
            ["2026-11-29T20:55  " + "long " * 50],
            {"api.example": "200 ok"},
        )
    )
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "coordinator-0 leader * running" in lines
    assert "gateway-0 stopped" in lines
    assert "coordinator 20261129-200000F 2 h 0 min ago 0 min 30 s ago" in lines
    assert "api.example 200 ok" in lines
    assert "2026-11-29T20:55" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_frame_without_backups_and_alarms_says_so():
    lines = shown(Facts(NOW, [], [Backups("coordinator", "", "", "")], [], {})).splitlines()
    assert any(line.split() == ["none"] for line in lines)
    assert any(line.split() == ["coordinator", "none", "none"] for line in lines)
