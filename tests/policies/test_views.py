"""Calendars, distances and machines' files, compared with figures computed by hand."""

from __future__ import annotations

import base64
import gzip
import hashlib

import pytest

from machines.archive import archive_of
from machines.files import File
from policies.graph import Undetermined
from policies.views import haproxy
from policies.views.booted import boot_of, files_of
from policies.views.calendars import calendar_gap_seconds, cron_gap_seconds, window_gap_days
from policies.views.geography import great_circle_km, least_km, places
from policies.views.lifecycles import Expiry
from policies.views.machines import Machine, duration_seconds, sections
from policies.views.patroni import APPLIES, APPLY, CONFIGURE, DROP_IN, WRITES, parameters
from policies.views.pgbackrest import Command, command_of, shell_command_of
from policies.views.shell import expanded, functions_of, lines_of, replaced, steered, stops_at_errors
from policies.views.units import Unit, late, packaged_overridden
from policies.views.vault import Copy
from tests.policies.graphs import graph, resource

HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("* * * * *", 60),
        ("*/5 * * * *", 300),
        ("*/7 * * * *", 420),  # 56 to 3 of the next hour is 4 minutes: the longest is 7
        ("*/45 * * * *", 45 * 60),
        ("15 * * * *", HOUR),
        ("0,30 * * * *", 1800),
        ("10-50/10 * * * *", 1200),  # 50 to 10
        ("15 7 * * *", DAY),
        ("0 3,15 * * *", 12 * HOUR),
        ("0 9-17 * * *", 16 * HOUR),
        ("0 3 * * 1", 7 * DAY),
        ("0 3 * * MON,THU", 4 * DAY),  # Thursday to Monday
        ("0 3 * * 0-6", DAY),
        ("0 4 1 * *", 31 * DAY),
        ("0 4 1 1 *", 366 * DAY),
        ("61 * * * *", None),
        ("*/0 * * * *", None),
        ("5-1 * * * *", None),
        ("@daily", None),
        ("* * * *", None),
        ("0 3 1 * 1", None),
        ("L * * * *", None),
    ],
)
def test_the_longest_gap_of_a_cron_expression(expression: str, seconds: float | None) -> None:
    assert cron_gap_seconds(expression) == seconds


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("*-*-* 01:00:00 UTC", DAY),
        ("*-*-* *:30:00 UTC", HOUR),
        ("*-*-* *:0/5:00 UTC", 300),
        ("*-*-* 0/6:30:00 UTC", 6 * HOUR),
        ("minutely", 60),
        ("weekly", 7 * DAY),
        ("*-*-01 01:00:00 UTC", None),
        ("Mon *-*-* 01:00:00", None),
        ("*-*-* 25:00:00", None),
        ("", None),
    ],
)
def test_the_longest_gap_of_a_systemd_calendar(expression: str, seconds: float | None) -> None:
    assert calendar_gap_seconds(expression) == seconds


def test_distances_between_regions_and_jurisdictions() -> None:
    frankfurt, stockholm = places(region="eu-central-1"), places(region="eu-north-1")
    assert great_circle_km(frankfurt[0], stockholm[0]) == pytest.approx(1185, abs=15)
    assert least_km(frankfurt, stockholm) > 500
    # The location inside the EU is unknown: it may be Frankfurt itself.
    assert least_km(frankfurt, places(jurisdiction="eu")) == 0
    assert least_km(frankfurt, places(jurisdiction="us")) > 5000
    assert least_km(frankfurt, places(region="eu-central-2")) < 500
    with pytest.raises(LookupError, match=r"region mars-north-1 is not in policies/views/geography\.py; add it"):
        least_km(frankfurt, places(region="mars-north-1"))
    assert least_km(frankfurt, places(jurisdiction="default")) == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("1h", 3600), ("50min", 3000), ("60", 60), ("500ms", 0.5), ("soon", None), ("1y", None), ("", None)],
)
def test_durations_are_converted_to_seconds(text: str, seconds: float | None) -> None:
    assert duration_seconds(text) == seconds


def test_files_of_an_archive() -> None:
    archive = archive_of([File("/a", "x\n", "0644", "root:root")])
    encoded = base64.b64encode(archive.content).decode()
    assert files_of(encoded, archive.sha256) == {"/a": "x\n"}
    with pytest.raises(ValueError, match="its SHA-256 is"):
        files_of(encoded, "0" * 64)


