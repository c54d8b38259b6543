"""The platform after an `up`: members, network, encryption, secrets and outputs."""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from components.keys import LOGINS
from components.network import INTERFACE_ENDPOINTS
from harness.stacks import ROOT, topology_of
from model.copies import address_of
from model.drill_reports import reports_in, summary
from model.topology import INGRESS_RULES, Role
from tests.components.project import Deployed, short

PLAINTEXT = "plaintext"
PLATFORM = "Platform::platform"


@pytest.fixture(params=["prod", "staging"])
def stack(request: pytest.FixtureRequest) -> Deployed:
    """Either stack."""
    return request.getfixturevalue(request.param)


def name_of(stack: Deployed) -> str:
    return str(stack.resources[0]["urn"]).split(":")[2]


def secret_texts(value: Any) -> Iterator[str]:
    """Yield every text inside a secret, including the values of a secret JSON object."""
    if isinstance(value, dict):
        if PLAINTEXT in value:
            yield from _leaves(json.loads(value[PLAINTEXT]))
        for inner in value.values():
            yield from secret_texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from secret_texts(inner)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, str) and value.startswith("{"):
        yield from _leaves(json.loads(value))
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize(
    ("name", "groups", "members"),
    [
        ("prod", {"consensus": 3, "coordinator": 3, "worker-1": 3, "worker-2": 3, "gateway": 2}, 14),
        ("staging", {"consensus": 3, "coordinator": 2, "worker-1": 2, "gateway": 2}, 9),
    ],
)
def test_every_group_has_its_members(name: str, groups: dict[str, int], members: int, request: pytest.FixtureRequest):
    stack: Deployed = request.getfixturevalue(name)
    instances = stack.inputs("Instance")
    assert Counter(one["tags"]["Group"] for one in instances.values()) == groups
    assert len(stack.of("Association")) == len(instances) == members
    assert len(stack.of("Volume")) == len(stack.of("VolumeAttachment")) == members - groups["gateway"]
    assert set(stack.of("NodeGroup")) == set(groups)


def test_every_resource_is_created_and_is_a_child_of_the_platform(stack: Deployed):
    summary = stack.printed["summary"]
    assert summary["create"] == len(stack.printed["steps"]) > 200
    assert {count for what, count in summary.items() if what != "create"} == {0}
    parents = {one["urn"]: one.get("parent", "") for one in stack.resources}
    for urn in parents:
        chain = urn
        while parents.get(chain) and short(chain) != PLATFORM:
            chain = parents[chain]
        if ":pulumi:providers:" not in urn and not short(urn).startswith("Stack::"):
            assert short(chain) == PLATFORM, urn


def test_the_documents_have_the_number_of_resources(prod: Deployed, staging: Deployed):
    in_all, in_staging = len(prod.printed["steps"]), len(staging.printed["steps"])
    assert f"brings up staging in the sandbox: {in_staging} resources" in (ROOT / "README.md").read_text()
    sentence = f"As committed, production has {in_all} resources and staging {in_staging}"
    assert sentence in (ROOT / "docs" / "architecture.md").read_text()


def test_each_member_has_the_address_zone_and_volume_of_the_topology(stack: Deployed):
    topology = topology_of(name_of(stack))
    instances, subnets, volumes = stack.inputs("Instance"), stack.of("Subnet"), stack.inputs("Volume")
    zones = {subnet["id"]: subnet["inputs"]["availabilityZone"] for subnet in subnets.values()}
    for group in topology.groups:
        for member in group.members:
            instance = instances.pop(member.name)
            assert instance["privateIp"] == member.address
            assert instance["instanceType"] == member.instance_type
            assert zones[instance["subnetId"]] == member.zone.name
            if member.volume_gib is not None:
                volume = volumes.pop(f"{member.name}-data")
                assert (volume["size"], volume["availabilityZone"]) == (member.volume_gib, member.zone.name)
    assert not instances
    assert not volumes


