"""Tests of the operator's own script: it gets the API's other requests, and its failures do not affect /health."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.workerd import Host, modules
from model.worker_modules import COMPATIBILITY_DATE, COMPATIBILITY_FLAGS, application_of
from tests.lanes import first

from .stubs import WELL, Postgres

MAIN = "application/shop/index.js"


def start(host: Host, script: str, database: str = "postgres://a:b@127.0.0.1:1/c", **others: str) -> None:
    """Start the API with a script; `others` are its further modules."""
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


def test_script_gets_every_request_except_the_health_report(host: Host) -> None:
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


def test_script_gets_no_binding_of_the_platform(host: Host) -> None:
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


FORMS = {
    "object": "export default { greeting: 'hello', fetch() { return new Response(this.greeting); } };",
    "function as a property": "export default { fetch: async () => new Response('hello') };",
    "instance": """
class Shop { #greeting = 'hello'; fetch() { return this.say(); } say() { return new Response(this.#greeting); } }
export default new Shop();""",
    "proxy": "export default new Proxy({}, { get: (_, name) => name === 'fetch' ? () => new Response('hello') : 7 });",
    "function with fetch": """
const shop = () => new Response('wrong');
shop.fetch = () => new Response('hello');
export default shop;""",
    "entrypoint": """
import { WorkerEntrypoint } from "cloudflare:workers";
export default class extends WorkerEntrypoint {
  fetch(request) {
    this.ctx.waitUntil(Promise.resolve());
    const keys = Object.keys(this.env).sort().join();
    return new Response(keys === "ENVIRONMENT,HYPERDRIVE,VERSION" && request.url ? this.say() : keys);
  }
  say() { return "hello"; }
}""",
    "entrypoint through another class": """
import { WorkerEntrypoint } from "cloudflare:workers";
class Base extends WorkerEntrypoint { fetch = () => new Response(this.say()); }
export default class Shop extends Base { say() { return "hello"; } }""",
}


@pytest.mark.parametrize("script", first(4, FORMS.values()), ids=FORMS)
def test_every_form_of_a_default_export_is_called(host: Host, script: str) -> None:
    start(host, script)
    for _ in range(2):
        response = host.fetch("/")
        assert (response["status"], response["body"]) == (200, "hello")


OBJECT = "{ fetch: () => new Response('hello') }"
ENTRYPOINT = (
    'import { WorkerEntrypoint } from "cloudflare:workers";\n'
    'export class Shop extends WorkerEntrypoint { fetch() { return new Response("hello"); } }\n'
)
DECLARED_ELSEWHERE: dict[str, dict[str, str]] = {
    "identifier": {"index": f"const shop = {OBJECT};\nexport default shop;"},
    "identifier exported as default": {"index": f"const shop = {OBJECT};\nexport {{ shop as default }};"},
    "identifier exported before it is declared": {"index": f"export {{ shop as default }};\nvar shop = {OBJECT};"},
    "identifier that is set later": {"index": f"let shop;\nexport {{ shop as default }};\nshop = {OBJECT};"},
    "imported identifier": {
        "index": 'import { shop } from "./shop.js";\nexport default shop;',
        "shop": f"export const shop = {OBJECT};",
    },
    "imported and exported as default": {
        "index": 'import shop from "./shop.js";\nexport { shop as default };',
        "shop": f"export default {OBJECT};",
    },
    "default of another module": {"index": 'export { default } from "./shop.js";', "shop": f"export default {OBJECT};"},
    "name of another module": {
        "index": 'export { shop as default } from "./shop.js";',
        "shop": f"export const shop = {OBJECT};",
    },
    "default through two modules": {
        "index": 'export { default } from "./shop.js";',
        "shop": 'export { shop as default } from "./words.js";',
        "words": f"export const shop = {OBJECT};",
    },
    "namespace of another module": {
        "index": 'export * as default from "./shop.js";',
        "shop": 'export function fetch() { return new Response("hello"); }',
    },
    "entrypoint declared before": {"index": f"{ENTRYPOINT}export default Shop;"},
    "entrypoint exported as default": {"index": f"{ENTRYPOINT}export {{ Shop as default }};"},
    "entrypoint of another module": {"index": 'export { Shop as default } from "./shop.js";', "shop": ENTRYPOINT},
    "imported entrypoint": {"index": 'import { Shop } from "./shop.js";\nexport default Shop;', "shop": ENTRYPOINT},
    "entrypoint as bundlers write it": {
        "index": 'import{WorkerEntrypoint as e}from"cloudflare:workers";var t=class extends e{fetch(){return new '
        'Response("hello")}};export{t as default};'
    },
    "entrypoint behind a proxy": {"index": f"{ENTRYPOINT}export default new Proxy(Shop, {{}});"},
}


@pytest.mark.parametrize("files", first(3, DECLARED_ELSEWHERE.values()), ids=DECLARED_ELSEWHERE)
def test_a_default_export_may_be_declared_elsewhere(host: Host, tmp_path: Path, files: dict[str, str]) -> None:
    """The test runs the same modules that would be uploaded."""
    (tmp_path / "shop").mkdir()
    for name, text in files.items():
        (tmp_path / "shop" / f"{name}.js").write_text(text)
    uploaded = {Path(one.name).stem: one.content.decode() for one in application_of("shop", tmp_path).modules}
    assert uploaded == files
    start(host, uploaded.pop("index"), **uploaded)
    response = host.fetch("/")
    assert (response["status"], response["body"]) == (200, "hello")


def test_each_request_gets_its_own_entrypoint(host: Host) -> None:
    start(
        host,
        """
import { WorkerEntrypoint } from "cloudflare:workers";
export default class extends WorkerEntrypoint { asked = 0; fetch() { return new Response(`${(this.asked += 1)}`); } }
""",
    )
    assert [host.fetch("/")["body"] for _ in range(2)] == ["1", "1"]


def test_redirects_streams_and_websockets_pass_through(host: Host) -> None:
    start(
        host,
        """
const streamed = () => new ReadableStream({ async start(sink) {
  for (const part of ["one ", "two"]) { sink.enqueue(new TextEncoder().encode(part)); await Promise.resolve(); }
  sink.close();
} });
export default {
  fetch(request) {
    if (request.headers.get("upgrade") === "websocket") {
      const [client, server] = Object.values(new WebSocketPair());
      server.accept();
      server.addEventListener("message", ({ data }) => server.send(`heard ${data}`));
      return new Response(null, { status: 101, webSocket: client });
    }
    const { pathname } = new URL(request.url);
    return pathname === "/stream" ? new Response(streamed()) : Response.redirect("https://elsewhere.example/x", 307);
  },
};
""",
    )
    moved = host.fetch("/")
    assert (moved["status"], moved["headers"]["location"]) == (307, "https://elsewhere.example/x")
    assert host.fetch("/stream")["body"] == "one two"
    opened = host.fetch("/", headers={"upgrade": "websocket"}, say="hello")
    assert (opened["status"], opened["body"]) == (101, "heard hello")


BROKEN = {
    "throws at import": 'throw new Error("secret");',
    "throws at import of another": 'import "./words.js"; export default { fetch: () => new Response() };',
    "imports a missing module": 'import "./none.js";',
    "exports nothing": "export const a = 1;",
    "exports no handler": "export default 7;",
    "exports null": "export default null;",
    "throws": 'export default { fetch() { throw new Error("secret"); } };',
    "throws a string": 'export default { fetch() { throw "secret"; } };',
    "rejects": 'export default { fetch: async () => { throw new TypeError("secret"); } };',
    "answers with nothing": "export default { fetch() {} };",
    "answers with rubbish": 'export default { fetch: () => ({ status: 200, secret: "secret" }) };',
    "answers with a pretended response": "export default { fetch: () => Object.create(Response.prototype) };",
    "is a class other than an entrypoint": "export default class { fetch() { return new Response('secret'); } }",
    "is an entrypoint without fetch": (
        "import { WorkerEntrypoint } from 'cloudflare:workers'; export default class extends WorkerEntrypoint {}"
    ),
    "is an entrypoint that cannot be made": (
        "import { WorkerEntrypoint } from 'cloudflare:workers';"
        "export default class extends WorkerEntrypoint { secret = null.secret; fetch() {} }"
    ),
    "answers with a body that is being read": (
        "export default { fetch: () => { const r = new Response('secret'); r.body.getReader(); return r; } };"
    ),
    "answers with a body that was read": (
        "export default { async fetch() { const r = new Response('secret'); await r.text(); return r; } };"
    ),
}


@pytest.mark.parametrize("script", first(4, BROKEN.values()), ids=BROKEN)
def test_failed_script_affects_only_its_own_responses(host: Host, script: str) -> None:
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
def test_hung_script_does_not_delay_the_report(host: Host, script: str) -> None:
    with Postgres(WELL).serving() as database:
        start(host, script, database)
        hanging = {"op": "fetch", "path": "/", "method": "GET"}
        asked = {"op": "fetch", "path": "/health", "method": "GET"}
        _, report = host.together(hanging, asked)
        assert well(report)
        assert well(host.fetch("/health"))