@pytest.mark.parametrize("content", [b"", b"x", b"\x1f\x8b\x08\x00", gzip.compress(b"not a tar", mtime=0)])
def test_an_archive_that_cannot_be_read_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        files_of(base64.b64encode(content).decode(), hashlib.sha256(content).hexdigest())


def test_an_archive_that_is_not_base64_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"."):
        files_of("%%%", "0" * 64)


@pytest.mark.parametrize(
    "text", ["", "#!/bin/sh\n", "#cloud-config\n- a list\n", "#cloud-config\na: [", "#cloud-config\nruncmd: []\n"]
)
def test_user_data_without_the_reviewed_boot_script_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        boot_of(text)


@pytest.mark.parametrize(
    ("schedule", "days"),
    [
        ("cron(0 3 ? * SUN *)", 7),
        ("cron(0 3 ? * MON-FRI *)", 3),
        ("cron(0 3 1 1,4,7,10 ? *)", 92),
        ("cron(0 3 31 2 ? *)", None),  # never
        ("cron(0 3 29 2 ? *)", 1461),
        ("rate(7 days)", 7),
        ("rate(12 hours)", 0.5),
        ("cron(0 3 L * ? *)", None),
        ("cron(0 3 ? * SUN 2030)", None),
        ("", None),
    ],
)
def test_the_longest_gap_of_a_maintenance_window(schedule: str, days: float | None) -> None:
    assert window_gap_days(schedule) == days


def bucket(deleted: dict[str, float], lock: dict[str, float]) -> Copy:
    copy = Copy(graph(), resource("cloudflare:index/r2Bucket:R2Bucket", "b"), (), "eu")
    copy.__dict__.update(rules=Expiry(deleted, deleted), lock=lock)
    return copy


def test_locks_and_expiries_of_a_prefix_are_computed_from_all_rules() -> None:
    copy = bucket({"daily/": 65, "daily/a/2027": 9}, {"daily/": 35, "daily/a/x": 99})
    assert copy.expires("daily/a/") == 9
    assert copy.ages_out("daily/a/") == 65
    assert copy.expires("daily/b/") == 65
    assert copy.expires("monthly/b/") is None
    assert copy.locked("daily/a/") == 35
    assert copy.locked("monthly/") == 0


def machine(**files: str) -> Machine:
    found = Machine(resource("aws:ec2/instance:Instance", "a-0"), "a", "worker", {})
    named = {"/etc/default/backbuild": 'DISABLED=""\nSERVICES="x.timer"\n', **files}
    install = "systemctl enable --now --no-block $SERVICES\n"
    named["/usr/local/sbin/backbuild-install"] = install
    found.__dict__.update(files=named, document={"runcmd": [["/usr/local/sbin/backbuild-install"]]})
    return found


def test_sections_keep_their_settings_in_order() -> None:
    text = "[a]\n# x=0\nx=1\nx=\nx = 2 \\\n 3\n[b]\nx=4\n"
    assert sections(text) == {"a": (("x", "1"), ("x", ""), ("x", "2   3")), "b": (("x", "4"),)}


TIMER = "/etc/systemd/system/x.timer"


@pytest.mark.parametrize(
    ("timer", "wrong"),
    [
        ("OnCalendar=*-*-* *:30:00 UTC", None),
        ("OnCalendar=*-*-* *:30:00 UTC\nAccuracySec=1month", "RandomizedDelaySec or AccuracySec cannot be read"),
        ("OnCalendar=*-*-* *:30:00 UTC\nRandomizedDelaySec=2h", "1 h and 1.98333 h of delay between runs"),
        ("OnCalendar=*-*-* *:30:00 UTC\nOnCalendar=", "sets no OnCalendar"),
        ("OnCalendar=daily", "up to 24 h between runs; 1 h at most"),
        ("[Install]\nOnCalendar=*-*-* *:30:00 UTC", "sets no OnCalendar"),
    ],
)
def test_a_timer_with_a_long_gap_is_late(timer: str, wrong: str | None) -> None:
    found = late(machine(**{TIMER: f"[Timer]\n{timer}\n"}), "x.timer", HOUR)
    assert found is None if wrong is None else wrong in str(found)


