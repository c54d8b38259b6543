"""The commands against the real Cloudflare Worker: their effects, their output, and their errors with remedies."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.status import MINUTE, Status, at
from harness.status_world import TOKEN
from harness.waiting import TIMEOUT_SECONDS
from tests.console.terminal import PIPE, printed
from tests.lanes import first
from tests.workers.operators import HOUR

from .conftest import Run

DECLARE = ["incidents", "declare", "--title", "Slow <b>logins</b>", "--impact", "minor", "--body", "We are looking."]
PLAN = ["maintenance", "plan", "--title", "Upgrade", "--component", "database", "--body", "Ten minutes."]
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def minute(number: int) -> str:
    """Return a time in the form that lists show and options accept."""
    return f"{at(number)[:16]}Z"


def id_in(text: str) -> str:
    (found,) = set(UUID.findall(text))
    return found


def test_an_incident_from_beginning_to_end(page: Status, run: Run) -> None:
    declared = run(*DECLARE, "--component", "database", "--component", "edge")
    assert (declared.code, declared.err) == (0, "")
    name = id_in(declared.out)
    assert declared.out == f"Incident {name} is open; contacts are notified within a minute.\n"
    listed = run("incidents", "list")
    assert all(text in listed.out for text in (name, "investigating", "minor", "Slow <b>logins</b>", "database, edge"))
    assert run("incidents", "update", name, "--status", "monitoring", "--impact", "major", "--body", "Fixed.").code == 0
    assert run("incidents", "resolve", name, "--body", "Over.").code == 0
    again = run("incidents", "resolve", name, "--body", "Over.")
    assert (again.code, again.out) == (1, "")
    assert f"answers 409: incident {name} was resolved at 2026-11-24T10:00:00.000Z" in again.err
    assert page.rows("SELECT status, impact FROM incidents") == [("resolved", 2)]
    assert page.rows("SELECT body FROM updates ORDER BY type") == [("We are looking.",), ("Over.",), ("Fixed.",)]
    assert run("audit").out.count("incident.") == 3


def test_maintenance_from_beginning_to_end(page: Status, run: Run) -> None:
    times = ["--starts", "2026-11-28T03:00+01:00", "--ends", "2026-11-28T02:30Z"]
    name = id_in(run(*PLAN, *times).out)
    overlapping = run(*PLAN, *times)
    assert overlapping.code == 1
    assert overlapping.err.endswith(f"it overlaps other maintenance of the same components\n  {name}: Upgrade\n")
    assert page.rows(f"SELECT start_minute - {MINUTE} FROM maintenances") == [(88 * HOUR,)]
    for command in ("update", "begin", "complete"):
        assert run("maintenance", command, name, "--body", f"{command}.").code == 0
    assert run("maintenance", "cancel", name, "--body", "No.").code == 1
    assert page.rows("SELECT status FROM maintenances") == [("completed",)]
    assert "completed" in run("maintenance", "list").out


def test_a_contact_is_tested_notified_and_given_a_new_secret(page: Status, run: Run) -> None:
    added = run("contacts", "add", "--name", "Bot", "--webhook", "https://hook.example/in", "--minimum", "none").out
    name, first = id_in(added), added.split()[-1]
    assert run("contacts", "test", name).out == f"Contact {name} accepted a test message.\n"
    rotated = run("contacts", "rotate", name, "--overlap-hours", "1").out
    assert f"Until {minute(60)}, notifications are also signed with the previous secret." in rotated
    second = rotated.split("shown only once: ")[1].split()[0]
    assert second.startswith("whsec_")
    incident = id_in(run(*DECLARE).out)
    page.cron(0, clock=at(0))
    assert [page.world.hooks[-1].signed_with(secret) for secret in (second, first)] == [[True, False], [False, True]]
    delivered = ["deliveries", "list", "--state", "delivered", "--of"]
    row = run(*delivered, incident).out.splitlines()[1].split()
    assert row == [f"{incident}-opened", name, "incident.opened", minute(0), minute(0), "1", "Bot"]
    assert run(*delivered, "nothing").out == "none\n"
    page.world.answer = lambda _hook: 500
    refused = run("contacts", "test", name)
    assert (refused.code, "the receiver did not accept the test message: HTTP 500" in refused.err) == (1, True)


def test_a_published_text_is_shown_corrected_and_withdrawn(
    page: Status, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = id_in(run(*DECLARE, "--started", at(-20)).out)
    assert page.rows(f"SELECT started_at / 60000 - {MINUTE} FROM incidents") == [(-20,)]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("We found it:\n\u2026 a disk.\n".encode())))
    assert run("incidents", "resolve", name, "--ended", at(-10), "--body", "-").code == 0
    assert page.rows("SELECT body FROM updates WHERE status = 'resolved'") == [("We found it:\n\u2026 a disk.",)]
    assert run("incidents", "postmortem", name, "--body", "It was full.").code == 0
    shown = json.loads(run("incidents", "show", name, "--json").out)
    assert {one["status"] for one in shown["updates"]} == {"investigating", "resolved", "postmortem"}
    update = f"{name}-opened"
    assert run("amend", update, "--body", "We look.").out.startswith(
        "Corrected; contacts that received the old body are notified"
    )
    assert run("amend", name, "--title", "Slow sign-ins").code == 0
    assert "We look." in run("incidents", "show", name).out
    assert run("redact", update).code == 0
    assert "We look." not in run("incidents", "show", name).out
    assert "This text was withdrawn." in run("incidents", "show", name).out
    assert run("redact", update).code == 1
    assert run("incidents", "show", "nothing").code == 1


def test_a_text_that_is_not_utf8_is_rejected(page: Status, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe")))
    ran = run(*DECLARE[:-1], "-")
    assert (ran.code, "standard input is not UTF-8" in ran.err) == (2, True)
    assert page.rows("SELECT 1") == [(1,)]


@pytest.mark.usefixtures("page")
def test_maintenance_is_extended(run: Run) -> None:
    name = id_in(run(*PLAN, "--starts", at(80 * HOUR), "--ends", at(81 * HOUR)).out)
    assert run("maintenance", "update", name, "--body", "Longer.", "--ends", at(82 * HOUR)).code == 0
    assert minute(82 * HOUR) in run("maintenance", "list").out
    assert "Longer." in run("maintenance", "show", name).out


def test_short_notice_needs_the_option_emergency(page: Status, run: Run) -> None:
    times = ["--starts", at(5), "--ends", at(30)]
    refused = run(*PLAN, *times)
    assert refused.code == 2
    assert "startsAt must be at least 72 hours ahead" in refused.err
    assert page.rows("SELECT 1 FROM maintenances") == []
    assert run(*PLAN, *times, "--emergency").code == 0


def test_contacts_and_their_pending_notifications(page: Status, run: Run) -> None:
    page.world.answer = lambda _hook: 410
    added = run("contacts", "add", "--name", "Bot", "--webhook", "https://hook.example/in", "--minimum", "none")
    assert "whsec_" in added.out
    name = id_in(added.out)
    run("contacts", "add", "--name", "Ann", "--email", "ann@customer.example", "--component", "backups")
    listed = run("contacts", "list").out
    assert "whsec_" not in listed
    assert "https://hook.example/in" in listed
    assert "ann@customer.example" in listed
    update = json.loads(run(*DECLARE, "--component", "database", "--json").out)["update"]
    page.cron(0, clock=at(0))
    dead = json.loads(run("deliveries", "list", "--json").out)["deliveries"]
    assert [(one["update"], one["contact"], one["failure"]) for one in dead] == [(update, name, "HTTP 410")]
    assert run("deliveries", "retry", update, name).code == 0
    assert update in run("deliveries", "list", "--state", "pending").out
    assert run("deliveries", "list").out == "none\n"
    assert run("contacts", "remove", name).code == 0
    assert run("contacts", "remove", name).code == 1
    assert page.rows("SELECT state FROM deliveries") == [("cancelled",)]


@pytest.mark.parametrize("columns", first(2, [40, PIPE, 80, 200]))
def test_lists_are_not_truncated_at_any_width(page: Status, run: Run, columns: int) -> None:
    page.world.answer = lambda _hook: 410
    address = "https://hook.customer-with-a-long-name.example/in/a/rather/long/path?token=of-the-customer"
    contact = id_in(run("contacts", "add", "--name", "Bot", "--webhook", address, "--minimum", "none").out.split()[1])
    title = "The ledger answers slowly because a replica is catching up after its disk was replaced"
    declare = [*DECLARE[:2], "--title", title, *DECLARE[4:], "--component", "database"]
    incident = id_in(run(*declare).out)
    maintenance = id_in(run(*PLAN, "--starts", at(80 * HOUR), "--ends", at(81 * HOUR)).out)
    page.cron(0, clock=at(0))
    lists = {
        ("incidents", "list"): [incident, minute(0), *title.split()],
        ("maintenance", "list"): [maintenance, minute(80 * HOUR), minute(81 * HOUR)],
        ("contacts", "list"): [contact, address, minute(0)],
        ("deliveries", "list"): [f"{incident}-opened", contact, "incident.opened", *["HTTP", "410"]],
        ("audit",): [incident, maintenance, contact, "incident.declare", minute(0)],
    }
    for command, words in lists.items():
        shown = printed(columns, "status", *command)
        assert set(words) <= {word for line in shown for word in line.split()}, (command, shown)
        if columns == PIPE:
            assert len(shown) == 1 + len(json.loads(run(*command, "--json").out).popitem()[1])


def test_json_output_is_one_object(page: Status, run: Run) -> None:
    assert page.rows("SELECT 1") == [(1,)]
    for arguments in (DECLARE, ["incidents", "list"], ["audit"], ["contacts", "remove", "unknown"]):
        assert isinstance(json.loads(run(*arguments, "--json").out), dict)


@pytest.mark.parametrize(
    ("time", "message"),
    [
        ("2026-12-01T02:00", "2026-12-01T02:00 has no time zone; if it is UTC, write 2026-12-01T02:00Z"),
        ("2026-12-01", "has no time zone"),
        ("2026-12-01T02:00:01Z", "is not a whole minute"),
        ("tomorrow", "tomorrow is not a time; write 2026-12-01T02:00Z"),
        ("2026-13-01T00:00Z", "is not a time"),
        ("", "is not a time"),
    ],
)
def test_an_invalid_time_is_an_error_with_a_remedy(run: Run, time: str, message: str) -> None:
    ran = run(*PLAN, "--starts", time, "--ends", "2026-12-01T03:00Z")
    assert ran.code == 2
    assert message in ran.err


def test_every_problem_is_shown(page: Status, run: Run) -> None:
    ran = run("incidents", "declare", "--title", "x" * 201, "--impact", "minor", "--component", "moon", "--body", " ")
    assert ran.code == 2
    assert "title has 201 characters; at most 200 are allowed" in ran.err
    assert 'components "moon" is unknown' in ran.err
    assert "body must contain a visible character" in ran.err
    assert page.rows("SELECT name FROM sqlite_master WHERE name = 'incidents'") == [("incidents",)]


@pytest.mark.parametrize(
    ("environment", "code", "message"),
    [
        ({"STATUS_TOKEN": ""}, 2, "STATUS_TOKEN is not set"),
        ({"STATUS_TOKEN": "two words"}, 2, "STATUS_TOKEN contains characters that are not valid"),
        ({"STATUS_TOKEN": "t\u00f6ken-of-mine"}, 2, "STATUS_TOKEN contains characters that are not valid"),
        ({"STATUS_TOKEN": "wrong-token-of-mine"}, 1, "rejects the token in STATUS_TOKEN; remedy: "),
        ({"STATUS_URL": ""}, 2, "set --url or STATUS_URL"),
        ({"STATUS_URL": "http://status.example"}, 2, "is not an https:// address"),
        ({"STATUS_URL": "https://ann@status.example"}, 2, "is not an https:// address"),
        ({"STATUS_URL": "https://status.example/page"}, 2, "is not an https:// address"),
        ({"STATUS_URL": "status.example"}, 2, "is not an https:// address"),
        ({"STATUS_URL": "http://127.0.0.1:1"}, 1, "http://127.0.0.1:1 does not answer"),
    ],
)
@pytest.mark.usefixtures("page")
def test_environment_errors_name_the_variable_and_show_no_token(
    run: Run, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], code: int, message: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ran = run(*DECLARE)
    assert ran.code == code
    assert message in ran.err
    assert TOKEN not in ran.out + ran.err
    assert "of-mine" not in ran.out + ran.err


def test_an_id_with_a_slash_is_rejected(page: Status, run: Run) -> None:
    for name in ("../audit", "a/b", "x?y", "", "é"):
        assert run("incidents", "resolve", name, "--body", "x").code == 2
        assert run("contacts", "remove", name).code == 2
    assert page.rows("SELECT 1") == [(1,)]


def whole_message(connection: socket.socket) -> bytes:
    """Read a request or response to the end given by its head: the Cloudflare Worker keeps the connection open."""
    message = b""
    while b"\r\n\r\n" not in message:
        message += connection.recv(65_536)
    head, _, body = message.partition(b"\r\n\r\n")
    if re.search(rb"(?im)^transfer-encoding: *chunked", head):
        while not body.endswith(b"\r\n0\r\n\r\n"):
            body += connection.recv(65_536)
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    while length is not None and len(body) < int(length[1]):
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


@contextmanager
def losing(url: str, lost: int, instead: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A proxy that loses the first responses: the Worker gets the request, and the client gets `instead`."""
    host, port = re.findall(r"http://([\d.]+):(\d+)", url)[0]
    listener = socket.create_server(("127.0.0.1", 0))
    requests: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, socket.create_connection((host, int(port))) as worker:
                request = whole_message(connection)
                requests.append(request)
                worker.sendall(request)
                answer = whole_message(worker)
                connection.sendall(answer if len(requests) > lost else instead)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=TIMEOUT_SECONDS)


BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>"


@pytest.mark.parametrize("instead", [b"", b"HTTP/1.1 201 Cre", BAD_GATEWAY])
@pytest.mark.parametrize(("lost", "code"), [(1, 0), (2, 1)])
def test_a_lost_response_is_retried_once_and_the_request_is_carried_out_once(
    page: Status, run: Run, lost: int, code: int, instead: bytes
) -> None:
    with losing(os.environ["STATUS_URL"], lost, instead) as (url, requests):
        ran = run(*DECLARE, "--url", url)
    assert ran.code == code, ran
    assert len(requests) == 2
    assert requests[0] == requests[1]
    assert page.rows("SELECT COUNT(*) FROM incidents") == [(1,)]
    assert page.rows("SELECT COUNT(*) FROM audit") == [(1,)]
    if code:
        assert "the request may have been carried out; remedy: check with `list` or `audit`" in ran.err
    else:
        assert page.rows("SELECT id FROM incidents") == [(id_in(ran.out),)]


# The account of a month from the real Worker.


def seed(page: Status) -> None:
    """Insert samples: on 20 November an hour down, 20 minutes of it announced, and 7 minutes without a sample."""
    day = MINUTE - MINUTE % 1440 - 4 * 1440  # the 20th, when recording began
    page.host.sql(
        f"WITH RECURSIVE m(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM m WHERE i < {MINUTE - day - 1}) "
        f"INSERT INTO samples SELECT {day} + i, 'platform', "
        "iif(i >= 300 AND i < 360, 'down', iif(i < 30, 'degraded', 'ok')) FROM m WHERE i NOT BETWEEN 500 AND 506"
    )
    for name, components, emergency, start, end in (
        ("excuses", '["database"]', 0, 310, 330),
        ("emergency", '["database"]', 1, 330, 360),
        ("elsewhere", '["backups"]', 0, 330, 360),
    ):
        page.host.sql(
            f"INSERT INTO maintenances VALUES ('{name}', '{name}', 'completed', '{components}', {emergency}, 0, "
            f"{day + start}, {day + end}, 0)"
        )


