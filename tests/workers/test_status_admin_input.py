"""Tests of calls that the admin API rejects: unknown callers and invalid input. They have no effect."""

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from harness.status import Status, at
from harness.status_world import OPERATOR, TOKEN, World, start_status
from harness.workerd import Host

from .operators import EMAIL, HOUR, INCIDENT, PLAN, UPDATE, WEBHOOK, ask, nothing_happened, post, problems, request


@pytest.fixture(scope="module")
def quiet(host: Host) -> Iterator[Status]:
    """A Worker that all tests of the module share, because their calls change nothing."""
    world = World()
    with world.serving() as address:
        start_status(host, address)
        shared = Status(host, world)
        shared.cron(0)
        yield shared


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN} {TOKEN}",
        f"Bearer {TOKEN.upper()}",
        f"Basic {base64.b64encode(f'{OPERATOR}:{TOKEN}'.encode()).decode()}",
        TOKEN,
        f"Bearer {hashlib.sha256(TOKEN.encode()).hexdigest()}",
        "Bearer tök\u00e9n",
        f"Bearer {'x' * 8_000}",
        "Bearer null",
        "Bearer __proto__",
    ],
)
def test_requests_without_a_valid_token_get_401(quiet: Status, authorization: str) -> None:
    for path in ("incidents", "audit", "elsewhere"):
        answer = quiet.host.fetch(f"/admin/{path}", headers={"authorization": authorization})
        assert (answer["status"], answer["headers"]["www-authenticate"]) == (401, "Bearer")
        assert json.loads(answer["body"]) == {"error": "an operator's token is needed"}


def test_requests_without_a_header_get_401(quiet: Status) -> None:
    answer = quiet.host.fetch("/admin/incidents", "POST", body=json.dumps(INCIDENT))
    assert answer["status"] == 401
    assert nothing_happened(quiet)


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        ("{}", {"content_type": "text/plain"}, 415),
        ("{}", {"content_type": "application/jsonp"}, 415),
        ("{}", {"content_type": ""}, 415),
        ("", {}, 400),
        ("{", {}, 400),
        ('{"title": NaN}', {}, 400),
        ("[" * 65_536, {}, 400),
        ('{"title": "' + "x" * 65_536 + '"}', {}, 413),
        ("x" * 80_000, {}, 413),
    ],
)
def test_unreadable_bodies_are_rejected(quiet: Status, body: str, headers: dict[str, str], code: int) -> None:
    assert post(quiet, "incidents", body, **headers)[0] == code
    assert nothing_happened(quiet)


@pytest.mark.parametrize("body", ["[]", "null", "7", '"text"', "true"])
def test_json_other_than_an_object_is_rejected(quiet: Status, body: str) -> None:
    assert problems(quiet, "incidents", body) == {"": "must be an object"}


@pytest.mark.parametrize("size", [65_536, 65_537, 3_000_000])
def test_body_limit_is_exact(quiet: Status, size: int) -> None:
    body = '{"title": ""}'.ljust(size)
    assert post(quiet, "incidents", body)[0] == (422 if size == 65_536 else 413)