@pytest.mark.parametrize(
    ("unit", "drop_in", "overridden"),
    [
        ("x@y.service", "x@y.service.d", True),
        ("x@y.service", "x@.service.d", True),
        ("x@y.service", "service.d", True),
        ("x-z.timer", "x-.timer.d", True),
        ("x-z.timer", "y-.timer.d", False),
        ("x@y.service", "etcd.service.d", False),
        ("x@y.service", "timer.d", False),
    ],
)
def test_drop_ins_override_their_unit(unit: str, drop_in: str, overridden: bool) -> None:
    folder = "/etc/systemd/system"
    files = {f"{folder}/{unit}": "[Timer]\n", f"{folder}/{drop_in}/a.conf": ""}
    assert (Unit(machine(**files), unit).overridden() is not None) == overridden


def test_pgbackrest_options_have_a_precedence() -> None:
    text = "[global:backup]\nt=1\n[global]\nt=2\nu=3\n[a]\nu=4\n[a:backup]\nu=5\n[b]\nv=6\n"
    found = machine(**{"/etc/pgbackrest/pgbackrest.conf": text})
    assert found.pgbackrest_by_command("t") == {"all": "2", "backup": "1"}
    assert found.pgbackrest_by_command("u") == {"all": "4", "backup": "5"}
    assert found.pgbackrest("v", "none") == "none"


def texts(script: str) -> list[str] | None:
    lines = lines_of(script)
    return None if lines is None else [line.text for line in lines]


def test_lines_of_a_script_have_no_comments() -> None:
    script = '#!/bin/sh\n# it\'s a comment\na "b # c" # d\'s\n\nf "${x#*:}" \\\n  g\n'
    assert texts(script) == ['a "b # c"', 'f "${x#*:}"   g']


def test_lines_that_end_with_an_operator_continue() -> None:
    assert texts("false &&\n  a\nb |\nc\n") == ["false && a", "b | c"]


@pytest.mark.parametrize(
    "script",
    [
        "cat <<EOF\nset -eu\nEOF\n",
        'echo "\nset -eu\n"\n',
        "echo $'x\\'\n",
        "if a; then\nb\n",
        "a\nfi\n",
        "case $1 in\nx) a ;;\nesac\n",
        "echo 'open\n",
    ],
)
def test_a_script_that_cannot_be_read_with_certainty_has_no_lines(script: str) -> None:
    assert lines_of(script) is None


def test_lines_know_their_block() -> None:
    lines = lines_of("a\nif b; then\n  c\nelse\n  d\nfi\ne\nf() {\n  g\n}\n(\nh\n)\nfor x in y; do i; done\n")
    assert lines is not None
    assert {line.text: line.block for line in lines if len(line.text) == 1} == {
        "a": "",
        "c": "if b; then",
        "d": "else",
        "e": "",
        "g": "f() {",
        "}": "f() {",
        "(": "",
        "h": "(",
        ")": "(",
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('a --b="${C}" "$1"', ["a", "--b=$C", "$1"]),
        ("a; b", None),
        ("a || b", None),
        ("a > b", None),
        ("a $(b)", None),
        ("a '$b'", None),
        ("! a", None),
        ("a &", None),
    ],
)
def test_words_of_a_simple_command(line: str, words: list[str] | None) -> None:
    lines = lines_of(f"{line}\n")
    assert lines is not None
    assert lines[0].words == words


@pytest.mark.parametrize(
    ("script", "stops"),
    [
        ("set -eu\na\n", True),
        ("set -e\nset -u\na\n", True),
        ("set -euo pipefail\na\n", True),
        ("set -Eeuo pipefail\na\n", True),
        ("set -o errexit -o nounset\na\n", True),
        ("a\nset -eu\n", False),
        ("set -e\na\n", False),
        ("set -eu\nset +e\n", False),
        ("set -eu\na\nset -o pipefail\n", False),
        ("set -eun\na\n", False),
        ("set -eu -- x\na\n", False),
        ("set -eu x\na\n", False),
        ("set -euo\na\n", False),
        ("set -eu || true\na\n", False),
        ("if a; then set -eu; fi\n", False),
    ],
)
def test_a_script_stops_at_errors_in_any_spelling(script: str, stops: bool) -> None:
    assert stops_at_errors(lines_of(script) or ()) == stops


