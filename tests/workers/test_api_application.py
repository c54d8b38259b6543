"""The operator's own script behind the API's name: it gets its requests, and cannot take the health report along."""

import json
from typing import Any

import pytest

from components.worker_modules import COMPATIBILITY_DATE, COMPATIBILITY_FLAGS

from .stubs import WELL, Postgres
from .workerd import Host, modules

MAIN = "application/shop/index.js"


def start(host: Host, script: str, database: str = "postgres://a:b@127.0.0.1:1/c", **others: str) -> None:
    """Start the API with a script; `others` are further modules of it."""
    host.ask(
        "start",
        modules=modules("api"),
        added={MAIN: script} | {f"application/shop/{name}.js": text for name, text in others.items()},
        compatibilityDate=COMPATIBILITY_DATE,
        options={
            "compatibilityFlags": list(COMPATIBILITY_FLAGS),
            "bindings": {"ENVIRONMENT": "staging", "STANZAS": ["coordinator"], "APPLICATION": f"../{MAIN}", "KEY": "x"},
            "r2Buckets": ["BACKUPS"],
            "versionMetadata": "VERSION",
            "hyperdrives": {"HYPERDRIVE": database},
        },
    )
    host.put("BACKUPS", "hourly/backup/coordinator/backup.info", "[backup]")


def well(response: dict[str, Any]) -> bool:
    return response["status"] == 200 and json.loads(response["body"])["status"] == "ok"


ECHO = """
import { greeting } from "./words.js";
export default {
  async fetch(request, env, ctx) {
    const told = { greeting, url: request.url, method: request.method, body: await request.text() };
    ctx.waitUntil(Promise.resolve());
    return Response.json(told, { status: 201, headers: { "x-shop": "open" } });
  },
};
"""


def test_it_gets_every_request_but_those_for_the_health_report(host: Host) -> None:
    with Postgres(WELL).serving() as database:
        start(host, ECHO, database, words='export const greeting = "hello";')
        assert well(host.fetch("/health"))
        response = host.fetch("/api/carts/7?full=1", "PUT", body="two apples")
        assert response["status"] == 201
        assert response["headers"]["x-shop"] == "open"
        assert json.loads(response["body"]) == {
            "greeting": "hello",
            "url": "https://worker.example/api/carts/7?full=1",
            "method": "PUT",
            "body": "two apples",
        }
        assert (
            host.fetch("/")["status"] == host.fetch("/api/health")["status"] == host.fetch("/health/")["status"] == 201
        )
        assert host.fetch("/health", "POST")["status"] == 405


def test_it_is_given_nothing_of_the_platforms_own(host: Host) -> None:
    script = """
import * as workers from "cloudflare:workers";
export default {
  fetch(request, env) {
    const imported = Object.keys(workers.env ?? {});
    return Response.json({ given: Object.keys(env).sort(), imported, tag: "tag" in env.VERSION, at: env.ENVIRONMENT });
  },
};
"""
    start(host, script)
    given = ["ENVIRONMENT", "HYPERDRIVE", "VERSION"]
    assert json.loads(host.fetch("/", instruction={"clock": "2026-11-24T10:00:00Z"})["body"]) == {
        "given": given,
        "imported": [],
        "tag": True,
        "at": "staging",
    }


BROKEN = {
    "throws at import": 'throw new Error("secret");',
    "throws at import of another": 'import "./words.js"; export default { fetch: () => new Response() };',
    "imports what is not there": 'import "./none.js";',
    "exports nothing": "export const a = 1;",
    "exports no handler": "export default 7;",
    "exports null": "export default null;",
    "throws": 'export default { fetch() { throw new Error("secret"); } };',
    "throws what is no error": 'export default { fetch() { throw "secret"; } };',
    "rejects": 'export default { fetch: async () => { throw new TypeError("secret"); } };',
    "answers with nothing": "export default { fetch() {} };",
    "answers with rubbish": 'export default { fetch: () => ({ status: 200, secret: "secret" }) };',
    "answers with a pretended response": "export default { fetch: () => Object.create(Response.prototype) };",
    "answers with what was read": (
        "export default { async fetch() { const r = new Response('secret'); await r.text(); return r; } };"
    ),
}


@pytest.mark.parametrize("script", BROKEN.values(), ids=BROKEN)
def test_a_script_that_fails_costs_its_own_answers_only(host: Host, script: str) -> None:
    with Postgres(WELL).serving() as database:
        start(host, script, database, words='throw new Error("secret");')
        for _ in range(2):
            response = host.fetch("/anything")
            assert (response["status"], json.loads(response["body"])) == (500, {"error": "internal error"})
            assert well(host.fetch("/health"))


@pytest.mark.parametrize(
    "script",
    [
        "export default { fetch: () => new Promise((resolve) => setTimeout(resolve, 1_000)) };",
        "await new Promise((resolve) => setTimeout(resolve, 1_000));\nexport default { fetch: () => new Response() };",
    ],
    ids=["fetch", "import"],
)
def test_a_script_that_hangs_does_not_hang_the_report(host: Host, script: str) -> None:
    with Postgres(WELL).serving() as database:
        start(host, script, database)
        hanging = {"op": "fetch", "path": "/", "method": "GET"}
        asked = {"op": "fetch", "path": "/health", "method": "GET"}
        _, report = host.together(hanging, asked)
        assert well(report)
        assert well(host.fetch("/health"))