def test_all_problems_are_listed_in_one_answer(quiet: Status) -> None:
    found = problems(
        quiet,
        "incidents",
        {"title": 7, "impact": "huge", "components": ["database", "moon"], "status": "resolved", "colour": "red"},
    )
    assert found == {
        "colour": "is unknown; valid fields are title, impact, components, status, body, startedAt",
        "title": "must be a text",
        "impact": "must be one of none, minor, major, critical",
        "components": '"moon" is unknown; valid values are api, edge, database, replication, objectStorage, backups',
        "status": "must be one of investigating, identified, monitoring",
        "body": "is missing",
    }


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("title", "x" * 201, "has 201 characters; at most 200 are allowed"),
        ("title", "", "must contain a visible character"),
        *(
            (field, text, "must contain a visible character")
            for field in ("title", "body")
            for text in ("  ", "\u00ad", "\u115f", "\u200b", "\u202e", "\u2800", "\u3164", "\ufe0f", "\u200b \u3164")
        ),
        *(
            (
                "title",
                f"Paid {mark}lluf",
                "must not contain directional formatting characters (U+202A to U+202E, U+2066 to U+2069)",
            )
            for mark in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
        ),
        ("title", None, "must be a text"),
        ("title", ["x"], "must be a text"),
        ("title", "one\ntwo", "must be one line, without control characters"),
        ("title", "one\u2028two", "must be one line, without control characters"),
        ("title", "nul\0", "must not contain control characters"),
        ("title", "half \ud83d", "must not contain unpaired surrogates"),
        ("body", "x" * 5_001, "has 5001 characters; at most 5000 are allowed"),
        ("body", "bell\a", "must not contain control characters"),
        ("body", 1e400, "must be a text"),
        ("impact", 2, "must be one of none, minor, major, critical"),
        ("impact", "toString", "must be one of none, minor, major, critical"),
        ("components", "database", "must be a list of api, edge, database, replication, objectStorage, backups"),
        ("components", ["database", "database"], "contains a duplicate"),
        ("components", [["database"]], '["database"] is unknown'),
        ("components", {"0": "database", "length": 1}, "must be a list of"),
        ("__proto__", {"title": "x"}, "is unknown"),
        ("constructor", "x", "is unknown"),
    ],
)
def test_invalid_field_is_named(quiet: Status, field: str, value: Any, problem: str) -> None:
    body = json.dumps({**INCIDENT, field: value}).replace("Infinity", "1e400")
    (named,) = problems(quiet, "incidents", body).items()
    assert named[0] == field
    assert named[1].startswith(problem)
    assert nothing_happened(quiet)


@pytest.mark.parametrize(
    "time",
    [
        "2026-12-01T02:00",
        "2026-12-01",
        "2026-12-01 02:00Z",
        "2026-12-01T02:00:30Z",
        "2026-12-01T24:00Z",
        "2026-12-01T02:60Z",
        "2026-12-01T02:00+15:00",
        "+002026-12-01T02:00Z",
        "tomorrow",
        "",
        1_796_090_400_000,
        10**30,
        None,
        ["2026-12-01T02:00Z"],
    ],
)
def test_time_needs_a_zone_and_whole_minutes(quiet: Status, time: Any) -> None:
    (named,) = problems(quiet, "maintenances", {**PLAN, "startsAt": time}).items()
    assert named == ("startsAt", "must be a whole minute with its zone, such as 2026-12-01T02:00Z")


@pytest.mark.parametrize("time", ["2026-11-31T02:00Z", "2027-02-29T00:00Z", "2026-13-01T02:00Z", "2026-12-00T02:00Z"])
def test_date_must_exist(quiet: Status, time: str) -> None:
    assert problems(quiet, "maintenances", {**PLAN, "startsAt": time}) == {"startsAt": "is not a valid date"}


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        ({"startsAt": at(72 * HOUR - 1)}, "startsAt", "must be at least 72 hours ahead"),
        ({"startsAt": at(-1), "endsAt": at(60)}, "startsAt", "must be at least 72 hours ahead"),
        (
            {"startsAt": at(-16), "endsAt": at(60), "emergency": True},
            "startsAt",
            "must not be more than 15 minutes ago",
        ),
        ({"startsAt": at(-15), "endsAt": at(0), "emergency": True}, "endsAt", "must be in the future"),
        (
            {"startsAt": "2036-11-24T10:00Z", "endsAt": "2036-11-24T11:00Z"},
            "startsAt",
            "must not be more than 366 days ahead",
        ),
        ({"endsAt": at(72 * HOUR)}, "endsAt", "must be after startsAt"),
        ({"endsAt": at(72 * HOUR + 7 * 24 * HOUR + 1)}, "endsAt", "must be at most 7 days after"),
        ({"emergency": "yes"}, "emergency", "must be true or false"),
        ({"components": []}, "components", "must contain at least one"),
    ],
)
def test_invalid_plans_are_rejected(quiet: Status, change: dict[str, Any], field: str, problem: str) -> None:
    found = problems(quiet, "maintenances", {**PLAN, **change})
    assert found[field].startswith(problem)
    assert nothing_happened(quiet)


def test_too_short_notice_names_the_remedy(quiet: Status) -> None:
    found = problems(quiet, "maintenances", {**PLAN, "startsAt": at(60), "title": ""})
    assert "emergency: true" in found["startsAt"]
    assert found["title"] == "must contain a visible character"


