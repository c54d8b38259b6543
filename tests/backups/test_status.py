"""What `status` says of a report, and what it ends with; asked of a real server."""

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
from backups.judgement import NOTES
from backups.shown import size
from model.worker_modules import WORKERS
from tests.console.terminal import PIPE, printed

from .conftest import TOKEN, Ran, Run, Server
from .reports import Report, ago, copies, finding, group, well

STATUS = ["status", "--stack", "staging", "--url"]


@pytest.fixture
def asked(server: Server, run: Run) -> Callable[..., Ran]:
    """Runs `status` before a server that answers with this report."""

    def asked(report: Any, *options: str) -> Ran:
        server.body = report if isinstance(report, bytes) else json.dumps(report).encode()
        return run(*STATUS, server.url, *options)

    return asked


def test_all_is_well(server: Server, asked: Callable[..., Ran]) -> None:
    ran = asked(well())
    assert (ran.code, ran.err) == (0, "")
    assert "all is well" in ran.out
    assert "wrong: " not in ran.out
    assert server.asked == [("/report.json", f"Bearer {TOKEN}")]
    for text in (
        "coordinator: each copy",
        "worker-1: each copy",
        "5.0 GiB",
        "2.0 KiB",
        "000000010000000000000064",
        "97 of 100",
    ):
        assert text in ran.out
    assert "unlisted (a note)" in ran.out
    assert "damaged" not in ran.out  # it is closed
    assert "alarms: none" in ran.out
    assert "20261110-010000F" in ran.out
    assert '{"checked": 7}' in ran.out


def test_the_newest_runs_of_a_class_stand_for_the_others_unless_all_are_asked_for(asked: Callable[..., Ran]) -> None:
    report = well()
    labels = [one["run"] for one in report["groups"][0]["runs"] if one["class"] == "hourly"]
    some, every = asked(report), asked(report, "--all")
    assert [label for label in labels if f"{label} " not in some.out] == labels[5:-1]  # the full one is daily too
    assert "… and 6 older ones (--all)" in some.out
    assert all(every.out.count(f"{label} ") >= 2 for label in labels)  # in either group
    assert "--all" not in every.out


def test_json_is_the_report_and_what_was_concluded_from_it(asked: Callable[..., Ran]) -> None:
    report = {**well(), "news": "a field of a newer Worker"}
    ran = asked(report, "--json")
    assert (ran.code, json.loads(ran.out)) == (0, {**report, "well": True, "problems": []})
    ran = asked({**report, "alarms": [ALARM]}, "--json")
    found = json.loads(ran.out)
    assert (ran.code, found["alarms"], found["well"]) == (1, [ALARM], False)
    assert found["problems"] == ["alarm full:worker-1 since 2026-11-24 10:00: Make one."]


