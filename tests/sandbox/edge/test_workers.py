"""Cloudflare Workers on the edge: bindings, queues, routes, outgoing requests, and what survives a change or a kill."""

from __future__ import annotations

import base64
import http.client
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.edge import plan
from tests.sandbox.edge.edges import BUCKET, ID, Edge, bucket, empty

QUEUE, DEAD = "events", "dead-letters"

# Answers what its bindings say, and records the messages that it gets.
WORKER = """
import { EmailMessage } from "cloudflare:email";
import note from "../lib/note.txt";

const ask = {
  text: (env) => [env.TEXT, env.DOCUMENT, note],
  async rows(env) {
    const { results } = await env.DB.prepare("SELECT body FROM seen ORDER BY rowid").all();
    return results.map(({ body }) => JSON.parse(body));
  },
  async write(env, { key, body }) {
    const object = await env.FILES.put(key, body, { customMetadata: { by: "worker" } });
    return [object.key, object.size, object.checksums.toJSON().md5];
  },
  async read(env, { key }) {
    const object = await env.FILES.get(key);
    return object === null ? null : [await object.text(), object.customMetadata];
  },
  async part(env, { key, offset, length }) {
    return (await env.FILES.get(key, { range: { offset, length } })).text();
  },
  async wrong(env, { key }) {
    return env.FILES.put(key, "content", { sha256: "00".repeat(32) }).catch(({ message }) => message);
  },
  async locked(env, { key }) {
    return env.FILES.delete([key]).catch(({ message }) => message);
  },
  async twice(env, { key }) {
    return [await env.FILES.put(key, "1", { onlyIf: { etagDoesNotMatch: "*" } }), await env.FILES.head("nothing")];
  },
  async list(env, options) {
    const { objects, truncated, cursor, delimitedPrefixes } = await env.FILES.list(options);
    return [objects.map(({ key, customMetadata }) => [key, customMetadata]), truncated, delimitedPrefixes, cursor];
  },
  async parts(env, { key }) {
    const upload = await env.FILES.createMultipartUpload(key);
    const first = await upload.uploadPart(1, new Uint8Array(5 * 1024 ** 2));
    return (await upload.complete([first, await upload.uploadPart(2, "end")])).size;
  },
  async mail(env) {
    const headers = ["Message-ID: <1@sender.example>", "From: <a@sender.example>", "To: <b@reader.example>"];
    const raw = [...headers, "", "Hello"].join("\\r\\n");
    await env.EMAIL.send(new EmailMessage("a@sender.example", "b@reader.example", raw));
    return null;
  },
  other: async (env) => (await env.OTHER.fetch("https://other/")).text(),
};

export default {
  async fetch(request, env) {
    const call = await request.json();
    return Response.json(await ask[call.ask](env, call));
  },
  async queue(batch, env) {
    await env.DB.exec("CREATE TABLE IF NOT EXISTS seen (body TEXT)");
    for (const message of batch.messages) {
      const { body, attempts } = message;
      const seen = JSON.stringify([batch.queue, body.action, body.object, attempts]);
      await env.DB.prepare("INSERT INTO seen VALUES (?)").bind(seen).run();
      if (body.object.key.startsWith("fail") && batch.queue === "events") message.retry({ delaySeconds: 0 });
    }
  },
};
"""
OTHER = "export default { fetch: () => new Response('from the other Worker') };"


def module(name: str, text: str) -> plan.Json:
    kind = "application/javascript+module" if name.endswith(".js") else "text/plain"
    return {"name": name, "type": kind, "content": base64.b64encode(text.encode()).decode()}


def worker(
    name: str, main: plan.Json, *others: plan.Json, routes: tuple[str, ...] = (), **bindings: plan.Json
) -> plan.Json:
    return {
        "name": name,
        "main": main["name"],
        "modules": [*others, main],
        "compatibilityDate": "2026-04-24",
        "compatibilityFlags": [],
        "routes": list(routes),
        "bindings": [{"name": each, **value} for each, value in bindings.items()],
    }


def document() -> plan.Json:
    consumer = {
        "batchSize": 10,
        "waitMilliseconds": 50,
        "retries": 2,
        "retrySeconds": 0,
        "concurrency": 2,
        "script": "main",
    }
    rule = {"queue": QUEUE, "actions": ["PutObject", "CompleteMultipartUpload"], "prefix": "", "suffix": ""}
    lock = {"prefix": "locked/", "condition": {"type": "Indefinite"}}
    return empty(
        buckets=[bucket(events=[rule], locks=[lock])],
        queues=[{"name": QUEUE, "seconds": 3_600}, {"name": DEAD, "seconds": 3_600}],
        consumers=[{**consumer, "queue": QUEUE, "deadLetters": DEAD}, {**consumer, "queue": DEAD, "deadLetters": None}],
        workers=[
            worker(
                "main",
                module("main/index.js", WORKER),
                module("lib/note.txt", "a note"),
                routes=("main.example/*",),
                TEXT={"kind": "value", "value": "text"},
                DOCUMENT={"kind": "value", "value": {"a": [1]}},
                DB={"kind": "d1", "id": "database"},
                FILES={"kind": "r2", "id": ID},
                OTHER={"kind": "service", "service": "other"},
                EMAIL={"kind": "email", "senders": ["a@sender.example"]},
            ),
            worker("other", module("index.js", OTHER), routes=("other.example/api/*",)),
        ],
    )


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with Edge(tmp_path_factory.mktemp("edge"), document()) as made:
        yield made


