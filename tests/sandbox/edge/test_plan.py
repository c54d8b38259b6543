"""The plan of the edge: what the simulated Cloudflare contains, and when schedules fire."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from sandbox.clouds.store import CloudObject
from sandbox.edge import plan
from sandbox.edge.crons import expand
from sandbox.edge.plan import READ_ITEMS, WRITE_ITEMS, UnsupportedError
from sandbox.edge.urls import configured
from sandbox.machines.inventory import Inventory
from sandbox.values import Properties

ACCOUNT = "0123456789abcdef0123456789abcdef"
EU, DEFAULT = f"{ACCOUNT}_eu_files", f"{ACCOUNT}_default_files"


def thing(type: str, id: str, outputs: Properties) -> CloudObject:
    return CloudObject(type, id, f"urn:pulumi:s::p::{type}::{id}", "", (), {"accountId": ACCOUNT, **outputs})


def planned(*things: CloudObject) -> plan.Json:
    return plan.plan(Inventory(things))


def token(*policies: Any) -> plan.Json:
    listed: Any = [
        {
            "effect": effect,
            "permissionGroups": [{"id": group}],
            "resources": json.dumps({f"com.cloudflare.edge.r2.bucket.{bucket}": "*"}),
        }
        for effect, group, bucket in policies
    ]
    return planned(thing(plan.TOKEN, "t", {"value": "v", "policies": listed}))["tokens"]["t"]


def test_a_bucket_has_its_endpoint_its_locks_and_its_events():
    condition: Properties = {"type": "Age", "maxAgeSeconds": 60}
    lock: Properties = {"id": "1", "enabled": True, "prefix": "a/", "condition": condition}
    off: Properties = {"id": "2", "enabled": False, "prefix": "b/", "condition": condition}
    place: Properties = {"bucketName": "files", "jurisdiction": "eu"}
    document = planned(
        thing(plan.BUCKET, "files", {"name": "files", "jurisdiction": "eu"}),
        thing(plan.BUCKET, "files", {"name": "files", "jurisdiction": "default"}),
        thing(plan.LOCK, "files", {**place, "rules": [lock, off]}),
        thing(
            plan.EVENTS, "q", {**place, "queueName": "events", "rules": [{"actions": ["PutObject"], "prefix": "a/"}]}
        ),
    )
    assert document["buckets"] == [
        {
            "id": EU,
            "account": ACCOUNT,
            "name": "files",
            "host": f"{ACCOUNT}.eu.r2.cloudflarestorage.com",
            "locks": [{"prefix": "a/", "condition": condition}],
            "events": [{"queue": "events", "actions": ["PutObject"], "prefix": "a/", "suffix": ""}],
        },
        {
            "id": DEFAULT,
            "account": ACCOUNT,
            "name": "files",
            "host": f"{ACCOUNT}.r2.cloudflarestorage.com",
            "locks": [],
            "events": [],
        },
    ]


def test_a_token_is_a_key_for_the_buckets_of_its_policies():
    secret = hashlib.sha256(b"v").hexdigest()
    assert token(("allow", WRITE_ITEMS, EU)) == {"secret": secret, "read": [EU], "write": [EU]}
    assert token(("allow", READ_ITEMS, EU)) == {"secret": secret, "read": [EU], "write": []}
    assert token(("allow", READ_ITEMS, EU), ("allow", WRITE_ITEMS, DEFAULT))["read"] == [DEFAULT, EU]
    assert token(("allow", WRITE_ITEMS, EU), ("deny", WRITE_ITEMS, EU))["write"] == []
    assert token(("allow", "of something else", EU)) == {"secret": secret, "read": [], "write": []}


def deployed(*bindings: Any, **more: Any) -> list[CloudObject]:
    fields: Any = {
        "mainModule": "index.js",
        "modules": [{"name": "index.js", "contentType": "application/javascript+module", "contentBase64": "eA=="}],
        "compatibilityDate": "2026-04-24",
        "compatibilityFlags": None,
        "createdOn": "2026-01-01T00:00:00Z",
        "annotations": {"workersTag": "tag"},
        "bindings": list(bindings),
        **more,
    }
    return [
        thing(plan.VERSION, "old", {**fields, "modules": []}),
        thing(plan.VERSION, "new", fields),
        thing(
            plan.DEPLOYMENT,
            "d",
            {
                "scriptName": "api",
                "versions": [{"versionId": "old", "percentage": 10}, {"versionId": "new", "percentage": 90}],
            },
        ),
        thing(plan.DOMAIN, "1", {"hostname": "api.example", "service": "api"}),
        thing(plan.DOMAIN, "2", {"hostname": "other.example", "service": "other"}),
        thing(plan.ROUTE, "3", {"pattern": "example/api/*", "script": "api"}),
    ]


def test_a_worker_runs_in_the_version_with_most_requests_and_has_its_bindings():
    things = deployed(
        {"name": "TEXT", "type": "plain_text", "text": "t"},
        {"name": "SECRET", "type": "secret_text", "text": "s"},
        {"name": "LIST", "type": "json", "json": "[1]"},
        {"name": "VERSION", "type": "version_metadata"},
        {"name": "DB", "type": "d1", "id": "database"},
        {"name": "FILES", "type": "r2_bucket", "bucketName": "files", "jurisdiction": "eu"},
        {"name": "OTHER", "type": "service", "service": "other"},
        {"name": "LIMIT", "type": "ratelimit", "namespaceId": "1", "simple": {"limit": 5, "period": 60}},
        {"name": "EMAIL", "type": "send_email", "allowedSenderAddresses": ["a@b.example"]},
        {"name": "HYPERDRIVE", "type": "hyperdrive", "id": "h"},
    )
    (worker,) = planned(*things, thing(plan.DATABASE, "database", {}))["workers"]
    assert worker["routes"] == ["api.example/*", "example/api/*"]
    assert worker["modules"] == [{"name": "index.js", "type": "application/javascript+module", "content": "eA=="}]
    assert {one.pop("name"): one for one in worker["bindings"]} == {
        "TEXT": {"kind": "value", "value": "t"},
        "SECRET": {"kind": "value", "value": "s"},
        "LIST": {"kind": "value", "value": [1]},
        "VERSION": {"kind": "value", "value": {"id": "new", "tag": "tag", "timestamp": "2026-01-01T00:00:00Z"}},
        "DB": {"kind": "d1", "id": "database"},
        "FILES": {"kind": "r2", "id": EU},
        "OTHER": {"kind": "service", "service": "other"},
        "LIMIT": {"kind": "ratelimit", "simple": {"limit": 5, "period": 60}},
        "EMAIL": {"kind": "email", "senders": ["a@b.example"]},
        "HYPERDRIVE": {"kind": "hyperdrive", "id": "h"},
    }


def test_a_deleted_database_is_no_longer_bound():
    bindings = [{"name": "DB", "type": "d1", "id": one} for one in ("deleted", "kept")]
    (worker,) = planned(*deployed(*bindings), thing(plan.DATABASE, "kept", {}))["workers"]
    assert worker["bindings"] == [{"name": "DB", "kind": "d1", "id": "kept"}]


def test_an_unsupported_binding_is_named_with_its_worker():
    with pytest.raises(UnsupportedError, match="api has the binding CACHE of type kv_namespace, which"):
        planned(*deployed({"name": "CACHE", "type": "kv_namespace", "namespaceId": "1"}))


def test_a_tunnel_has_its_token_and_its_services():
    rules: Any = [{"hostname": "db.example", "service": "tcp://localhost:5432"}, {"service": "http_status:404"}]
    document = planned(
        thing(plan.TUNNEL, "t", {"tunnelSecret": "s"}),
        thing(plan.TUNNEL_CONFIG, "t", {"tunnelId": "t", "config": {"ingresses": rules}}),
    )
    services = {"db.example": "tcp://localhost:5432"}
    assert document["tunnels"] == [{"id": "t", "token": {"a": ACCOUNT, "t": "t", "s": "s"}, "services": services}]


@pytest.mark.parametrize(
    ("cron", "field", "expected"),
    [
        ("*/20 * * * *", "minutes", [0, 20, 40]),
        ("5 * * * *", "minutes", [5]),
        ("5/20 * * * *", "minutes", [5, 25, 45]),
        ("1,3-5 * * * *", "minutes", [1, 3, 4, 5]),
        ("0 2 * * *", "hours", [2]),
        ("0 2 * * *", "days", None),
        ("0 2 1,15 * *", "days", [1, 15]),
        ("0 2 * jan-mar/2 *", "months", [1, 3]),
        ("0 2 * * sun", "weekdays", [0]),
        ("0 2 * * MON-FRI", "weekdays", [1, 2, 3, 4, 5]),
        ("0 2 * * 7", "weekdays", [6]),
        ("0 2 ? * 1", "days", None),
    ],
)
def test_a_schedule_is_expanded(cron: str, field: str, expected: list[int] | None):
    assert expand(cron)[field] == expected


def test_an_unsupported_schedule_is_named_with_its_worker():
    schedules: Any = [{"cron": "0 2 L * *"}]
    with pytest.raises(UnsupportedError, match=r"api has the schedule '0 2 L \* \*'"):
        planned(thing(plan.CRON, "c", {"scriptName": "api", "schedules": schedules}))


def test_each_host_name_has_a_socket_of_its_own():
    text = configured({"api.example": 3, "status.example": 4})
    assert "bind fd@3\n    http-request set-header host api.example" in text
    assert "bind fd@4\n    http-request set-header host status.example" in text