def test_the_call_of_a_function_is_expanded() -> None:
    lines = lines_of(
        'run() { a --b "$@"; }\nx() { c "$@"; }\nx() { d "$@"; }\ny() { e; }\nz() { f "$@" || true; }\n'
        'more() {\n    g "$@"\n}\nmost() {\n    g "$@"\n    h\n}\n'
    )
    assert lines is not None
    functions = functions_of(lines)
    assert functions == {"run": ["a", "--b"], "more": ["g"]}
    assert expanded(["run", "c"], functions) == ["a", "--b", "c"]
    assert expanded(["x", "c"], functions) == ["x", "c"]
    assert expanded(None, functions) == []


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/usr/local/bin/a", ""),
        ("/x", "a() { :; }\n"),
        ("/x", "true; function a {\n"),
        ("/x", "a ()\n{\n"),
        ("/x", "alias a=b\n"),
        ("/x", "export PATH=/tmp:$PATH\n"),
    ],
)
def test_another_program_may_run_in_place_of_one(path: str, content: str) -> None:
    assert path in str(replaced(machine(**{path: content}), "a"))


@pytest.mark.parametrize("line", ["set +e", "true; exit 0", "if a; then return; fi", "trap 'exit 0' EXIT"])
def test_the_file_of_variables_may_not_change_how_scripts_run(line: str) -> None:
    path = "/etc/default/backbuild"
    assert "changes how scripts run" in str(steered(machine(**{path: f"A=b\n{line}\n"})))
    assert steered(machine(**{path: 'SETTINGS="set"\n'})) is None
    assert "overrides" in str(steered(machine(**{f"{path}-local": ""})))


def test_calls_of_a_program_do_not_replace_it() -> None:
    assert replaced(machine(**{"/x": "a b\nMANPATH=c\nalias b=a\nba() { a; }\n"}), "a") is None


@pytest.mark.parametrize(
    ("command", "parsed"),
    [
        ("pgbackrest --stanza=x archive-push %p", Command("archive-push", {"stanza": "x"}, ("%p",))),
        ('/usr/bin/pgbackrest archive-push "%p" --stanza x', Command("archive-push", {"stanza": "x"}, ("%p",))),
        ("pgbackrest --process-max=4 --log-level-console info --stanza=x check", Command("check", {"stanza": "x"})),
        ("pgbackrest --stanza=x --no-archive-check backup", Command("backup", {"stanza": "x", "no-archive-check": ""})),
        ("pgbackrest --process-max=a-b check", Command("check", {"process-max": "a-b"})),
        ("pgbackrest --stanza=x --stanza=y check", None),
        ("/tmp/pgbackrest --stanza=x check", None),
        ("A=b pgbackrest check", None),
        ("pgbackrest check || true", None),
        ("pgbackrest check # x", None),
        ("pgbackrest --stanza=$X check", None),
        ("pgbackrest 'check", None),
        ("pgbackrest", None),
        ("", None),
    ],
)
def test_commands_of_pgbackrest_are_parsed(command: str, parsed: Command | None) -> None:
    assert shell_command_of(command) == parsed


def test_words_of_a_script_are_a_command_of_pgbackrest() -> None:
    parsed = command_of(["pgbackrest", "--type=$1", "--stanza=$GROUP", "backup"])
    assert parsed == Command("backup", {"stanza": "$GROUP", "type": "$1"})


def test_sections_of_haproxy() -> None:
    text = "# x\nglobal\n  maxconn 9 # y\n\nbackend a\n  server b 10.0.0.1:5432   check\n"
    assert haproxy.sections_of(text) == (
        haproxy.Section("global", (("maxconn", "9"),)),
        haproxy.Section("backend a", (("server", "b", "10.0.0.1:5432", "check"),)),
    )
    with pytest.raises(ValueError, match="is in no section"):
        haproxy.sections_of("maxconn 9\n")


@pytest.mark.parametrize(
    ("keywords", "wrong"),
    [
        ("check port 8008 check-ssl", None),
        ("check check-ssl port 8008", None),
        ("maxconn 180 check port 8008 check-ssl", None),
        ("check port 8008", "check-ssl is missing"),
        ("check-ssl port 8008", "check is missing"),
        ("check check-ssl", "port is missing"),
        ("check check-ssl port x", "port is x; a number is expected"),
        ("check check-ssl port 8008 verify none", "verify must not be set"),
        ("check check-ssl port 8008 weight 0", "weight must not be set"),
    ],
)
def test_keywords_of_a_server_have_any_order(keywords: str, wrong: str | None) -> None:
    server = haproxy.server_of(["server", "a", "10.0.0.1:5432", *keywords.split()])
    assert server is not None
    assert (server.address, server.port) == ("10.0.0.1", "5432")
    assert haproxy.wrong_keyword(server) == wrong