def request(edge: Edge, host: str, method: str = "GET", path: str = "/", body: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", edge.workers_port, timeout=30)
    connection.request(method, path, body=body, headers={"host": host})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def ask(edge: Edge, what: str, **parameters: Any) -> Any:
    status, text = request(edge, "main.example", "POST", body=json.dumps({"ask": what, **parameters}))
    assert status == 200, text + edge.log()
    return json.loads(text)


def seen(edge: Edge, *keys: str) -> list[Any]:
    """Return the messages about keys, once there are as many of the last key as expected."""
    try:
        return [one for one in ask(edge, "rows") if one[2]["key"] in keys]
    except AssertionError:
        return []  # the table is not there yet


def test_plain_bindings_modules_and_services_are_there(edge: Edge):
    assert ask(edge, "text") == ["text", {"a": [1]}, "a note"]
    assert ask(edge, "other") == "from the other Worker"


def test_routes_lead_to_workers_and_other_hosts_have_no_stand_in(edge: Edge):
    assert request(edge, "other.example", path="/api/x") == (200, "from the other Worker")
    assert request(edge, "other.example", path="/else")[0] == 502
    assert request(edge, "nobody.example") == (502, "the sandbox has no stand-in for nobody.example\n")


def test_a_webhook_to_an_unknown_host_is_recorded(edge: Edge):
    assert request(edge, "hooks.example", "POST", "/alarm?x=1", '{"a": 1}')[0] == 204
    (file,) = (edge.folder / "webhooks").iterdir()
    received = json.loads(file.read_text())
    assert (received["url"], received["body"]) == ("https://hooks.example/alarm?x=1", '{"a": 1}')


def test_an_email_lands_in_the_mailbox(edge: Edge):
    ask(edge, "mail")
    (file,) = edge.wait_for(lambda: list((edge.folder / "mail").iterdir()))
    assert "To: <b@reader.example>" in file.read_text()


def test_workers_and_machines_share_the_buckets(edge: Edge):
    assert ask(edge, "write", key="w/1", body="hello") == ["w/1", 5, "5d41402abc4b2a76b9719d911017c592"]
    got = edge.client().get_object(Bucket=BUCKET, Key="w/1")
    assert (got["Body"].read(), got["Metadata"]) == (b"hello", {"by": "worker"})
    edge.client().put_object(Bucket=BUCKET, Key="w/2", Body=b"0123456789", Metadata={"by": "machine"})
    assert ask(edge, "read", key="w/2") == ["0123456789", {"by": "machine"}]
    assert ask(edge, "part", key="w/2", offset=2, length=3) == "234"
    assert ask(edge, "read", key="w/3") is None
    assert ask(edge, "wrong", key="w/3").endswith("(10037)")
    assert ask(edge, "twice", key="w/1") == [None, None]
    assert ask(edge, "parts", key="w/4") == 5 * 1_024**2 + 3
    assert ask(edge, "list", prefix="w/", limit=2, include=["customMetadata"])[:3] == [
        [["w/1", {"by": "worker"}], ["w/2", {"by": "machine"}]],
        True,
        [],
    ]
    assert ask(edge, "list", delimiter="/", prefix="w")[2] == ["w/"]


def test_a_lock_also_applies_to_workers(edge: Edge):
    ask(edge, "write", key="locked/1", body="1")
    assert ask(edge, "locked", key="locked/1").endswith("(10069)")
    assert ask(edge, "read", key="locked/1")[0] == "1"


def test_each_new_object_causes_an_event(edge: Edge):
    edge.client().put_object(Bucket=BUCKET, Key="e/machine", Body=b"123")
    ask(edge, "write", key="e/worker", body="12345")
    found = edge.wait_for(lambda: len(rows := seen(edge, "e/machine", "e/worker")) == 2 and rows)
    assert {(queue, action, one["key"], one["size"], attempts) for queue, action, one, attempts in found} == {
        (QUEUE, "PutObject", "e/machine", 3, 1),
        (QUEUE, "PutObject", "e/worker", 5, 1),
    }


def test_a_message_that_fails_goes_to_the_dead_letters(edge: Edge):
    edge.client().put_object(Bucket=BUCKET, Key="fail", Body=b"")
    found = edge.wait_for(lambda: len(rows := seen(edge, "fail")) == 4 and rows)
    assert [(queue, attempts) for queue, _, _, attempts in found] == [(QUEUE, 1), (QUEUE, 2), (QUEUE, 3), (DEAD, 1)]


def test_a_new_version_and_a_kill_lose_neither_rows_nor_messages(tmp_path: Path):
    with Edge(tmp_path / "edge", document()) as edge:
        ask(edge, "write", key="k/1", body="1")
        edge.wait_for(lambda: seen(edge, "k/1"))
        consumers, edge.document["consumers"] = edge.document["consumers"], []
        edge.document["workers"][1] = worker(
            "other", module("index.js", OTHER.replace("the other", "a new")), routes=("other.example/*",)
        )
        edge.settle()
        assert request(edge, "other.example") == (200, "from a new Worker")
        ask(edge, "write", key="k/2", body="2")  # nothing consumes its event
        edge.kill()
        edge.document["consumers"] = consumers
        edge.begin()
        found = edge.wait_for(lambda: len(rows := seen(edge, "k/1", "k/2")) == 2 and rows)
        assert [one["key"] for _, _, one, _ in found] == ["k/1", "k/2"]
        edge.wait_for(lambda: messages(edge) == 0)


def messages(edge: Edge) -> int:
    with sqlite3.connect(f"file:{edge.folder}/edge.sqlite?mode=ro", uri=True) as database:
        return database.execute("SELECT COUNT(*) FROM messages").fetchone()[0]