def test_each_member_depends_on_the_health_gate_of_the_previous_one(stack: Deployed):
    """A member depends on the previous member's gate, and a gate on its own member and the data volume."""
    instances, gates = stack.of("Instance"), stack.of("Association")
    waits = {
        name: {short(urn) for urn in one["dependencies"] if "Association" in urn} for name, one in instances.items()
    }
    groups = topology_of(name_of(stack)).groups
    consensus = f"Association::{groups[0].members[-1].name}-healthy"
    coordinator = f"Association::{groups[1].members[-1].name}-healthy"
    before = {Role.CONSENSUS: set[str](), Role.GATEWAY: {coordinator}}
    for group in groups:
        expected = before.get(group.role, {consensus})
        for member in group.members:
            assert waits[member.name] == expected, member.name
            gate = f"{member.name}-healthy"
            dependencies = {short(urn) for urn in gates[gate]["dependencies"]}
            assert f"Instance::{member.name}" in dependencies
            assert (f"VolumeAttachment::{member.name}-data" in dependencies) == (member.volume_gib is not None)
            assert gates[gate]["inputs"]["targets"] == [
                {"key": "InstanceIds", "values": [instances[member.name]["id"]]}
            ]
            assert gates[gate]["inputs"]["waitForSuccessTimeoutSeconds"] > 0
            expected = {f"Association::{gate}"}


def test_the_first_member_depends_on_its_nat_routes_and_every_vpc_endpoint(prod: Deployed):
    dependencies = {short(urn) for urn in prod.of("Instance")["consensus-0"]["dependencies"]}
    endpoints = {f"VpcEndpoint::{name}" for name in prod.of("VpcEndpoint")}
    assert endpoints | {f"Route::network-{zone}-data-nat" for zone in "abc"} <= dependencies


def test_instances_are_private_and_have_termination_protection(stack: Deployed):
    for name, instance in stack.inputs("Instance").items():
        metadata = instance["metadataOptions"]
        assert (metadata["httpTokens"], metadata["httpPutResponseHopLimit"]) == ("required", 1), name
        assert instance["disableApiTermination"]
        assert instance["forceDestroy"]
        assert instance["maintenanceOptions"] == {"autoRecovery": "default"}
        assert instance["rootBlockDevice"]["encrypted"]
        assert "keyName" not in instance
    assert not any(one["outputs"]["associatePublicIpAddress"] for one in stack.of("Instance").values())


def test_data_at_rest_is_encrypted_with_the_platforms_own_keys(stack: Deployed):
    key = stack.of("Key")["keys"]["outputs"]["arn"]
    volumes, secrets = stack.inputs("Volume").values(), stack.inputs("Secret").values()
    assert all(one["encrypted"] and one["type"] == "gp3" for one in volumes)
    assert {one["kmsKeyId"] for one in (*volumes, *secrets)} == {key}
    assert {one["rootBlockDevice"]["kmsKeyId"] for one in stack.inputs("Instance").values()} == {key}
    assert all(one["enableKeyRotation"] for one in stack.inputs("Key").values())


def test_resources_with_data_are_protected_in_production_only(prod: Deployed, staging: Deployed):
    kinds = ("Volume", "R2Bucket", "Bucket", "Key", "D1Database", "RandomPassword", "Zone")
    for kind in kinds:
        # An operator's token is deleted with the operator; the machines' archives can be stored again by each update;
        # a new generation replaces the passwords.
        unprotected = ("status-operator-", "machine-files", *(f"keys-{login}" for login in LOGINS))
        holding = {name: one for name, one in prod.of(kind).items() if not name.startswith(unprotected)}
        assert all(one.get("protect") for one in holding.values()), kind
    assert not [one["urn"] for one in staging.resources if one.get("protect")]


def test_no_secret_is_in_plain_text_in_state_output_or_machine_files(stack: Deployed):
    resources = stack.revealed["deployment"]["resources"]
    # The engine marks a whole list of bindings as secret, but only bindings of the secret types contain secrets.
    bound = [binding for worker in stack.of("WorkerVersion") for binding in stack.bindings(worker).values()]
    texts = [str(one["text"]) for one in bound if one["type"] == "secret_text" and one["name"] != "ALARM_WEBHOOKS"]
    others = [one for one in resources if not short(one["urn"]).startswith("WorkerVersion::")]
    addresses = {text for copy in topology_of(name_of(stack)).copies for text in address_of(copy).values()}
    known = {text for text in (*secret_texts(others), *texts) if len(text) >= 16} - addresses
    assert len([one for one in known if len(one) == 40]) >= 5  # the passwords at least
    ids = {one.get("id") for one in stack.resources}  # an access key's id is also its resource's
    stored = [base64.b64decode(one["contentBase64"]) for one in stack.inputs("BucketObjectv2").values()]
    archives = b"".join(gzip.decompress(content) for content in stored).decode()
    booted = archives + json.dumps([one["userData"] for one in stack.inputs("Instance").values()])
    printed, kept = json.dumps(stack.printed), json.dumps(stack.state)
    for secret in known:
        assert secret not in booted
        assert secret not in printed
        assert secret in ids or secret not in kept, "a secret is in plain text in the state"