@pytest.mark.parametrize("columns", [40, 80, 200, PIPE])
def test_no_terminal_takes_a_letter(server: Server, columns: int) -> None:
    report = well()
    key = "hourly/backup/worker-1/20261124-010000F/bundle/" + "1" * 60
    report["findings"] = [finding("lost", key=key)]
    server.body = json.dumps(report).encode()
    lines = printed(columns, "backups", *STATUS, server.url)
    text = "\n".join(lines)
    for run in report["groups"][0]["runs"][:5]:
        assert run["run"] in text
        assert run["finishedAt"][:16].replace("T", " ") in text
    assert key in text
    (wrong,) = (line for line in lines if line.startswith("wrong: "))
    assert wrong.endswith(f"lost in replica: {key}: what is wrong with it")
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
    ("change", "wrong"),
    [
        (lambda it: it["findings"].append(finding("lost")), r"lost in replica: hourly/backup/worker-1/\S+: what is"),
        (lambda it: it["alarms"].append(ALARM), r"alarm full:worker-1 since 2026-11-24 10:00: Make one\."),
        (unverified, r"coordinator: daily \S+F: 1 of 12 objects are not verified in primary, after a day"),
        (fresh, None),
        (one_copy, r"worker-1: daily \S+F: 12 of 12 objects are not verified in offsite"),
        (stale, r"coordinator: hourly \S+I: in replica not verified since .*, for more than a week"),
        (old_wal, "coordinator: WAL: 3 of 100 objects are not verified in primary"),
        (lambda it: it["groups"].pop(), "worker-1 has no backup at all"),
        (lambda it: it["groups"][1].update(runs=[]), "worker-1 has no backup at all"),
        (lambda it: it["groups"].append(group("worker-9")), None),  # a group that was removed still has backups
        (lambda it: it["rotation"].update(minimumFulls=2), r"another rotation than Pulumi\.staging\.yaml says"),
        (lambda it: it["rotation"]["keepDays"].update(hourly=9), "another rotation"),
        (rename, "look after the copies primary, replica, nearby, and Pulumi.staging.yaml lists primary, replica, off"),
        (lambda it: it["workers"].pop(), "watch has not looked ever"),
        (lambda it: it["workers"][-1].update(at=ago(minutes=16)), r"watch has not looked since 2\d{3}-"),
        (lambda it: it["workers"][-1].update(outcome="alarm", detail=None), None),  # the alarms say what it found
        (lambda it: it.update(time=ago(minutes=16)), r"the report is of 2\d{3}-.*, and here it is"),
        (lambda it: it.update(time=ago(minutes=-16)), "see which one is wrong"),
        (lambda it: it["findings"].extend(map(finding, NOTES)), None),
        (lambda it: it.update(news="a field of a newer Worker"), None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_ends_with_one(
    asked: Callable[..., Ran], change: Callable[[Report], None], wrong: str | None
) -> None:
    report = json.loads(json.dumps(well()))
    change(report)
    ran = asked(report)
    assert (ran.code, ran.err) == (0 if wrong is None else 1, "")
    said = [line for line in ran.out.splitlines() if line.startswith("wrong: ")]
    assert bool(said) == (wrong is not None)
    assert ("all is well" in ran.out) == (wrong is None)
    assert wrong is None or re.search(wrong, said[0]), said


def test_what_somebody_put_into_a_bucket_does_not_steer_the_terminal(asked: Callable[..., Ran]) -> None:
    report = well()
    report["findings"] = [finding("lost", key="hourly/\x1b]0;title\x07\n[red]x", detail="\x1b[2J")]
    ran = asked(report)
    assert "\x1b" not in ran.out
    assert "\x07" not in ran.out
    assert "hourly/\N{REPLACEMENT CHARACTER}]0;title\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}[red]x" in ran.out


def test_notes_are_those_of_the_workers() -> None:
    source = (WORKERS / "backups" / "findings.js").read_text()
    (listed,) = re.findall(r"NOTES = .*?\[(.*?)\]", source)
    assert tuple(json.loads(f"[{listed}]")) == NOTES


@pytest.mark.parametrize(
    ("code", "headers", "body", "message"),
    [
        (200, {}, b"<html>", "answers no JSON; remedy: check that --url is the backup report's"),
        (200, {}, b"", "answers no JSON"),
        (200, {}, b"\xff\xfe", "is no UTF-8"),
        (200, {}, b"[]", "answers no report that this version reads: the document: "),
        (200, {}, b'{"status": "ok"}', "time: Field required; remedy: use the version that is deployed"),
        (
            302,
            {"location": "https://elsewhere.example/\x9b"},
            b"",
            "sends the caller on, to https://elsewhere.example/",
        ),
        (503, {}, b'{"error": "x"}', "answers 503: the catalogue does not answer; remedy: try again later"),
        (404, {}, b"", "answers 404; remedy: check that --url"),
        (500, {}, b"{}", "answers 500"),
        (204, {}, b"", "answers 204"),
    ],
)
def test_an_answer_that_is_no_report_is_named(
    server: Server, run: Run, code: int, headers: dict[str, str], body: bytes, message: str
) -> None:
    server.code, server.headers, server.body = code, headers, body
    ran = run(*STATUS, server.url)
    assert (ran.code, ran.out) == (1, "")
    assert message in ran.err
    assert "\x9b" not in ran.err
    assert TOKEN not in ran.err
    assert len(server.asked) == 1
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
def test_a_report_of_another_shape_is_named_with_its_field(
    asked: Callable[..., Ran], path: tuple[str | int, ...], value: object, where: str
) -> None:
    report = well()
    part: Any = report
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    ran = asked(report)
    assert (ran.code, ran.out) == (1, "")
    assert where in ran.err


def test_an_endless_answer_is_not_read_to_its_end(server: Server, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LARGEST_BYTES", 1_000_000)
    server.body, server.repeat = b"x" * 65_536, 1_000_000
    ran = run(*STATUS, server.url)
    assert (ran.code, ran.out) == (1, "")
    assert "more than 1000000 bytes" in ran.err


@pytest.mark.parametrize(
    ("environment", "arguments", "code", "message"),
    [
        ({"BACKUPS_TOKEN": ""}, [], 2, "BACKUPS_TOKEN is not set; remedy: export it, from `pulumi stack output"),
        ({"BACKUPS_TOKEN": "two words"}, [], 2, "BACKUPS_TOKEN contains characters that are not valid in a token"),
        ({"BACKUPS_TOKEN": "wrong-token-of-mine"}, [], 1, "does not know the token in BACKUPS_TOKEN; remedy: take it"),
        ({}, ["--url", "http://backups.example"], 2, "is not an https:// address"),
        ({}, ["--url", "https://backups.example/report.json"], 2, "is not an https:// address"),
        ({}, ["--url", "http://127.0.0.1:1"], 1, "http://127.0.0.1:1 does not answer (ConnectError)"),
        ({}, ["--stack", "moon"], 2, "'moon' is no stack: there is no Pulumi.moon.yaml; there are: prod, staging"),
        ({}, ["--stack", "../staging"], 2, "is no stack"),
        ({}, ["--stack", ""], 2, "is no stack"),
    ],
)
def test_what_is_missing_is_named_and_tokens_are_not_shown(
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


def test_the_address_is_the_stacks_own(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(client, "read", lambda url, _: seen.append(url) or json.dumps(well()))
    assert run("status", "--stack", "staging").code == 0
    assert seen == ["https://backups.backbuild.dev"]
    assert server.asked == []


def certificate(folder: Path) -> tuple[Path, Path]:
    """One that nobody has signed, for this machine, and its key."""
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
def test_a_certificate_that_is_not_believed_gets_no_token(run: Run, tmp_path: Path) -> None:
    told = Server(body=json.dumps(well()).encode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path))
    with told.listen() as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        listening.handle_error = lambda *_: None  # the handshake fails, which is what this is about
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        ran = run(*STATUS, f"https://127.0.0.1:{listening.server_port}")
        listening.shutdown()
        thread.join()
    assert (ran.code, ran.out) == (1, "")
    assert re.search(r"shows a certificate that is not believed \(self.signed certificate\)", ran.err)
    assert "the token was not sent; remedy: check the address" in ran.err
    assert told.asked == []


@pytest.mark.usefixtures("server")
def test_whoever_says_nothing_is_not_waited_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        ran = run(*STATUS, f"http://127.0.0.1:{mute.getsockname()[1]}")
    assert ran.code == 1
    assert "does not answer (ReadTimeout)" in ran.err


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 * 1024**3, "5.0 GiB"), (3 * 1024**5, "3072.0 TiB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


def test_it_is_a_program() -> None:
    ran = subprocess.run([sys.executable, "-m", "backups"], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "usage: python -m backups" in ran.stderr
