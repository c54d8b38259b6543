"""What clients of the API and readers of the pages notice: answers become outages, and pages become facts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drills.running import edge, prober
from drills.running.cloud import is_of_worker
from drills.running.edge import Edge, status_page_of, verified_runs
from drills.running.prober import Answer, Prober
from drills.sites.site import SiteError
from sandbox.clouds.store import CloudObject
from sandbox.edge import plan
from sandbox.values import Properties


def answers(text: str) -> list[Answer]:
    """Return an answer a second: `+` good, `-` bad; each takes a tenth of a second."""
    return [Answer(at, at + 0.1, 200 if sign == "+" else 502, {}) for at, sign in enumerate(text)]


def test_an_outage_lasts_from_the_last_good_answer_to_the_next_one():
    assert prober.outage(answers("+++---++"), 2.5, 7.5) == pytest.approx(4)
    assert prober.outage(answers("++++"), 1, 3.5) == pytest.approx(1)


def test_an_outage_that_lasts_ends_now():
    assert prober.outage(answers("++--"), 1.5, 10) == pytest.approx(8.9)


def test_a_failure_is_the_first_bad_answer_after_the_fault():
    assert prober.first_failure(answers("-++-"), 1) == pytest.approx(3.1)
    assert prober.first_failure(answers("-+++"), 1) is None


def test_the_api_serves_again_after_some_good_answers_in_a_row():
    assert prober.served_since(answers("+--+++"), 1) == pytest.approx(3.1)
    assert prober.served_since(answers("+--+-+++"), 1) == pytest.approx(5.1)
    assert prober.served_since(answers("+--++"), 1) is None
    assert prober.served_since(answers("+++"), 1) is None


def test_components_of_a_body_that_is_no_report_are_unknown():
    assert prober.components_of(json.dumps({"components": {"database": {"status": "down"}}})) == {"database": "down"}
    for body in ("the sandbox has no stand-in", "[]", "{}", '{"components": 1}'):
        assert prober.components_of(body) == {}


@contextmanager
def served(status: int, body: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/health"
        server.shutdown()


def first_answer(url: str) -> Answer:
    probing = Prober(url)
    probing.start()
    while not probing.answers:
        pass
    probing.stop()
    return probing.answers[0]


def test_a_prober_records_answers_and_their_absence():
    with served(503, json.dumps({"components": {"database": {"status": "down"}}})) as url:
        found = first_answer(url)
    assert (found.status, found.good, found.components) == (503, False, {"database": "down"})
    assert found.ended >= found.begun
    gone = first_answer(url)
    assert (gone.status, gone.good) == (0, False)


def test_the_status_page_has_components_and_incidents():
    summary = {"components": [{"id": "api", "status": "operational"}]}
    incidents = {"incidents": [{"id": "api-1"}, {"id": "api-2"}]}
    page = status_page_of(summary, incidents, has_history=True)
    assert page.components == {"api": "operational"}
    assert page.incidents == {"api-1", "api-2"}
    assert page.has_history


def test_a_run_is_verified_if_every_copy_has_verified_all_its_objects():
    def run(label: str, *verified: int) -> dict[str, object]:
        copies = {str(number): {"verified": count} for number, count in enumerate(verified)}
        return {"class": "hourly", "run": label, "objects": 3, "copies": copies}

    report = {"groups": [{"group": "coordinator", "runs": [run("one", 3, 3), run("two", 3, 2)]}]}
    assert verified_runs(report) == {
        ("coordinator", "hourly", "one"): True,
        ("coordinator", "hourly", "two"): False,
    }


def thing(type: str, id: str, **outputs: str) -> CloudObject:
    fields: Properties = {**outputs}
    return CloudObject(type, id, f"urn:pulumi:s::p::{type}::{id}", "", (), fields)


def test_a_deleted_worker_takes_along_what_belongs_to_it_and_nothing_else():
    def of(script: str, id: str) -> list[CloudObject]:
        return [
            thing(plan.WORKER, id, name=script),
            thing(plan.VERSION, f"{id}-1", workerId=id),
            thing(plan.DEPLOYMENT, f"{id}-d", scriptName=script),
            thing(plan.CRON, script, scriptName=script),
            thing(plan.CONSUMER, f"{id}-c", scriptName=script),
            thing(plan.DOMAIN, f"{id}-h", service=script),
            thing(plan.ROUTE, f"{id}-r", script=script),
        ]

    own, other = of("p-api", "1"), of("p-status", "2")
    things = [*own, *other, thing(plan.ROUTE, "without"), thing(plan.DATABASE, "db", name="p-api")]
    assert [one for one in things if is_of_worker(one, "p-api", {"1"})] == own


NOVEMBER = {
    "month": "2026-11",
    "agreement": {"target": 99900, "credits": []},
    "essential": ["database"],
    "statement": {
        "month": "2026-11",
        "complete": True,
        "from": "2026-11-01T00:00:00.000Z",
        "to": "2026-12-01T00:00:00.000Z",
        "minutes": {"up": 43200, "down": 0, "unknown": 0, "excused": 0},
        "uptimePercent": "100.0000",
        "atLeastPercent": "100.0000",
        "targetPercent": "99.900",
        "met": True,
        "budgetMinutes": "43.20",
        "leftMinutes": "43.20",
        "creditPercent": 0,
    },
    "maintenances": [],
    "runs": [["2026-11-01T00:00:00.000Z", 43200, "ok"]],
}


def edge_at(url: str, monkeypatch: pytest.MonkeyPatch) -> Edge:
    """Return an edge whose pages are at a URL, just after the end of November."""

    def until(what: str, holds: Callable[[], bool], _seconds: float) -> None:
        if not any(holds() for _ in range(3)):
            raise SiteError(what)

    monkeypatch.setattr(edge.time, "time", lambda: datetime(2026, 12, 1, 0, 3, tzinfo=UTC).timestamp())
    monkeypatch.setattr(Edge, "url", lambda _self, _hostname: url.removesuffix("health"))
    topology = SimpleNamespace(hostnames=SimpleNamespace(status="status"))
    return Edge(cast(Any, SimpleNamespace(topology=topology, until=until)))


def test_the_account_of_a_month_that_has_just_ended_is_whole(monkeypatch: pytest.MonkeyPatch):
    with served(200, json.dumps(NOVEMBER)) as url:
        assert edge_at(url, monkeypatch).account("2026-11").statement.complete


def test_a_page_without_an_answer_has_no_account(monkeypatch: pytest.MonkeyPatch):
    with served(503, "busy") as url, pytest.raises(SiteError, match="the account counts the present minute"):
        edge_at(url, monkeypatch).account("2026-11")
    with pytest.raises(SiteError, match="the account counts the present minute"):
        edge_at(url, monkeypatch).account("2026-11")