def test_the_published_account_matches_the_recomputed_one(page: Status, run: Run, tmp_path: Path) -> None:
    page.cron(0, clock=at(0))  # creates the tables and a sample of this minute
    seed(page)
    url = f"{os.environ['STATUS_URL']}sla/2026-11.json"
    ran = run("sla", url)
    assert ran.code == 0, ran.out
    assert "matches" in ran.out
    answer: dict[str, Any] = json.loads(run("sla", url, "--json").out)
    assert answer["matches"]
    recomputed = answer["recomputed"]
    minutes = {name: recomputed[f"minutes.{name}"] for name in ("up", "down", "unknown", "excused")}
    assert minutes == {"up": 4 * 1440 + 601 - 67, "down": 40, "unknown": 7, "excused": 20}
    assert (recomputed["uptimePercent"], recomputed["atLeastPercent"]) == ("99.3684", "99.2587")
    served = json.loads(page.host.fetch("/sla/2026-11.json")["body"])
    assert served["statement"]["uptimePercent"] == recomputed["uptimePercent"]
    html = page.host.fetch("/")["body"]
    article = html[html.index("November 2026 so far") :].split("October 2026")[0]
    assert "99.3684 %" in article
    assert "99.2587 %" in article
    assert f"exceeded by {recomputed['leftMinutes'].removeprefix('-')}" in article
    assert f"credited {recomputed['creditPercent']} %" in article
    served["statement"]["minutes"]["down"] = 39
    (tmp_path / "november.json").write_text(json.dumps(served))
    ran = run("sla", str(tmp_path / "november.json"))
    assert ran.code == 1
    assert ran.out.endswith("differs: minutes.down is published as 39; recomputed: 40\n")


def test_an_invalid_account_has_exit_code_2(page: Status, run: Run, tmp_path: Path) -> None:
    page.cron(0, clock=at(0))
    (tmp_path / "page.json").write_text('{"month": "2026-11"}')
    ran = run("sla", str(tmp_path / "page.json"))
    assert ran.code == 2
    assert "page.json: agreement: Field required" in ran.err
    assert run("sla", str(tmp_path / "nothing.json")).code == 2
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert run("sla", str(tmp_path / "bytes")).code == 2
    page_url = os.environ["STATUS_URL"]
    assert run("sla", page_url).code == 2
    assert "answers 404" in run("sla", f"{page_url}sla/2020-01.json").err
    assert run("sla", "http://127.0.0.1:1/").code == 1


def test_the_module_runs_as_a_program() -> None:
    ran = subprocess.run([sys.executable, "-m", "status"], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "usage: python -m status" in ran.stderr