def test_each_role_may_read_only_its_own_secrets(stack: Deployed):
    names = vars(topology_of(name_of(stack)).secrets)
    arns = {one["inputs"]["name"]: one["outputs"]["arn"] for one in stack.of("Secret").values()}
    assert set(arns) == set(names.values())
    assert set(stack.of("SecretVersion")) == set(stack.of("Secret"))
    others = {"tunnel_token", *(f"{role}_certificate" for role in Role)}
    database = {secret for secret in names if secret not in others}
    database.discard("backup_readers")  # tests/components/test_readers.py
    readable = {Role.CONSENSUS: {"consensus"}, Role.GATEWAY: {"tunnel_token"}}
    for role in Role:
        rules = json.loads(stack.inputs("RolePolicy")[f"access-{role}"]["policy"])["Statement"]
        always = [rule for rule in rules if "ResourceTag" not in str(rule.get("Condition"))]
        read = [rule["Resource"] for rule in always if rule["Action"] == "secretsmanager:GetSecretValue"]
        expected = {f"{role}_certificate", *readable.get(role, database)}
        assert {arn for resources in read for arn in resources} == {arns[names[secret]] for secret in expected}
        allowed = {rule["Action"] for rule in rules}
        reading = {"secretsmanager:GetSecretValue", "kms:Decrypt", "s3:GetObject"}
        assert allowed <= reading | {"cloudwatch:PutMetricData"}
        (archives,) = (rule for rule in rules if rule["Action"] == "s3:GetObject")
        bucket, endpoint = stack.of("Bucket")["machine-files"], stack.of("VpcEndpoint")["network-s3"]
        assert archives["Resource"] == f"{bucket['outputs']['arn']}/*"
        assert archives["Condition"] == {"StringEquals": {"aws:SourceVpce": endpoint["id"]}}


def test_security_groups_contain_exactly_the_ingress_rules(stack: Deployed):
    names = {one["id"]: name.removeprefix("network-") for name, one in stack.of("SecurityGroup").items()}
    admitted = {
        (names[rule["referencedSecurityGroupId"]], names[rule["securityGroupId"]], rule["fromPort"], rule["toPort"])
        for rule in stack.inputs("SecurityGroupIngressRule").values()
        if rule["ipProtocol"] == "tcp" and "cidrIpv4" not in rule
    }
    assert admitted == {(source, target, port.number, port.number) for source, target, port in INGRESS_RULES} | {
        (source, "endpoints", 443, 443) for source in (*Role, "image-builder")
    }
    assert len(admitted) == len(stack.of("SecurityGroupIngressRule"))
    for group in (*stack.inputs("SecurityGroup").values(), *stack.inputs("DefaultSecurityGroup").values()):
        assert not group.get("ingress")
        assert not group.get("egress")


def test_egress_is_limited_and_only_gateways_reach_the_tunnel(stack: Deployed):
    egress: dict[str, set[tuple[str, int]]] = {}
    for name, rule in stack.inputs("SecurityGroupEgressRule").items():
        if rule["cidrIpv4"] == "0.0.0.0/0":
            assert rule["fromPort"] == rule["toPort"]
            egress.setdefault(name.split("-")[1], set()).add((rule["ipProtocol"], rule["fromPort"]))
    common = {("tcp", 443), ("tcp", 80)}
    assert egress == dict.fromkeys((*Role, "builder"), common) | {Role.GATEWAY: common | {("tcp", 7844), ("udp", 7844)}}


