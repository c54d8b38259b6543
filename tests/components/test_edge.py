"""The resources at Cloudflare, in the vault and for alarms after an `up`."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from components.status_page import digests, signing_generations
from harness.stacks import ROOT, topology_of
from model.drill_reports import reports_in, restore_shown
from model.settings import Tier, WebhookKey
from model.worker_modules import WORKERS
from tests.components.project import Deployed, short

BACKUP_WORKERS = {f"backups-{purpose}" for purpose in ("replicate", "verify", "age-out", "watch", "report")}
OFFSITE_KEYS = {"COPY_OFFSITE_ACCESS_KEY_ID", "COPY_OFFSITE_SECRET_ACCESS_KEY"}
WORKER_NAMES = {"api", "status", *BACKUP_WORKERS}


def test_every_worker_serves_its_newest_version_and_has_no_workers_dev_address(prod: Deployed):
    assert set(prod.of("Worker")) == set(prod.of("WorkerVersion")) == set(prod.of("WorkersDeployment")) == WORKER_NAMES
    for name, worker in prod.inputs("Worker").items():
        assert worker["subdomain"] == {"enabled": False, "previewsEnabled": False}, name
        assert worker["observability"]["enabled"]
        version = prod.of("WorkerVersion")[name]["id"]
        assert prod.inputs("WorkersDeployment")[name]["versions"] == [{"versionId": version, "percentage": 100}]


def test_uploaded_modules_equal_their_files(prod: Deployed):
    for version in prod.inputs("WorkerVersion").values():
        modules = {one["name"]: base64.b64decode(one["contentBase64"]) for one in version["modules"]}
        assert version["mainModule"] in modules
        assert modules == {name: (WORKERS / name).read_bytes() for name in modules}


def test_workers_have_the_schedules_of_the_topology(prod: Deployed):
    schedules = topology_of("prod").schedules
    crons = {name: [one["cron"] for one in it["schedules"]] for name, it in prod.inputs("WorkersCronTrigger").items()}
    assert crons == {
        "status": ["* * * * *"],
        "backups-replicate": [schedules.reconcile],
        "backups-verify": [schedules.verify],
        "backups-age-out": [schedules.age_out],
        "backups-watch": [schedules.watch],
    }


def test_bindings_are_sorted_like_the_apis_response(prod: Deployed):
    for name in WORKER_NAMES:
        assert list(prod.bindings(name)) == sorted(prod.bindings(name)), name


def test_bindings_refer_to_declared_resources(prod: Deployed):
    bound = {name: prod.bindings(name) for name in WORKER_NAMES}
    assert bound["api"]["HYPERDRIVE"]["id"] == prod.of("HyperdriveConfig")["database"]["id"]
    assert bound["api"]["ENVIRONMENT"]["text"] == Tier.PRODUCTION
    assert bound["status"]["DB"]["id"] == prod.of("D1Database")["status"]["id"]
    assert bound["status"]["HEALTH_URL"]["text"] == "https://api.backbuild.ai/health"
    jurisdictions = {one["name"]: one["jurisdiction"] for one in prod.inputs("R2Bucket").values()}
    buckets = [one for bindings in bound.values() for one in bindings.values() if one["type"] == "r2_bucket"]
    assert len(buckets) == 9  # two for each backup Worker but the report, one for the API
    assert all(jurisdictions[one["bucketName"]] == one["jurisdiction"] for one in buckets)


STORES = {"COPY_PRIMARY", "COPY_REPLICA", *OFFSITE_KEYS}
CATALOGUE = {"DB", "GROUPS", "ROTATION", "COPIES"}
BOUND = {
    "backups-replicate": {*STORES, *CATALOGUE, "MANIFEST_KEYS"},
    "backups-verify": {*STORES, *CATALOGUE, "MANIFEST_KEYS"},
    "backups-age-out": {*STORES, *CATALOGUE},
    "backups-watch": {
        *STORES,
        *CATALOGUE,
        "EMAIL",
        "SENDER",
        "ALARM_EMAILS",
        "ALARM_WEBHOOKS",
        "ALARM_SECRET",
        "PLATFORM",
        "REPORT_URL",
    },
    "backups-report": {*CATALOGUE, "TOKEN_SHA256"},
}


@pytest.mark.parametrize("worker", sorted(BACKUP_WORKERS))
def test_each_backup_worker_has_only_the_bindings_that_it_needs(prod: Deployed, worker: str):
    bound = prod.bindings(worker)
    assert set(bound) == BOUND[worker]
    assert bound["DB"]["id"] == prod.of("D1Database")["backups"]["id"]
    assert json.loads(bound["GROUPS"]["json"]) == ["coordinator", "worker-1", "worker-2"]
    # Computed by hand from Pulumi.prod.yaml: 7 days plus one, 13 months of 31 days, 7 years of 366 days.
    assert json.loads(bound["ROTATION"]["json"]) == {
        "pointInTimeDays": 7,
        "minimumFulls": 3,
        "keepDays": {"hourly": 8, "daily": 35, "monthly": 403, "yearly": 2562},
    }
    secrets = {name for name, one in bound.items() if one["type"] == "secret_text"}
    assert secrets == BOUND[worker] & {*OFFSITE_KEYS, "ALARM_WEBHOOKS", "ALARM_SECRET", "TOKEN_SHA256"}
    if secrets:
        assert "ciphertext" in prod.inputs("WorkerVersion")[worker]["bindings"]
    if "MANIFEST_KEYS" in bound:
        assert json.loads(bound["MANIFEST_KEYS"]["json"]) == prod.printed["outputs"]["manifestPublicKeys"]
    if "COPIES" in bound:
        offsite = {"bucket": "backbuild-prod-backups-offsite", "region": "eu-north-1", "lockMode": "COMPLIANCE"}
        assert json.loads(bound["COPIES"]["json"]) == [
            {"name": "primary", "kind": "r2"},
            {"name": "replica", "kind": "r2"},
            {"name": "offsite", "kind": "s3", **offsite},
        ]


def test_workers_that_hash_have_the_maximum_cpu_limit(prod: Deployed):
    limits = {
        name: version["limits"]["cpuMs"]
        for name, version in prod.inputs("WorkerVersion").items()
        if "limits" in version
    }
    assert limits == {"backups-replicate": 300_000, "backups-verify": 300_000}


def test_watch_has_the_recipients_of_the_other_alarms(prod: Deployed):
    bound, alarms = prod.bindings("backups-watch"), topology_of("prod").settings.alarms
    assert json.loads(bound["ALARM_EMAILS"]["json"]) == list(alarms.emails)
    assert json.loads(bound["ALARM_WEBHOOKS"]["text"]) == list(alarms.webhooks)
    sending = prod.inputs("EmailSendingSubdomain")["status"]["name"]
    assert bound["EMAIL"]["allowedSenderAddresses"] == [bound["SENDER"]["text"]] == [f"backups@{sending}"]
    assert bound["REPORT_URL"]["text"] == prod.printed["outputs"]["backupsUrl"] == "https://backups.backbuild.ai"
    assert bound["PLATFORM"]["text"] == "backbuild-prod"


def test_watch_depends_on_its_sender_domain(prod: Deployed):
    dependencies = {short(urn) for urn in prod.of("WorkerVersion")["backups-watch"]["dependencies"]}
    assert "EmailSendingSubdomain::status" in dependencies


def test_the_report_is_reachable_with_its_token_and_from_the_api(prod: Deployed):
    domain = prod.inputs("WorkersCustomDomain")["backups-report"]
    script = prod.inputs("Worker")["backups-report"]["name"]
    assert (domain["hostname"], domain["service"]) == ("backups.backbuild.ai", script)
    assert domain["zoneId"] == prod.of("Zone")["zone"]["id"]
    assert prod.bindings("api")["BACKUP_REPORT"] == {"name": "BACKUP_REPORT", "type": "service", "service": script}
    resources = prod.revealed["deployment"]["resources"]
    (token,) = (
        json.loads(one["outputs"]["result"]["plaintext"])
        for one in resources
        if short(one["urn"]) == "RandomPassword::backups-report-token"
    )
    assert prod.bindings("backups-report")["TOKEN_SHA256"]["text"] == hashlib.sha256(token.encode()).hexdigest()
    assert len(token) == 40


def test_the_status_page_has_its_sla_and_its_sender_address(prod: Deployed):
    bound = prod.bindings("status")
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


def test_the_status_page_shows_the_restore_that_the_reports_verify(prod: Deployed):
    reports = reports_in(ROOT / "docs/drills")
    bound = prod.bindings("status").get("LAST_RESTORE")
    assert (bound and json.loads(bound["json"])) == restore_shown(reports)


def test_the_status_page_has_the_recipients_of_the_other_alarms(prod: Deployed):
    bound = prod.bindings("status")
    alarms = topology_of("prod").settings.alarms
    assert json.loads(bound["ALARM_EMAILS"]["json"]) == list(alarms.emails)
    assert bound["ALARM_WEBHOOKS"]["type"] == "secret_text"
    assert json.loads(bound["ALARM_WEBHOOKS"]["text"]) == list(alarms.webhooks)


@pytest.mark.parametrize(
    ("generation", "overlap", "signing"), [(1, True, [1]), (2, True, [2, 1]), (2, False, [2]), (7, True, [7, 6])]
)
def test_the_previous_webhook_key_signs_during_the_overlap(generation: int, overlap: bool, signing: list[int]):
    assert signing_generations(WebhookKey(generation=generation, overlap=overlap)) == signing


def test_operators_tokens_reach_the_worker_as_digests_only():
    tokens = {"ada": "token-one", "bob": "token-two"}
    known = json.loads(digests(tokens))
    assert known == {name: hashlib.sha256(token.encode()).hexdigest() for name, token in tokens.items()}


def test_secret_bindings_of_the_status_page_are_encrypted(prod: Deployed):
    bound = prod.bindings("status")
    assert {bound[name]["type"] for name in ("OPERATORS", "WEBHOOK_KEY")} == {"secret_text"}
    assert "ciphertext" in prod.inputs("WorkerVersion")["status"]["bindings"]


@pytest.mark.parametrize("zone", ["zone", "status-zone"])
def test_zones_have_strict_tls_dnssec_and_caa_records(prod: Deployed, zone: str):
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


def test_the_database_is_reachable_only_through_the_tunnel_with_a_service_token(prod: Deployed):
    (tunnel,) = prod.of("ZeroTrustTunnelCloudflared").values()
    assert prod.inputs("DnsRecord")["database"]["content"] == f"{tunnel['id']}.cfargotunnel.com"
    (application,) = prod.inputs("ZeroTrustAccessApplication").values()
    (policy,) = prod.of("ZeroTrustAccessPolicy").values()
    assert application["domain"] == "database.backbuild.ai"
    assert [one["id"] for one in application["policies"]] == [policy["id"]]
    (token,) = prod.of("ZeroTrustAccessServiceToken").values()
    assert policy["inputs"]["decision"] == "non_identity"
    assert policy["inputs"]["includes"] == [{"serviceToken": {"tokenId": token["id"]}}]
    origin = prod.inputs("HyperdriveConfig")["database"]["origin"]
    assert origin["host"] == application["domain"]
    assert origin["accessClientId"] == token["outputs"]["clientId"]
    assert "port" not in origin
    assert prod.inputs("HyperdriveConfig")["database"]["caching"] == {"disabled": True}


def test_three_copies_are_in_different_places_with_the_same_rules(prod: Deployed):
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


def test_the_offsite_bucket_is_private_encrypted_and_locked(prod: Deployed, staging: Deployed):
    assert prod.of("Bucket")["vault-offsite"]["inputs"]["objectLockEnabled"]
    block = prod.inputs("BucketPublicAccessBlock")["vault-offsite"]
    assert all(block[key] for key in block if key.startswith(("block", "ignore", "restrict")))
    policy = prod.inputs("BucketPolicy")["vault-offsite"]
    (statement,) = json.loads(policy["policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    encryption = prod.inputs("BucketServerSideEncryptionConfiguration")["vault-offsite"]
    default = encryption["rules"][0]["applyServerSideEncryptionByDefault"]
    assert default["kmsMasterKeyId"] == prod.of("Key")["vault-offsite"]["outputs"]["arn"]
    versioning = prod.inputs("BucketVersioning")["vault-offsite"]
    assert versioning["versioningConfiguration"]["status"] == "Enabled"
    for stack, mode in ((prod, "COMPLIANCE"), (staging, "GOVERNANCE")):
        (lock,) = stack.inputs("BucketObjectLockConfiguration").values()
        assert lock["rule"]["defaultRetention"] == {"mode": mode, "days": 8}


def test_every_new_object_sends_an_event_and_dead_letters_are_consumed(prod: Deployed):
    (notification,) = prod.inputs("R2BucketEventNotification").values()
    queues = {name: one["outputs"] for name, one in prod.of("Queue").items()}
    assert notification["queueId"] == queues["vault-events"]["queueId"]
    assert notification["bucketName"] == "backbuild-prod-backups"
    assert {"PutObject", "CompleteMultipartUpload", "CopyObject"} == set(notification["rules"][0]["actions"])
    consumers = prod.inputs("QueueConsumer")
    assert set(consumers) == {"backups-replicate", "backups-dead-letters"}
    consumer, dead = consumers["backups-replicate"], consumers["backups-dead-letters"]
    assert consumer["queueId"] == queues["vault-events"]["queueId"]
    assert consumer["deadLetterQueue"] == queues["vault-dead-letters"]["queueName"]
    assert consumer["scriptName"] == dead["scriptName"] == prod.inputs("Worker")["backups-replicate"]["name"]
    # The dead-letter queue has a consumer, and no dead-letter queue of its own.
    assert dead["queueId"] == queues["vault-dead-letters"]["queueId"]
    assert queues["vault-dead-letters"]["queueName"].endswith("-dead-letters")
    assert "deadLetterQueue" not in dead
    assert dead["settings"]["maxRetries"] == 100


def test_bucket_rules_workers_and_outputs_follow_one_rotation(prod: Deployed, staging: Deployed):
    """Check the deployed rules of all three copies, the binding of each backup Worker, and the output."""
    for name, stack in (("prod", prod), ("staging", staging)):
        bound = [json.loads(stack.bindings(worker)["ROTATION"]["json"]) for worker in sorted(BACKUP_WORKERS)]
        assert all(one == bound[0] for one in bound)
        keep, backups = bound[0]["keepDays"], topology_of(name).settings.backups
        assert bound[0]["pointInTimeDays"] == backups.point_in_time_days < keep["hourly"]
        days = keep | {"manifests": max(keep.values())}
        assert stack.printed["outputs"]["retentionDays"] == days
        hourly_expiry = max(keep["hourly"], bound[0]["minimumFulls"]) + 30
        expiry = {name: hourly_expiry if name == "hourly" else kept + 30 for name, kept in days.items()}
        for lock in stack.inputs("R2BucketLock").values():
            locked = {rule["prefix"].split("/")[0]: rule["condition"]["maxAgeSeconds"] for rule in lock["rules"]}
            assert locked == {name: 86_400 * kept for name, kept in (days | {"manifests": keep["hourly"]}).items()}
        for lifecycle in stack.inputs("R2BucketLifecycle").values():
            for rule in lifecycle["rules"]:
                age = rule["deleteObjectsTransition"]["condition"]["maxAge"]
                assert age == 86_400 * expiry[rule["conditions"]["prefix"].split("/")[0]]
        (offsite,) = stack.inputs("BucketLifecycleConfiguration").values()
        for rule in offsite["rules"]:
            assert rule["expiration"]["days"] == expiry[rule["filter"]["prefix"].split("/")[0]]
        (lock,) = stack.inputs("BucketObjectLockConfiguration").values()
        assert lock["rule"]["defaultRetention"]["days"] == min(keep.values())


def test_machines_may_write_to_the_primary_bucket_only(prod: Deployed):
    token = prod.inputs("AccountToken")["vault-machines"]
    (allowed,) = token["policies"]
    assert list(json.loads(allowed["resources"])) == [
        "com.cloudflare.edge.r2.bucket.0123456789abcdef0123456789abcdef_eu_backbuild-prod-backups"
    ]


def test_alarms_reach_all_recipients_through_aws_and_cloudflare(prod: Deployed):
    alarms = topology_of("prod").settings.alarms
    subscribed = {(one["protocol"], one["endpoint"]) for one in prod.inputs("TopicSubscription").values()}
    assert subscribed == {("email", one) for one in alarms.emails} | {("https", one) for one in alarms.webhooks}
    hooks = {one["id"] for one in prod.of("NotificationPolicyWebhooks").values()}
    policies = prod.inputs("NotificationPolicy").values()
    assert {one["alertType"] for one in policies} == {"health_check_status_notification", "tunnel_health_event"}
    for policy in policies:
        assert [one["id"] for one in policy["mechanisms"]["emails"]] == list(alarms.emails)
        assert {one["id"] for one in policy["mechanisms"]["webhooks"]} == hooks


def test_every_member_has_its_alarms(prod: Deployed):
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
            ("WalWaitingSeconds", group.citus_group is not None),
        )
        if watched
    } | {f"alarms-{group.name}-{age}" for group in topology.database_groups for age in ("backup", "restore")}
    assert set(alarms) == expected
    assert all(one["alarmActions"] == one["okActions"] == [topic] for one in alarms.values())
    assert {one["threshold"] for name, one in alarms.items() if name.endswith("DataDiskUsedPercent")} == {80}
    rules = {name: rule for name, rule in prod.inputs("EventRule").items() if name.startswith("alarms-")}
    statuses = {name: json.loads(rule["eventPattern"])["detail"] for name, rule in rules.items()}
    assert statuses == {
        "alarms-gate": {"status": ["Failed"]},
        "alarms-patching": {"status": ["FAILED", "TIMED_OUT"]},
        "alarms-rehearsal": {
            "Definition": ["backbuild-prod-restore-drill"],
            "Status": ["Failed", "TimedOut", "Cancelled"],
        },
    }
    targets = prod.inputs("EventTarget")
    assert {target["arn"] for name, target in targets.items() if name.startswith("alarms-")} == {topic}


def test_maintenance_patches_one_machine_at_a_time_and_stops_at_a_failure(prod: Deployed):
    (task,) = prod.inputs("MaintenanceWindowTask").values()
    assert (task["maxConcurrency"], task["maxErrors"]) == ("1", "0")
    given = task["taskInvocationParameters"]["runCommandParameters"]["parameters"]
    assert task["taskArn"] == "AWS-RunShellScript"
    assert {one["name"]: one["values"] for one in given} == {
        "commands": ["/usr/local/sbin/backbuild-patch"],
        "executionTimeout": ["3600"],
    }
    (window,) = prod.inputs("MaintenanceWindow").values()
    assert window["schedule"] == "cron(0 3 ? * SUN *)"
    assert window["cutoff"] < window["duration"] == 4
    (target,) = prod.inputs("MaintenanceWindowTarget").values()
    assert target["targets"] == [{"key": "tag:Platform", "values": ["backbuild-prod"]}]
    assert {one["tags"]["Platform"] for one in prod.inputs("Instance").values()} == {"backbuild-prod"}


def test_mail_records_name_only_the_servers_and_senders_of_the_settings(prod: Deployed):
    records = prod.inputs("DnsRecord")
    exchanger = records["zone-mx-mx-mail-provider-example"]
    assert (exchanger["type"], exchanger["content"], exchanger["priority"]) == ("MX", "mx.mail-provider.example", 10)
    assert records["zone-dkim-mail"]["name"] == "mail._domainkey.backbuild.ai"
    assert records["zone-spf"]["content"] == '"v=spf1 include:spf.mail-provider.example -all"'
    assert records["status-zone-spf"]["content"] == '"v=spf1 -all"'
    assert not [one for one in records.values() if one["name"] == "backbuild-status.net" and one["type"] == "AAAA"]
