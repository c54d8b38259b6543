"""Objects that Cloudflare needs before it creates another: active zones, deployed Cloudflare Workers, a database."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.clouds.cloud import Cloud
from sandbox.provider import ProviderError
from sandbox.values import Properties
from tests.sandbox.clouds.conftest import ACCOUNT_ID, urn

ACCOUNT = {"accountId": ACCOUNT_ID}
DOMAIN = "example.com"
HOST = f"database.{DOMAIN}"
Make = Callable[..., tuple[str, Properties]]


@pytest.fixture
def make(cloudflare: Cloud, aws: Cloud) -> Make:
    """Return a function that creates an object, given the last part of its type."""

    def made(kind: str, **inputs: Any) -> tuple[str, Properties]:
        type = TYPES[kind]
        cloud = aws if type.startswith("aws:") else cloudflare
        return cloud.create(urn(type, str(inputs.get("name", kind))), type, inputs, preview=False)

    return made


TYPES = {
    "Zone": "cloudflare:index/zone:Zone",
    "Record": "cloudflare:index/dnsRecord:DnsRecord",
    "Worker": "cloudflare:index/worker:Worker",
    "Version": "cloudflare:index/workerVersion:WorkerVersion",
    "Deployment": "cloudflare:index/workersDeployment:WorkersDeployment",
    "Domain": "cloudflare:index/workersCustomDomain:WorkersCustomDomain",
    "Route": "cloudflare:index/workersRoute:WorkersRoute",
    "Cron": "cloudflare:index/workersCronTrigger:WorkersCronTrigger",
    "Queue": "cloudflare:index/queue:Queue",
    "Consumer": "cloudflare:index/queueConsumer:QueueConsumer",
    "Dnssec": "cloudflare:index/zoneDnssec:ZoneDnssec",
    "Certificate": "cloudflare:index/certificatePack:CertificatePack",
    "Mail": "cloudflare:index/emailSendingSubdomain:EmailSendingSubdomain",
    "Application": "cloudflare:index/zeroTrustAccessApplication:ZeroTrustAccessApplication",
    "Tunnel": "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared",
    "TunnelConfig": "cloudflare:index/zeroTrustTunnelCloudflaredConfig:ZeroTrustTunnelCloudflaredConfig",
    "Hyperdrive": "cloudflare:index/hyperdriveConfig:HyperdriveConfig",
    "Database": "cloudflare:index/d1Database:D1Database",
    "Secret": "aws:secretsmanager/secret:Secret",
    "SecretVersion": "aws:secretsmanager/secretVersion:SecretVersion",
    "Role": "aws:iam/role:Role",
    "RolePolicy": "aws:iam/rolePolicy:RolePolicy",
    "Profile": "aws:iam/instanceProfile:InstanceProfile",
    "Instance": "aws:ec2/instance:Instance",
    "Gate": "aws:ssm/association:Association",
}


def zone(make: Make, cloudflare: Cloud, *, active: bool = True) -> str:
    id, outputs = make("Zone", account={"id": ACCOUNT_ID}, name=DOMAIN)
    assert outputs["status"] == "pending"
    if active:
        asked = cloudflare.invoke("cloudflare:index/getZone:getZone", {"zoneId": id})
        assert (asked["status"], asked["name"]) == ("active", DOMAIN)
    return id


def worker(make: Make, name: str = "api", *, deployed: bool = True) -> str:
    id, _ = make("Worker", **ACCOUNT, name=name)
    if deployed:
        version, _ = make("Version", **ACCOUNT, workerId=id)
        versions = [{"versionId": version, "percentage": 100}]
        make("Deployment", **ACCOUNT, scriptName=name, strategy="percentage", versions=versions)
    return name


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        ("Domain", {**ACCOUNT, "hostname": DOMAIN, "service": "api"}),
        ("Dnssec", {"status": "active"}),
        ("Certificate", {"type": "advanced", "hosts": [DOMAIN]}),
        ("Mail", {"name": f"notify.{DOMAIN}"}),
    ],
)
def test_a_pending_zone_rejects_these_types(make: Make, cloudflare: Cloud, kind: str, inputs: Properties) -> None:
    worker(make)
    id = zone(make, cloudflare, active=False)
    with pytest.raises(ProviderError, match=r"'example.com' is pending, not active; enter its name servers"):
        make(kind, zoneId=id, **inputs)
    cloudflare.invoke("cloudflare:index/getZone:getZone", {"zoneId": id})
    make(kind, zoneId=id, **inputs)


def test_a_custom_domain_and_an_address_record_cannot_share_a_name(make: Make, cloudflare: Cloud) -> None:
    id = zone(make, cloudflare)
    service = worker(make)
    make("Record", zoneId=id, name=DOMAIN, type="TXT", content='"v=spf1 -all"', ttl=300)
    make("Record", zoneId=id, name=f"api.{DOMAIN}", type="AAAA", content="100::", proxied=True, ttl=1)
    with pytest.raises(ProviderError, match=r"AAAA record \(100117\)"):
        make("Domain", **ACCOUNT, zoneId=id, hostname=f"api.{DOMAIN}", service=service)
    make("Domain", **ACCOUNT, zoneId=id, hostname=DOMAIN, service=service)
    with pytest.raises(ProviderError, match="custom domain manages"):
        make("Record", zoneId=id, name=DOMAIN, type="AAAA", content="100::", proxied=True, ttl=1)


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        ("Route", {"pattern": f"{DOMAIN}/*", "script": "api"}),
        ("Cron", {**ACCOUNT, "scriptName": "api", "schedules": [{"cron": "* * * * *"}]}),
        ("Consumer", {**ACCOUNT, "type": "worker", "scriptName": "api"}),
        ("Domain", {**ACCOUNT, "hostname": DOMAIN, "service": "api"}),
    ],
)
def test_a_worker_without_a_deployment_cannot_be_used(make: Make, cloudflare: Cloud, kind: str, inputs: Any) -> None:
    worker(make, deployed=False)
    if kind == "Consumer":
        inputs = {**inputs, "queueId": make("Queue", **ACCOUNT, queueName="q")[0]}
    else:
        inputs = {**inputs, "zoneId": zone(make, cloudflare)}
    with pytest.raises(ProviderError, match="without a deployment"):
        make(kind, **inputs)


def test_an_application_needs_a_zone_for_its_domain(make: Make, cloudflare: Cloud) -> None:
    application: dict[str, Any] = {**ACCOUNT, "name": "a", "type": "self_hosted", "domain": HOST}
    with pytest.raises(ProviderError, match="in no zone of the account"):
        make("Application", **application)
    zone(make, cloudflare)
    make("Application", **application)


def test_hyperdrive_is_rejected_until_the_database_is_reachable(make: Make, cloudflare: Cloud) -> None:
    hyperdrive: dict[str, Any] = {
        **ACCOUNT,
        "name": "h",
        "origin": {"scheme": "postgresql", "host": HOST, "database": "d", "user": "u"},
    }

    def refused(reason: str) -> None:
        with pytest.raises(ProviderError, match=rf"2015.*{reason}"):
            make("Hyperdrive", **hyperdrive)

    id = zone(make, cloudflare, active=False)
    refused("pending")
    cloudflare.invoke("cloudflare:index/getZone:getZone", {"zoneId": id})
    refused("points at a tunnel")
    tunnel, _ = make("Tunnel", **ACCOUNT, name="t")
    make("Record", zoneId=id, name=HOST, type="CNAME", content=f"{tunnel}.cfargotunnel.com", proxied=True, ttl=1)
    refused("no ingress")
    ingresses = [{"hostname": HOST, "service": "tcp://localhost:5432"}, {"service": "http_status:404"}]
    make("TunnelConfig", **ACCOUNT, tunnelId=tunnel, config={"ingresses": ingresses})
    refused("passed its health gate")
    machine = _machine(make, tunnel)
    refused("passed its health gate")
    make("Gate", name="AWS-RunShellScript", targets=[{"key": "InstanceIds", "values": [machine]}])
    make("Hyperdrive", **hyperdrive)


def test_a_database_outside_the_accounts_zones_counts_as_reachable(make: Make) -> None:
    origin = {"scheme": "postgresql", "host": "db.example.org", "port": 5432, "database": "d", "user": "u"}
    make("Hyperdrive", **ACCOUNT, name="h", origin=origin)


def test_read_replication_is_only_set_by_an_update_and_never_to_null(make: Make, cloudflare: Cloud) -> None:
    with pytest.raises(ProviderError, match="only valid in an update"):
        make("Database", **ACCOUNT, name="a", readReplication={"mode": "auto"})
    id, outputs = make("Database", **ACCOUNT, name="a")
    type = TYPES["Database"]
    found = cloudflare.read(urn(type, "a"), type, id, {**ACCOUNT, "name": "a"})
    assert found is not None
    assert found.inputs["readReplication"] == {"mode": "disabled"}
    with pytest.raises(ProviderError, match="7400"):
        cloudflare.update(urn(type, "a"), type, id, outputs, {**ACCOUNT, "name": "a"}, preview=False)
    news: Properties = {**ACCOUNT, "name": "a", "readReplication": {"mode": "auto"}}
    cloudflare.update(urn(type, "a"), type, id, outputs, news, preview=False)


def _machine(make: Make, tunnel: str) -> str:
    token = base64.b64encode(json.dumps({"a": ACCOUNT_ID, "t": tunnel, "s": "x"}).encode()).decode()
    secret, _ = make("Secret", name="token")
    make("SecretVersion", secretId=secret, secretString=token)
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    _, role = make("Role", name="gateway", assumeRolePolicy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    allow = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": [secret]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    make("RolePolicy", role=role["name"], policy=policy)
    _, profile = make("Profile", name="gateway", role=role["name"])
    return make("Instance", ami="ami-0123456789abcdef0", instanceType="t3.micro", iamInstanceProfile=profile["name"])[0]