@pytest.mark.parametrize(
    "line",
    ["server a", "server a b:5432 check", "server a 10.0.0.1:5432 check port", "server a 10.0.0.1:1 check check"],
)
def test_a_server_that_is_not_understood(line: str) -> None:
    assert haproxy.server_of(line.split()) is None


@pytest.mark.parametrize(
    ("path", "content", "wrong"),
    [
        (DROP_IN, "[Service]\nRestart=always\nExecStart=\nExecStart=/a\n", None),
        (DROP_IN, "[Service]\nExecStart=/b\n", "ExecStart=/b may change"),
        (DROP_IN, "[Service]\nEnvironment=A=b\n", "Environment=A=b may change"),
        ("/etc/systemd/system/patroni.service.d/x.conf", "", "overrides patroni.service"),
        ("/etc/systemd/system/service.d/x.conf", "", "overrides patroni.service"),
        ("/etc/systemd/system/patroni.service", "", "overrides patroni.service"),
        ("/etc/systemd/system/other.service.d/x.conf", "", None),
    ],
)
def test_a_packaged_service_has_one_drop_in(path: str, content: str, wrong: str | None) -> None:
    allowed = {"Restart": None, "ExecStart": ("", "/a")}
    found = packaged_overridden(machine(**{path: content}), "patroni", DROP_IN, allowed)
    assert found is None if wrong is None else wrong in str(found)


def database(own: str = "", **files: str) -> Machine:
    """Return a machine whose group has the parameter a, and which itself has b."""
    script = "\n".join(["patroni=/run/backbuild/patroni", *WRITES])
    script = script.replace("<<YAML\n", f"<<YAML\npostgresql:\n  parameters: {{x: 1{own}}}\nYAML\n")
    group = "bootstrap: {dcs: {postgresql: {parameters: {A: 1, b: 1}}}}"
    texts = {
        CONFIGURE: script,
        APPLY: f"{APPLIES}\n",
        "/etc/backbuild/patroni.yml": f"{group}\npostgresql: {{data_dir: /data/17, parameters: {{b: 2, c: 2}}}}\n",
        "/etc/backbuild/citus.yml": "postgresql: {parameters: {c: 3}}\n",
    }
    return machine(**{**texts, **files})


def test_a_machines_own_parameters_override_the_groups() -> None:
    assert parameters(database()) == {"a": 1, "b": 2, "c": 3, "x": 1}
    assert parameters(database(own=", b: 4")) == {"a": 1, "b": 4, "c": 3, "x": 1}


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/etc/environment", "PATRONI_CONFIGURATION=x\n"),
        ("/usr/local/sbin/x", "echo >/run/backbuild/patroni/40.yml\n"),
        ("/etc/systemd/system/patroni.service.d/x.conf", ""),
        (DROP_IN, "[Service]\nExecStart=/usr/bin/patroni /x\n"),
        (APPLY, "settings=x\n"),
        ("/usr/local/sbin/x", "curl -X PATCH -d x https://10.0.0.1:8008/config\n"),
        ("/etc/postgresql/17/main/conf.d/x.conf", ""),
        ("/data/17/postgresql.auto.conf", ""),
        ("/usr/local/sbin/x", "psql -c 'alter system\n set fsync = off'\n"),
        ("/etc/backbuild/citus.yml", "postgresql: {bin_name: {postgres: /x}}\n"),
        ("/etc/backbuild/citus.yml", "postgresql: {parameters: {Include: x}}\n"),
    ],
)
def test_parameters_are_undetermined_if_another_source_may_override_them(path: str, content: str) -> None:
    with pytest.raises(Undetermined):
        parameters(database(**{path: content}))


def test_a_password_of_a_role_is_no_parameter() -> None:
    assert parameters(database(**{"/x": "ALTER ROLE application PASSWORD :'password';\n\\set a b\n"}))