@pytest.mark.parametrize(
    "address",
    [
        "http://hook.example/",
        "hook.example",
        "ftp://hook.example/",
        "javascript:alert(1)",
        "https://ann:secret@hook.example/",
        "https://ann@hook.example/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:7f00:1]/",
        "https://10.0.0.1./",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "https://metadata.google.internal/",
        "https://printer.local/",
        "https://printer.local./",
        "https://intranet/",
        "https://hook.example/#fragment",
        "https://hook.example:22/",
        "https://hook.example:80/",
        "https://hook.example:4443/",
        "https://status.example",
        "https://STATUS.example./admin/incidents",
        "https://hook .example/",
        "https:///",
        "https://" + "a" * 2_000 + ".example/",
    ],
)
def test_webhooks_need_a_public_https_host(quiet: Status, address: str) -> None:
    assert list(problems(quiet, "contacts", {**WEBHOOK, "address": address})) == ["address"]
    assert nothing_happened(quiet)


@pytest.mark.parametrize(
    "address",
    [
        "ann",
        "ann@",
        "@customer.example",
        "ann@localhost",
        "ann@customer.example, eve@evil.example",
        "Ann <ann@customer.example>",
        "ann@customer.example\r\nBcc: eve@evil.example",
        "ann@customer.example\n",
        '"ann"@customer.example',
        "ann@[127.0.0.1]",
        "ann@127.0.0.1",
        "ann@-customer.example",
        "ann@cust omer.example",
        "ann@@customer.example",
        "änn@customer.example",
        "..@customer.example",
        ".ann@customer.example",
        "ann.@customer.example",
        "ann..bee@customer.example",
        "ann@192.168.100.10",
        "a" * 65 + "@customer.example",
        "ann@" + "a." * 130 + "example",
        7,
    ],
)
def test_email_addresses_are_plain(quiet: Status, address: Any) -> None:
    assert list(problems(quiet, "contacts", {**EMAIL, "address": address})) == ["address"]
    assert nothing_happened(quiet)


@pytest.mark.parametrize("name", ["\u3164", "Ann \u202enoB"])
def test_contact_names_need_visible_characters(quiet: Status, name: str) -> None:
    assert list(problems(quiet, "contacts", {**EMAIL, "name": name})) == ["name"]
    assert nothing_happened(quiet)


def test_contacts_need_known_components_and_impacts(quiet: Status) -> None:
    found = problems(quiet, "contacts", {**EMAIL, "components": [], "minimum": "huge", "channel": "sms"})
    assert list(found) == ["channel", "components", "minimum"]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "", 404),
        ("GET", "nothing", 404),
        ("GET", "incidents/", 404),
        ("PUT", "incidents", 405),
        ("HEAD", "incidents", 405),
        ("DELETE", "incidents", 405),
        ("GET", "contacts/one", 405),
        ("POST", "audit", 405),
        ("POST", "incidents/one'; DROP TABLE incidents; --/updates", 404),
        ("POST", "incidents/%27%20OR%201=1/updates", 404),
        ("POST", "incidents/unknown/updates", 404),
        ("POST", "maintenances/unknown/updates", 404),
        ("DELETE", "contacts/unknown", 404),
        ("DELETE", "contacts/x'%20OR%20'1'='1", 404),
    ],
)
def test_unknown_paths_and_methods_are_rejected(quiet: Status, method: str, path: str, code: int) -> None:
    body = UPDATE if "incidents/" in path else {"body": "x"}
    answer = quiet.host.fetch(**request(method, path, body if method == "POST" else None))
    assert answer["status"] == code
    assert nothing_happened(quiet)
    if code == 405:
        assert "allow" in answer["headers"]


@pytest.mark.parametrize("name", ["1", "x' OR '1'='1", "0" * 36, "211c0d3b-740b-4bc0-9ea0-046ed60366dfx"])
def test_an_idempotency_key_is_a_uuid(quiet: Status, name: str) -> None:
    assert problems(quiet, "incidents", INCIDENT, key=name) == {"idempotency-key": "must be a UUID"}


@pytest.mark.parametrize("query", ["", "?state=", "?state=lost", "?state=dead' OR '1'='1"])
def test_query_of_deliveries_needs_a_known_state(quiet: Status, query: str) -> None:
    assert ask(quiet, "GET", f"deliveries{query}")[0] == 422


@pytest.mark.parametrize("before", ["x", "-1", "0", "1e3", "9" * 17, "1;"])
def test_query_of_audit_pages_needs_an_id(quiet: Status, before: str) -> None:
    assert ask(quiet, "GET", f"audit?before={before}")[0] == 422
