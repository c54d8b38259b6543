"""Providers' responses: sensitive values, values that the cloud fills in, and undeletable types."""

from __future__ import annotations

from sandbox.clouds.cloud import Cloud
from sandbox.values import UNKNOWN, Properties, Secret
from tests.sandbox.clouds.conftest import ACCOUNT_ID, urn

QUEUE = "cloudflare:index/queue:Queue"
TOKEN = "cloudflare:index/accountToken:AccountToken"
VERSION = "cloudflare:index/workerVersion:WorkerVersion"


def test_the_text_of_every_binding_is_sensitive(cloudflare: Cloud) -> None:
    where = urn(VERSION, "one")
    binding: Properties = {"name": "A", "type": "plain_text", "text": "a"}
    given: Properties = {"accountId": ACCOUNT_ID, "workerId": UNKNOWN, "bindings": [binding]}
    checked = cloudflare.check(where, VERSION, None, given, b"")
    assert not checked.failures
    assert checked.inputs["bindings"] == [{**binding, "text": Secret("a")}]
    _, outputs = cloudflare.create(where, VERSION, given, preview=True)
    assert outputs["bindings"] == [{**binding, "text": Secret("a")}]
    assert given["bindings"] == [binding]


def test_a_value_that_the_cloud_fills_in_is_unknown_in_a_preview_and_stable_afterwards(cloudflare: Cloud) -> None:
    where = urn(QUEUE, "one")
    given: Properties = {"accountId": ACCOUNT_ID, "queueName": "one", "settings": {"messageRetentionPeriod": 60}}
    _, planned = cloudflare.create(where, QUEUE, given, preview=True)
    assert planned["settings"] == {"messageRetentionPeriod": 60, "deliveryDelay": UNKNOWN, "deliveryPaused": UNKNOWN}
    id, made = cloudflare.create(where, QUEUE, given, preview=False)
    assert made["settings"] == {"messageRetentionPeriod": 60, "deliveryDelay": 0, "deliveryPaused": False}
    changed: Properties = {**given, "settings": {"messageRetentionPeriod": 90}}
    updated = cloudflare.update(where, QUEUE, id, made, changed, preview=True)
    assert updated["settings"] == {"messageRetentionPeriod": 90, "deliveryDelay": 0, "deliveryPaused": False}


def test_the_status_of_a_token_is_unknown_in_a_preview(cloudflare: Cloud) -> None:
    policy: Properties = {
        "effect": "allow",
        "permissionGroups": [{"id": "a" * 32}],
        "resources": '{"com.cloudflare.x": "*"}',
    }
    given: Properties = {"accountId": ACCOUNT_ID, "name": "one", "policies": [policy]}
    assert cloudflare.create(urn(TOKEN, "one"), TOKEN, given, preview=True)[1]["status"] is UNKNOWN
    assert cloudflare.create(urn(TOKEN, "one"), TOKEN, given, preview=False)[1]["status"] == "active"


def test_undeletable_cloudflare_types(cloudflare: Cloud) -> None:
    kept = {
        "cloudflare:index/zoneSetting:ZoneSetting",
        "cloudflare:index/r2BucketLock:R2BucketLock",
        "cloudflare:index/r2BucketLifecycle:R2BucketLifecycle",
        "cloudflare:index/workersCronTrigger:WorkersCronTrigger",
        "cloudflare:index/zeroTrustTunnelCloudflaredConfig:ZeroTrustTunnelCloudflaredConfig",
    }
    assert all(cloudflare.undeletable(type) for type in kept)
    assert cloudflare.undeletable("cloudflare:index/zone:Zone") is None