def test_each_zone_routes_through_its_own_nat_gateway(stack: Deployed):
    subnets = {one["id"]: one["inputs"] for one in stack.of("Subnet").values()}
    zone_of_nat = {
        one["id"]: subnets[one["inputs"]["subnetId"]]["availabilityZone"] for one in stack.of("NatGateway").values()
    }
    assert sorted(zone_of_nat.values()) == ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
    nat_of_table = {
        one["routeTableId"]: one["natGatewayId"] for one in stack.inputs("Route").values() if "natGatewayId" in one
    }
    data_zones = [
        (subnets[one["subnetId"]]["availabilityZone"], zone_of_nat[nat_of_table[one["routeTableId"]]])
        for one in stack.inputs("RouteTableAssociation").values()
        if one["routeTableId"] in nat_of_table
    ]
    assert len(data_zones) == 3
    assert all(zone == of_nat for zone, of_nat in data_zones)
    assert len({one["allocationId"] for one in stack.inputs("NatGateway").values()}) == 3


def test_machines_reach_aws_through_vpc_endpoints(stack: Deployed):
    endpoints = {one["serviceName"].rsplit(".", 1)[-1]: one for one in stack.inputs("VpcEndpoint").values()}
    assert set(endpoints) == {"s3", *INTERFACE_ENDPOINTS}
    assert {"ssm", "kms", "secretsmanager", "logs"} <= set(endpoints)
    data = {one["id"] for name, one in stack.of("Subnet").items() if name.endswith("-data")}
    for service in INTERFACE_ENDPOINTS:
        assert set(endpoints[service]["subnetIds"]) == data
        assert endpoints[service]["privateDnsEnabled"]
    assert len(endpoints["s3"]["routeTableIds"]) == 3
    (log,) = stack.inputs("FlowLog").values()
    assert log["trafficType"] == "ALL"


def test_the_offsite_copy_is_in_another_region_and_aws_resources_are_tagged(stack: Deployed):
    providers = {name: one["inputs"] for name, one in stack.of("aws").items()}
    assert {name: one["region"] for name, one in providers.items()} == {
        "database": "eu-central-1",
        "offsite": "eu-north-1",
    }
    for one in stack.resources:
        if one["type"].startswith("aws:"):
            offsite = "::vault-offsite" in one["urn"]
            assert f"::{'offsite' if offsite else 'database'}::" in one["provider"], one["urn"]
    tagged = [one for one in stack.resources if "tagsAll" in one.get("outputs", {})]
    assert len(tagged) > 50
    for one in tagged:
        mine = {"ManagedBy": "pulumi", "Stack": name_of(stack), "owner": "platform"}
        assert mine.items() <= one["outputs"]["tagsAll"].items(), one["urn"]


def test_outputs_have_urls_names_and_addresses(stack: Deployed):
    topology, outputs = topology_of(name_of(stack)), stack.printed["outputs"]
    assert outputs["apiUrl"] == f"https://{topology.hostnames.api}"
    assert outputs["healthUrl"] == topology.hostnames.health_url
    assert outputs["statusUrl"] == f"https://{topology.hostnames.status}/"
    assert outputs["backupsUrl"] == f"https://{topology.hostnames.backups}"
    assert outputs["backupsToken"] not in json.dumps(stack.revealed["deployment"]["resources"])  # not the token itself
    assert outputs["contact"] == topology.settings.contact
    assert outputs["apiVersion"] == stack.of("WorkerVersion")["api"]["id"]
    assert outputs["instances"] == {name: one["id"] for name, one in stack.of("Instance").items()}
    assert outputs["addresses"] == {name: one["privateIp"] for name, one in stack.inputs("Instance").items()}
    assert set(outputs["buckets"].values()) == {one["name"] for one in stack.inputs("R2Bucket").values()} | {
        one["bucket"] for name, one in stack.inputs("Bucket").items() if name != "machine-files"
    }
    assert outputs["retentionDays"] == {kept.name: kept.keep_days for kept in topology.retention}
    assert all(outputs["dsRecords"][domain] for domain in (topology.settings.domain, topology.settings.status_domain))
    assert outputs["nameServers"]
    assert outputs["drills"] == summary(reports_in(ROOT / "docs/drills"), topology.settings.drills.max_age_days)
    assert outputs["statusNameServers"]
