"""`python -m backups status`: its output and exit code for a report from an HTTP server."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from backups import client
from backups.display import size
from backups.judgement import KINDS_WITHOUT_ALARM
from model.worker_modules import WORKERS
from tests.console.terminal import PIPE, printed

from .conftest import TOKEN, Ran, Run, Server
from .reports import Report, ago, copies, finding, group, without_problems

STATUS = ["status", "--stack", "staging", "--url"]


@pytest.fixture
def status_of(server: Server, run: Run) -> Callable[..., Ran]:
    """A function that runs `status` against a server that responds with the given report."""

    def status_of(report: Any, *options: str) -> Ran:
        server.body = report if isinstance(report, bytes) else json.dumps(report).encode()
        return run(*STATUS, server.url, *options)

    return status_of


def test_a_report_without_problems_is_shown_and_exits_with_zero(server: Server, status_of: Callable[..., Ran]) -> None:
    ran = status_of(without_problems())
    assert (ran.code, ran.err) == (0, "")
    assert "no problems at" in ran.out
    assert "problem: " not in ran.out
    assert server.requests == [("/report.json", f"Bearer {TOKEN}")]
    for text in (
        "coordinator: runs",
        "worker-1: runs",
        "5.0 GiB",
        "2.0 KiB",
        "000000010000000000000064",
        "97 of 100",
    ):
        assert text in ran.out
    assert "unlisted (note)" in ran.out
    assert "damaged" not in ran.out  # it is closed
    assert "alarms: none" in ran.out
    assert "20261110-010000F" in ran.out
    assert '{"checked": 7}' in ran.out


def test_only_the_newest_runs_of_a_class_are_shown_without_all(status_of: Callable[..., Ran]) -> None:
    report = without_problems()
    labels = [one["run"] for one in report["groups"][0]["runs"] if one["class"] == "hourly"]
    some, every = status_of(report), status_of(report, "--all")
    assert [label for label in labels if f"{label} " not in some.out] == labels[5:-1]  # the full one is daily too
    assert "… and 6 older runs (--all)" in some.out
    assert all(every.out.count(f"{label} ") >= 2 for label in labels)  # in either group
    assert "--all" not in every.out


def test_json_is_the_report_with_its_problems(status_of: Callable[..., Ran]) -> None:
    report = {**without_problems(), "news": "a field of a newer Worker"}
    ran = status_of(report, "--json")
    assert (ran.code, json.loads(ran.out)) == (0, {**report, "well": True, "problems": []})
    ran = status_of({**report, "alarms": [ALARM]}, "--json")
    found = json.loads(ran.out)
    assert (ran.code, found["alarms"], found["well"]) == (1, [ALARM], False)
    assert found["problems"] == ["alarm full:worker-1 since 2026-11-24 10:00: Make one."]


@pytest.mark.parametrize("columns", [40, 80, 200, PIPE])
def test_no_text_is_cut_off_in_a_narrow_terminal(server: Server, columns: int) -> None:
    report = without_problems()
    key = "hourly/backup/worker-1/20261124-010000F/bundle/" + "1" * 60
    report["findings"] = [finding("lost", key=key)]
    server.body = json.dumps(report).encode()
    lines = printed(columns, "backups", *STATUS, server.url)
    text = "\n".join(lines)
    for run in report["groups"][0]["runs"][:5]:
        assert run["run"] in text
        assert run["finishedAt"][:16].replace("T", " ") in text
    assert key in text
    (problem,) = (line for line in lines if line.startswith("problem: "))
    assert problem.endswith(f"lost in replica: {key}: what is wrong with it")
    runs = [line for line in lines if report["groups"][0]["runs"][0]["run"] in line]
    assert all(line.startswith("hourly  ") == (columns in (200, PIPE)) for line in runs)


ALARM = {"id": "full:worker-1", "text": "Make one.", "since": "2026-11-24T10:00:00.000Z"}


def unverified(report: Report) -> None:
    report["groups"][0]["runs"][-1] |= {"finishedAt": ago(hours=25), "copies": copies(11, ago(hours=1))}


def fresh(report: Report) -> None:
    report["groups"][0]["runs"][-1] |= {"finishedAt": ago(hours=23), "copies": copies(0, None)}


def one_copy(report: Report) -> None:
    report["groups"][1]["runs"][-1]["finishedAt"] = ago(hours=25)
    report["groups"][1]["runs"][-1]["copies"]["offsite"] = {"verified": 0, "oldest": None}


def stale(report: Report) -> None:
    report["groups"][0]["runs"][0]["copies"]["replica"]["oldest"] = ago(days=7, minutes=1)


def old_wal(report: Report) -> None:
    report["groups"][0]["wal"]["newest"] = ago(hours=25)


def rename(report: Report) -> None:
    report["copies"][-1] = "nearby"
    for one in report["groups"]:
        for part in (*one["runs"], one["wal"]):
            part["copies"]["nearby"] = part["copies"].pop("offsite")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda it: it["findings"].append(finding("lost")), r"lost in replica: hourly/backup/worker-1/\S+: what is"),
        (lambda it: it["alarms"].append(ALARM), r"alarm full:worker-1 since 2026-11-24 10:00: Make one\."),
        (unverified, r"coordinator: daily \S+F: 1 of 12 objects are not verified in primary after a day"),
        (fresh, None),
        (one_copy, r"worker-1: daily \S+F: 12 of 12 objects are not verified in offsite"),
        (stale, r"coordinator: hourly \S+I: not verified in replica since .*, for more than a week"),
        (old_wal, "coordinator: WAL: 3 of 100 objects are not verified in primary"),
        (lambda it: it["groups"].pop(), "worker-1 has no backup at all"),
        (lambda it: it["groups"][1].update(runs=[]), "worker-1 has no backup at all"),
        (lambda it: it["groups"].append(group("worker-9")), None),  # a group that was removed still has backups
        (lambda it: it["rotation"].update(minimumFulls=2), r"a different rotation from Pulumi\.staging\.yaml"),
        (lambda it: it["rotation"]["keepDays"].update(hourly=9), "a different rotation"),
        (rename, "maintain the copies primary, replica, nearby, but Pulumi.staging.yaml lists primary, replica, off"),
        (lambda it: it["workers"].pop(), "the watch Worker has never run"),
        (lambda it: it["workers"][-1].update(at=ago(minutes=16)), r"the watch Worker has not run since 2\d{3}-"),
        (lambda it: it["workers"][-1].update(outcome="alarm", detail=None), None),  # its alarms are in `alarms`
        (lambda it: it.update(time=ago(minutes=16)), r"the report was made at 2\d{3}-.*, but this machine's clock"),
        (lambda it: it.update(time=ago(minutes=-16)), "remedy: check the machine's clock"),
        (lambda it: it["findings"].extend(map(finding, KINDS_WITHOUT_ALARM)), None),
        (lambda it: it.update(news="a field of a newer Worker"), None),
    ],
)  # fmt: skip
def test_a_problem_is_shown_and_exits_with_one(
    status_of: Callable[..., Ran], change: Callable[[Report], None], problem: str | None
) -> None:
    report = json.loads(json.dumps(without_problems()))
    change(report)
    ran = status_of(report)
    assert (ran.code, ran.err) == (0 if problem is None else 1, "")
    shown = [line for line in ran.out.splitlines() if line.startswith("problem: ")]
    assert bool(shown) == (problem is not None)
    assert ("no problems at" in ran.out) == (problem is None)
    assert problem is None or re.search(problem, shown[0]), shown


def test_control_characters_in_keys_do_not_reach_the_terminal(status_of: Callable[..., Ran]) -> None:
    report = without_problems()
    report["findings"] = [finding("lost", key="hourly/\x1b]0;title\x07\n[red]x", detail="\x1b[2J")]
    ran = status_of(report)
    assert "\x1b" not in ran.out
    assert "\x07" not in ran.out
    assert "hourly/\N{REPLACEMENT CHARACTER}]0;title\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}[red]x" in ran.out


def test_the_command_and_the_workers_have_the_same_kinds_without_alarm() -> None:
    source = (WORKERS / "backups" / "findings.js").read_text()
    (listed,) = re.findall(r"KINDS_WITHOUT_ALARM = .*?\[(.*?)\]", source)
    assert tuple(json.loads(f"[{listed}]")) == KINDS_WITHOUT_ALARM


@pytest.mark.parametrize(
    ("code", "headers", "body", "message"),
    [
        (200, {}, b"<html>", "the response is not JSON; remedy: check that --url is the address of the report Worker"),
        (200, {}, b"", "the response is not JSON"),
        (200, {}, b"\xff\xfe", "the response is not valid UTF-8"),
        (200, {}, b"[]", "this version cannot read the report: the document: "),
        (200, {}, b'{"status": "ok"}', "time: Field required; remedy: use the commit that is deployed"),
        (302, {"location": "https://other.example/\x9b"}, b"", "redirects to https://other.example/"),
        (503, {}, b'{"error": "x"}', "answers 503: the catalogue (D1) is unavailable; remedy: try again later"),
        (404, {}, b"", "answers 404; remedy: check that --url"),
        (500, {}, b"{}", "answers 500"),
        (204, {}, b"", "answers 204"),
    ],
)
def test_an_invalid_response_exits_with_one_and_a_remedy(
    server: Server, run: Run, code: int, headers: dict[str, str], body: bytes, message: str
) -> None:
    server.code, server.headers, server.body = code, headers, body
    ran = run(*STATUS, server.url)
    assert (ran.code, ran.out) == (1, "")
    assert message in ran.err
    assert "\x9b" not in ran.err
    assert TOKEN not in ran.err
    assert len(server.requests) == 1
    ran = run(*STATUS, server.url, "--json")
    assert message in json.loads(ran.out)["error"]


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("groups", 0, "runs", 0, "objects"), "12", "groups.0.runs.0.objects: "),
        (("groups", 0, "runs", 0, "objects"), -1, "groups.0.runs.0.objects: "),
        (("groups", 0, "runs", 0, "copies", "offsite"), None, "groups.0.runs.0.copies.offsite: "),
        (("groups", 0, "runs", 0, "finishedAt"), "yesterday", "groups.0.runs.0.finishedAt: "),
        (("groups", 0, "runs", 0, "finishedAt"), "2026-11-24T10:00:00", "groups.0.runs.0.finishedAt: "),
        (
            ("groups", 0, "runs", 0, "copies"),
            {},
            "coordinator: counts the copies none; expected: primary, replica, off",
        ),
        (("copies",), ["primary"], "expected: primary"),
        (("findings", 0, "closedAt"), 0, "findings.0.closedAt: "),
        (("rotation", "keepDays"), [8], "rotation.keepDays: "),
    ],
)
def test_an_invalid_field_of_a_report_is_named(
    status_of: Callable[..., Ran], path: tuple[str | int, ...], value: object, where: str
) -> None:
    report = without_problems()
    part: Any = report
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    ran = status_of(report)
    assert (ran.code, ran.out) == (1, "")
    assert where in ran.err


def test_a_response_above_the_maximum_size_is_rejected(
    server: Server, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAXIMUM_BYTES", 1_000_000)
    server.body, server.repeat = b"x" * 65_536, 1_000_000
    ran = run(*STATUS, server.url)
    assert (ran.code, ran.out) == (1, "")
    assert "more than 1000000 bytes" in ran.err


@pytest.mark.parametrize(
    ("environment", "arguments", "code", "message"),
    [
        ({"BACKUPS_TOKEN": ""}, [], 2, "BACKUPS_TOKEN is not set; remedy: export it, from `pulumi stack output"),
        ({"BACKUPS_TOKEN": "two words"}, [], 2, "BACKUPS_TOKEN contains characters that are not valid in a token"),
        ({"BACKUPS_TOKEN": "wrong-token-of-mine"}, [], 1, "rejects the token in BACKUPS_TOKEN; remedy: take it"),
        ({}, ["--url", "http://backups.example"], 2, "is not an https:// address"),
        ({}, ["--url", "https://backups.example/report.json"], 2, "is not an https:// address"),
        ({}, ["--url", "http://127.0.0.1:1"], 1, "http://127.0.0.1:1 does not answer (ConnectError)"),
        ({}, ["--stack", "moon"], 2, "'moon' is not a stack: Pulumi.moon.yaml does not exist; stacks: prod, staging"),
        ({}, ["--stack", "../staging"], 2, "is not a stack"),
        ({}, ["--stack", ""], 2, "is not a stack"),
    ],
)
def test_invalid_input_is_named_and_no_token_is_shown(
    server: Server, run: Run, monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str], arguments: list[str], code: int, message: str,
) -> None:  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ran = run(*STATUS, server.url, *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    assert TOKEN not in ran.err
    assert "of-mine" not in ran.err


def test_the_default_address_is_the_stacks(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    urls: list[str] = []
    monkeypatch.setattr(client, "read", lambda url, _: urls.append(url) or json.dumps(without_problems()))
    assert run("status", "--stack", "staging").code == 0
    assert urls == ["https://backups.backbuild.dev"]
    assert server.requests == []


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate for 127.0.0.1 and its key. Return both paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "certificate.pem", folder / "key.pem"


@pytest.mark.usefixtures("server")
def test_no_token_is_sent_to_a_server_with_an_invalid_certificate(run: Run, tmp_path: Path) -> None:
    configured = Server(body=json.dumps(without_problems()).encode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path))
    with configured.listen() as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        listening.handle_error = lambda *_: None  # the failed handshake is expected
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        ran = run(*STATUS, f"https://127.0.0.1:{listening.server_port}")
        listening.shutdown()
        thread.join()
    assert (ran.code, ran.out) == (1, "")
    assert re.search(r"the TLS certificate is not valid \(self.signed certificate\)", ran.err)
    assert "the token was not sent; remedy: check the address" in ran.err
    assert configured.requests == []


@pytest.mark.usefixtures("server")
def test_a_server_that_does_not_respond_times_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ran = run(*STATUS, f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert ran.code == 1
    assert "does not answer (ReadTimeout)" in ran.err


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 * 1024**3, "5.0 GiB"), (3 * 1024**5, "3072.0 TiB")],
)
def test_a_size_is_formatted_with_its_unit(count: int, text: str) -> None:
    assert size(count) == text


def test_the_package_runs_as_a_program() -> None:
    ran = subprocess.run([sys.executable, "-m", "backups"], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "usage: python -m backups" in ran.stderr
