"""What stands at the edge and in the vault after an `up`, and who is told when something is wrong."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from components.settings import Tier
from components.status_page import digests
from components.worker_modules import WORKERS
from tests.components.project import Deployed
from tests.components.stacks import topology_of

WORKER_NAMES = {"api", "status", "backups-replicate", "backups-verify", "backups-age-out", "backups-watch"}


def test_every_worker_is_deployed_whole_and_has_no_second_address(prod: Deployed):
    assert set(prod.of("Worker")) == set(prod.of("WorkerVersion")) == set(prod.of("WorkersDeployment")) == WORKER_NAMES
    for name, worker in prod.inputs("Worker").items():
        assert worker["subdomain"] == {"enabled": False, "previewsEnabled": False}, name
        assert worker["observability"]["enabled"]
        version = prod.of("WorkerVersion")[name]["id"]
        assert prod.inputs("WorkersDeployment")[name]["versions"] == [{"versionId": version, "percentage": 100}]


def test_what_is_uploaded_is_what_lies_in_the_folder(prod: Deployed):
    for version in prod.inputs("WorkerVersion").values():
        modules = {one["name"]: base64.b64decode(one["contentBase64"]) for one in version["modules"]}
        assert version["mainModule"] in modules
        assert modules == {name: (WORKERS / name).read_bytes() for name in modules}


def test_workers_run_when_the_schedules_say(prod: Deployed):
    schedules = topology_of("prod").schedules
    crons = {name: [one["cron"] for one in it["schedules"]] for name, it in prod.inputs("WorkersCronTrigger").items()}
    assert crons == {
        "status": ["* * * * *"],
        "backups-verify": [schedules.verify],
        "backups-age-out": [schedules.age_out],
        "backups-watch": [schedules.watch],
    }


def test_bindings_name_what_was_made(prod: Deployed):
    bound = {
        name: {binding["name"]: binding for binding in version["bindings"]}
        for name, version in prod.inputs("WorkerVersion").items()
    }
    assert bound["api"]["HYPERDRIVE"]["id"] == prod.of("HyperdriveConfig")["database"]["id"]
    assert bound["api"]["ENVIRONMENT"]["text"] == Tier.PRODUCTION
    assert bound["status"]["DB"]["id"] == prod.of("D1Database")["status"]["id"]
    assert bound["status"]["HEALTH_URL"]["text"] == "https://api.backbuild.ai/health"
    jurisdictions = {one["name"]: one["jurisdiction"] for one in prod.inputs("R2Bucket").values()}
    buckets = [one for bindings in bound.values() for one in bindings.values() if one["type"] == "r2_bucket"]
    assert len(buckets) == 9  # two for each backup Worker, one for the API
    assert all(jurisdictions[one["bucketName"]] == one["jurisdiction"] for one in buckets)
    secrets = {name for name, one in bound["backups-replicate"].items() if one["type"] == "secret_text"}
    assert secrets == {"OFFSITE_ACCESS_KEY_ID", "OFFSITE_SECRET_ACCESS_KEY"}
    assert all("ciphertext" in bound["backups-replicate"][name]["text"] for name in secrets)


def test_the_status_page_knows_its_promise_and_can_reach_people(prod: Deployed):
    bound = {binding["name"]: binding for binding in prod.inputs("WorkerVersion")["status"]["bindings"]}
    assert json.loads(bound["SLA"]["json"]) == {
        "target": 99_900,
        "credits": [{"below": 99_900, "credit": 10}, {"below": 99_000, "credit": 25}, {"below": 95_000, "credit": 50}],
    }
    assert json.loads(bound["NOTICE_HOURS"]["json"]) == 72
    assert bound["STATUS_URL"]["text"] == "https://backbuild-status.net"
    sending = prod.inputs("EmailSendingSubdomain")["status"]
    assert sending["zoneId"] == prod.of("Zone")["status-zone"]["id"]
    assert bound["EMAIL"]["allowedSenderAddresses"] == [bound["SENDER"]["text"]] == [f"status@{sending['name']}"]
    assert bound["ADMIN_LIMIT"]["simple"] == {"limit": 60, "period": 60}


def test_operators_tokens_reach_the_worker_as_digests_only():
    tokens = {"ada": "token-one", "bob": "token-two"}
    known = json.loads(digests(tokens))
    assert known == {name: hashlib.sha256(token.encode()).hexdigest() for name, token in tokens.items()}


def test_secrets_of_the_status_page_are_secrets(prod: Deployed):
    bound = {binding["name"]: binding for binding in prod.inputs("WorkerVersion")["status"]["bindings"]}
    for name in ("OPERATORS", "WEBHOOK_KEY"):
        assert bound[name]["type"] == "secret_text"
        assert "ciphertext" in bound[name]["text"]


@pytest.mark.parametrize("zone", ["zone", "status-zone"])
def test_zones_cannot_be_forged_or_read(prod: Deployed, zone: str):
    zone_id = prod.of("Zone")[zone]["id"]
    settings = {
        one["settingId"]: one["value"] for one in prod.inputs("ZoneSetting").values() if one["zoneId"] == zone_id
    }
    assert (settings["ssl"], settings["min_tls_version"], settings["tls_1_3"]) == ("strict", "1.2", "on")
    assert settings["always_use_https"] == "on"
    hsts = settings["security_header"]["strict_transport_security"]
    assert hsts["enabled"]
    assert hsts["max_age"] >= 365 * 24 * 3600
    assert prod.inputs("ZoneDnssec")[zone]["status"] == "active"
    domain = prod.inputs("Zone")[zone]["name"]
    assert prod.inputs("CertificatePack")[zone]["hosts"] == [domain, f"*.{domain}"]
    records = [one for one in prod.inputs("DnsRecord").values() if one["zoneId"] == zone_id]
    caa = {(one["data"]["tag"], one["data"]["value"]) for one in records if one["type"] == "CAA"}
    assert {tag for tag, _ in caa} == {"issue", "issuewild", "iodef"}
    assert ("iodef", "mailto:security@backbuild.ai") in caa
    assert all(one["ttl"] == 1 for one in records if one.get("proxied"))


def test_the_database_is_reached_through_the_tunnel_with_a_token_only(prod: Deployed):
    (tunnel,) = prod.of("ZeroTrustTunnelCloudflared").values()
    assert prod.inputs("DnsRecord")["database"]["content"] == f"{tunnel['id']}.cfargotunnel.com"
    (guard,) = prod.inputs("ZeroTrustAccessApplication").values()
    (rule,) = prod.of("ZeroTrustAccessPolicy").values()
    assert (guard["domain"], [one["id"] for one in guard["policies"]]) == ("database.backbuild.ai", [rule["id"]])
    (token,) = prod.of("ZeroTrustAccessServiceToken").values()
    assert rule["inputs"]["decision"] == "non_identity"
    assert rule["inputs"]["includes"] == [{"serviceToken": {"tokenId": token["id"]}}]
    origin = prod.inputs("HyperdriveConfig")["database"]["origin"]
    assert origin["host"] == guard["domain"]
    assert origin["accessClientId"] == token["outputs"]["clientId"]
    assert "port" not in origin
    assert prod.inputs("HyperdriveConfig")["database"]["caching"] == {"disabled": True}


def test_three_copies_lie_apart_under_the_same_rotation(prod: Deployed):
    buckets = prod.inputs("R2Bucket")
    assert {name: one["jurisdiction"] for name, one in buckets.items()} == {
        "vault-primary": "eu",
        "vault-replica": "us",
    }
    retention = topology_of("prod").retention
    locked, expiring = (
        {prefix for one in retention for prefix in getattr(one, what)} for what in ("locked", "expiring")
    )
    for name, bucket in buckets.items():
        lock, lifecycle = prod.inputs("R2BucketLock")[name], prod.inputs("R2BucketLifecycle")[name]
        assert {lock["bucketName"], lifecycle["bucketName"]} == {bucket["name"]}
        assert {lock["jurisdiction"], lifecycle["jurisdiction"]} == {bucket["jurisdiction"]}
        assert {rule["prefix"] for rule in lock["rules"]} == locked
        assert {rule["conditions"]["prefix"] for rule in lifecycle["rules"]} == expiring
    (offsite,) = prod.inputs("BucketLifecycleConfiguration").values()
    assert {rule["filter"]["prefix"]: rule["expiration"]["days"] for rule in offsite["rules"]} == {
        prefix: one.expire_days for one in retention for prefix in one.expiring
    }


def test_the_off_site_copy_is_closed_and_cannot_be_taken_back(prod: Deployed, staging: Deployed):
    (bucket,) = prod.of("Bucket").values()
    assert bucket["inputs"]["objectLockEnabled"]
    (block,) = prod.inputs("BucketPublicAccessBlock").values()
    assert all(block[key] for key in block if key.startswith(("block", "ignore", "restrict")))
    (policy,) = prod.inputs("BucketPolicy").values()
    (statement,) = json.loads(policy["policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    (encryption,) = prod.inputs("BucketServerSideEncryptionConfiguration").values()
    default = encryption["rules"][0]["applyServerSideEncryptionByDefault"]
    assert default["kmsMasterKeyId"] == prod.of("Key")["vault-offsite"]["outputs"]["arn"]
    (versioning,) = prod.inputs("BucketVersioning").values()
    assert versioning["versioningConfiguration"]["status"] == "Enabled"
    for stack, mode in ((prod, "COMPLIANCE"), (staging, "GOVERNANCE")):
        (lock,) = stack.inputs("BucketObjectLockConfiguration").values()
        assert lock["rule"]["defaultRetention"] == {"mode": mode, "days": 8}


def test_every_new_object_is_heard_of_and_no_message_is_lost(prod: Deployed):
    (notification,) = prod.inputs("R2BucketEventNotification").values()
    queues = {name: one["outputs"] for name, one in prod.of("Queue").items()}
    assert notification["queueId"] == queues["vault-events"]["queueId"]
    assert notification["bucketName"] == "backbuild-prod-backups"
    assert {"PutObject", "CompleteMultipartUpload", "CopyObject"} == set(notification["rules"][0]["actions"])
    (consumer,) = prod.inputs("QueueConsumer").values()
    assert consumer["queueId"] == queues["vault-events"]["queueId"]
    assert consumer["deadLetterQueue"] == queues["vault-dead-letters"]["queueName"]
    assert consumer["scriptName"] == prod.inputs("Worker")["backups-replicate"]["name"]


def test_machines_may_write_to_the_primary_bucket_and_to_nothing_else(prod: Deployed):
    (token,) = prod.inputs("AccountToken").values()
    (allowed,) = token["policies"]
    assert list(json.loads(allowed["resources"])) == [
        "com.cloudflare.edge.r2.bucket.0123456789abcdef0123456789abcdef_eu_backbuild-prod-backups"
    ]


def test_everybody_is_told_through_two_channels(prod: Deployed):
    alarms = topology_of("prod").settings.alarms
    told = {(one["protocol"], one["endpoint"]) for one in prod.inputs("TopicSubscription").values()}
    assert told == {("email", one) for one in alarms.emails} | {("https", one) for one in alarms.webhooks}
    hooks = {one["id"] for one in prod.of("NotificationPolicyWebhooks").values()}
    policies = prod.inputs("NotificationPolicy").values()
    assert {one["alertType"] for one in policies} == {"health_check_status_notification", "tunnel_health_event"}
    for policy in policies:
        assert [one["id"] for one in policy["mechanisms"]["emails"]] == list(alarms.emails)
        assert {one["id"] for one in policy["mechanisms"]["webhooks"]} == hooks


def test_every_member_is_watched(prod: Deployed):
    topology, alarms = topology_of("prod"), prod.inputs("MetricAlarm")
    topic = prod.of("Topic")["alarms"]["outputs"]["arn"]
    expected = {
        f"alarms-{member.name}-{metric}"
        for group in topology.groups
        for member in group.members
        for metric, watched in (
            ("Healthy", True),
            ("DataDiskUsedPercent", member.volume_gib is not None),
            ("ReplicationLagBytes", group.citus_group is not None),
        )
        if watched
    } | {f"alarms-{group.name}-backup" for group in topology.database_groups}
    assert set(alarms) == expected
    assert all(one["alarmActions"] == one["okActions"] == [topic] for one in alarms.values())
    assert {one["threshold"] for name, one in alarms.items() if name.endswith("DataDiskUsedPercent")} == {80}
    (rule,) = prod.inputs("EventRule").values()
    assert json.loads(rule["eventPattern"])["detail"] == {"status": ["Failed"]}
    assert prod.inputs("EventTarget")["alarms-gate"]["arn"] == topic


def test_maintenance_goes_one_machine_at_a_time_and_stops_at_the_first_failure(prod: Deployed):
    (task,) = prod.inputs("MaintenanceWindowTask").values()
    assert (task["maxConcurrency"], task["maxErrors"]) == ("1", "0")
    (window,) = prod.inputs("MaintenanceWindow").values()
    assert window["schedule"] == "cron(0 3 ? * SUN *)"
    assert window["cutoff"] < window["duration"] == 4
    (target,) = prod.inputs("MaintenanceWindowTarget").values()
    assert target["targets"] == [{"key": "tag:Platform", "values": ["backbuild-prod"]}]
    assert {one["tags"]["Platform"] for one in prod.inputs("Instance").values()} == {"backbuild-prod"}
