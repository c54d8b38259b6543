"""The objects of the simulated clouds: identity, outputs, drift, names, addresses, references, protection."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.clouds import Clouds, open_clouds
from sandbox.clouds.cloud import Cloud
from sandbox.ledger import CorruptError
from sandbox.provider import Change, ProviderError
from sandbox.values import UNKNOWN, Properties
from tests.sandbox.clouds.conftest import ACCOUNT_ID, REGION, ZONE_ID, urn

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
INSTANCE = "aws:ec2/instance:Instance"
VOLUME = "aws:ebs/volume:Volume"
ATTACHMENT = "aws:ec2/volumeAttachment:VolumeAttachment"
ROLE = "aws:iam/role:Role"
ATTACHED = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
KEY = "aws:kms/key:Key"
SECRET = "aws:secretsmanager/secret:Secret"
LOGS = "aws:cloudwatch/logGroup:LogGroup"
BUCKET = "aws:s3/bucket:Bucket"
R2 = "cloudflare:index/r2Bucket:R2Bucket"
R2_LOCK = "cloudflare:index/r2BucketLock:R2BucketLock"
RECORD = "cloudflare:index/dnsRecord:DnsRecord"
PLAIN = "aws:sqs/queue:Queue"  # a type without facts


def make(provider: Cloud, type: str, name: str, preview: bool = False, /, **inputs: Any) -> tuple[str, Properties]:
    """Check and create."""
    checked = provider.check(urn(type, name), type, None, inputs, b"seed")
    assert checked.failures == ()
    return provider.create(urn(type, name), type, checked.inputs, preview)


def edit(store: Path, fragment: str, change: dict[str, Any] | None) -> None:
    """Edit the store's file: change the object whose key contains `fragment`; None deletes it."""
    document = json.loads(store.read_text())
    (key,) = [key for key in document["objects"] if fragment in key]
    if change is None:
        del document["objects"][key]
    else:
        document["objects"][key]["outputs"] |= change
    store.write_text(json.dumps(document))


# --- life cycle -----------------------------------------------------------------------------------------------------


def test_create_read_update_delete(aws: Cloud) -> None:
    id, outputs = make(aws, VPC, "main", cidrBlock="10.0.0.0/16", tags={"Name": "main"})
    assert re.fullmatch(r"vpc-[0-9a-f]{17}", id)
    assert outputs["arn"] == f"arn:aws:ec2:{REGION}:123456789012:vpc/{id}"
    assert outputs["enableDnsSupport"] is True
    assert UNKNOWN not in outputs.values()

    found = aws.read(urn(VPC, "main"), VPC, id, {"cidrBlock": "10.0.0.0/16"})
    assert found is not None
    assert found.inputs == {"cidrBlock": "10.0.0.0/16"}
    looked_up = aws.read("", VPC, id, {})
    assert looked_up is not None
    assert looked_up.inputs == {"cidrBlock": "10.0.0.0/16", "tags": {"Name": "main"}}

    updated = aws.update(urn(VPC, "main"), VPC, id, outputs, {"cidrBlock": "10.0.0.0/16"}, False)
    assert "tags" not in updated
    assert updated["arn"] == outputs["arn"]
    aws.delete(urn(VPC, "main"), VPC, id)
    aws.delete(urn(VPC, "main"), VPC, id)
    assert aws.read(urn(VPC, "main"), VPC, id, {}) is None
    with pytest.raises(ProviderError, match="no longer exists; run refresh"):
        aws.update(urn(VPC, "main"), VPC, id, outputs, {}, False)


def test_two_runs_create_equal_objects_and_a_new_object_gets_a_new_id(aws: Cloud, tmp_path: Path, cache: Path) -> None:
    first, outputs = make(aws, VPC, "main", cidrBlock="10.0.0.0/16")
    with open_clouds(tmp_path / "other.json", cache=cache) as other:
        again = other.provider("aws").configure({"region": REGION})
        assert make(again, VPC, "main", cidrBlock="10.0.0.0/16") == (first, outputs)
    aws.delete(urn(VPC, "main"), VPC, first)
    second, _ = make(aws, VPC, "main", cidrBlock="10.0.0.0/16")
    assert second != first


def test_an_object_is_found_by_its_urn_while_it_exists(aws: Cloud) -> None:
    assert aws.find_by_urn(urn(VPC, "main"), VPC) is None
    id, _ = make(aws, VPC, "main", cidrBlock="10.0.0.0/16")
    newer, _ = make(aws, VPC, "main", cidrBlock="10.1.0.0/16")
    assert aws.find_by_urn(urn(VPC, "main"), VPC) == newer
    aws.delete(urn(VPC, "main"), VPC, newer)
    assert aws.find_by_urn(urn(VPC, "main"), VPC) == id


def test_a_preview_stores_nothing_and_leaves_computed_outputs_unknown(aws: Cloud) -> None:
    id, outputs = make(aws, VPC, "main", True, cidrBlock="10.0.0.0/16", tags={"Name": UNKNOWN})
    assert id == ""
    assert outputs["arn"] is UNKNOWN
    assert outputs["cidrBlock"] == "10.0.0.0/16"
    assert outputs["region"] == REGION
    assert aws.find_by_urn(urn(VPC, "main"), VPC) is None


def test_a_preview_of_an_update_keeps_independent_outputs(aws: Cloud) -> None:
    id, outputs = make(aws, VOLUME, "data", availabilityZone="eu-central-1a", size=10, type="gp3")
    news: Properties = {"availabilityZone": "eu-central-1a", "size": UNKNOWN, "type": "io2", "iops": UNKNOWN}
    planned = aws.update(urn(VOLUME, "data"), VOLUME, id, outputs, news, True)
    assert planned["arn"] == outputs["arn"]
    assert planned["size"] is UNKNOWN
    assert planned["iops"] is UNKNOWN
    unchanged = aws.read(urn(VOLUME, "data"), VOLUME, id, {})
    assert unchanged is not None
    assert unchanged.outputs == outputs


def test_an_unknown_value_in_a_create_is_an_error(aws: Cloud) -> None:
    with pytest.raises(ProviderError, match="cidrBlock is unknown"):
        make(aws, VPC, "main", cidrBlock=UNKNOWN)


def test_a_type_without_facts_works(aws: Cloud) -> None:
    _, planned = make(aws, PLAIN, "jobs", True, name="jobs", delaySeconds=5)
    assert planned["delaySeconds"] == 5
    assert planned["arn"] is UNKNOWN
    id, outputs = make(aws, PLAIN, "jobs", name="jobs", delaySeconds=5)
    assert len(id) == 32
    assert str(outputs["arn"]).startswith("arn:aws:")
    assert str(outputs["url"]).startswith("https://")
    assert aws.diff(PLAIN, id, {"name": "jobs"}, outputs, {"name": "work"}).detail == {"name": Change.UPDATE}


def test_an_unsupported_package_is_an_error_that_names_it(clouds: Clouds) -> None:
    with pytest.raises(ProviderError, match="'gcp' is not simulated; available packages: aws, cloudflare, random, tls"):
        clouds.provider("gcp")
    with pytest.raises(ProviderError, match=r"aws 6\.0\.0 is not simulated: pulumi_aws"):
        clouds.provider("aws", "6.0.0")


# --- the store --------------------------------------------------------------------------------------------------------


def test_the_store_is_readable_private_and_persistent(store: Path, cache: Path) -> None:
    with open_clouds(store, cache=cache) as clouds:
        id, outputs = make(clouds.provider("aws").configure({}), VPC, "main", cidrBlock="10.0.0.0/16")
    document = json.loads(store.read_text())
    entry = document["objects"][f"{VPC}::{id}"]
    assert document["version"] == 1
    assert entry["urn"] == urn(VPC, "main")
    assert entry["outputs"] == outputs
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    with open_clouds(store, readonly=True, cache=cache) as clouds:
        assert clouds.provider("aws").configure({}).read("", VPC, id, {}) is not None


KILLED = """
import os, sys
from pathlib import Path
from sandbox.clouds import open_clouds
with open_clouds(Path(sys.argv[1]), cache=Path(sys.argv[2])) as clouds:
    aws = clouds.provider("aws").configure({})
    print(aws.create(sys.argv[3], "aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"}, False)[0], flush=True)
    os._exit(9)
"""


def test_a_kill_loses_nothing(store: Path, cache: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(store), str(cache), urn(VPC, "main")],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 9
    with open_clouds(store, cache=cache) as clouds:
        found = clouds.provider("aws").configure({}).find_by_urn(urn(VPC, "main"), VPC)
    assert found == done.stdout.strip()


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"version": 2, "objects": {}}', '{"version": 1, "objects": {"x": {}}}']
)
def test_a_corrupt_store_is_an_error_that_names_it(store: Path, cache: Path, content: str) -> None:
    store.write_text(content)
    with pytest.raises(CorruptError, match=r"clouds\.json cannot be read"), open_clouds(store, cache=cache):
        pass
    assert store.read_text() == content


def test_drift_is_found_and_reverted(store: Path, cache: Path) -> None:
    made: Properties = {"cidrBlock": "10.0.0.0/16", "tags": {"Name": "main", "Tier": "data"}}
    with open_clouds(store, cache=cache) as clouds:
        id, _ = make(clouds.provider("aws").configure({}), VPC, "main", **made)
    edit(store, "Vpc", {"tags": {"Name": "other", "Tier": "data"}, "enableDnsHostnames": True})
    with open_clouds(store, cache=cache) as clouds:
        aws = clouds.provider("aws").configure({})
        found = aws.read(urn(VPC, "main"), VPC, id, made)
        assert found is not None
        assert found.inputs == {**made, "tags": {"Name": "other", "Tier": "data"}}
        assert found.outputs["enableDnsHostnames"] is True
        assert aws.diff(VPC, id, found.inputs, found.outputs, made).detail == {"tags.Name": Change.UPDATE}
        aws.update(urn(VPC, "main"), VPC, id, found.outputs, made, False)
        again = aws.read(urn(VPC, "main"), VPC, id, made)
        assert again is not None
        assert again.inputs == made
    edit(store, "Vpc", None)
    with open_clouds(store, cache=cache) as clouds:
        assert clouds.provider("aws").configure({}).read(urn(VPC, "main"), VPC, id, made) is None


def test_an_added_property_is_found_and_reverted(store: Path, cache: Path) -> None:
    made: Properties = {"cidrBlock": "10.0.0.0/16"}
    with open_clouds(store, cache=cache) as clouds:
        id, _ = make(clouds.provider("aws").configure({}), VPC, "main", **made)
    edit(store, "Vpc", {"tags": {"Owner": "somebody"}})
    with open_clouds(store, cache=cache) as clouds:
        aws = clouds.provider("aws").configure({})
        found = aws.read(urn(VPC, "main"), VPC, id, made)
        assert found is not None
        assert found.inputs == {**made, "tags": {"Owner": "somebody"}}
        assert aws.diff(VPC, id, found.inputs, found.outputs, made).detail == {"tags": Change.DELETE}


# --- differences ------------------------------------------------------------------------------------------------------


def test_differences_have_deep_paths_and_replacements(aws: Cloud) -> None:
    olds: Properties = {
        "ami": "ami-1",
        "userData": "a",
        "userDataReplaceOnChange": True,
        "rootBlockDevice": {"volumeSize": 10, "encrypted": False},
        "vpcSecurityGroupIds": ["sg-1", "sg-2"],
        "tags": {"a.b": "1"},
    }
    news: Properties = {
        **olds,
        "userData": "b",
        "rootBlockDevice": {"volumeSize": 20, "encrypted": True},
        "vpcSecurityGroupIds": ["sg-1", UNKNOWN, "sg-3"],
        "tags": {"a.b": "2", "c": "3"},
    }
    difference = aws.diff(INSTANCE, "i-1", olds, {}, news)
    assert difference.detail == {
        "userData": Change.UPDATE_REPLACE,
        "rootBlockDevice.volumeSize": Change.UPDATE,
        "rootBlockDevice.encrypted": Change.UPDATE_REPLACE,
        "vpcSecurityGroupIds[1]": Change.UPDATE,
        "vpcSecurityGroupIds[2]": Change.ADD,
        'tags["a.b"]': Change.UPDATE,
        "tags.c": Change.ADD,
    }
    assert difference.replaces == ("userData", "rootBlockDevice")
    assert not aws.diff(INSTANCE, "i-1", olds, {}, olds).changed
    in_place = aws.diff(INSTANCE, "i-1", olds, {}, {**olds, "userData": "b", "userDataReplaceOnChange": False})
    assert in_place.detail["userData"] is Change.UPDATE


def test_an_added_object_with_a_replacing_property_forces_a_replacement(aws: Cloud) -> None:
    added = aws.diff(INSTANCE, "i-1", {"ami": "a"}, {}, {"ami": "a", "rootBlockDevice": {"encrypted": True}})
    assert added.detail == {"rootBlockDevice": Change.ADD_REPLACE}
    harmless = aws.diff(INSTANCE, "i-1", {"ami": "a"}, {}, {"ami": "a", "rootBlockDevice": {"volumeSize": 9}})
    assert harmless.detail == {"rootBlockDevice": Change.ADD}


def test_an_object_whose_name_would_collide_is_deleted_first(aws: Cloud) -> None:
    fixed: Properties = {"ami": "ami-1", "subnetId": "subnet-1", "privateIp": "10.0.1.10"}
    free: Properties = {"ami": "ami-1", "subnetId": "subnet-1"}
    assert aws.diff(INSTANCE, "i-1", fixed, {}, {**fixed, "ami": "ami-2"}).delete_before_replace
    assert not aws.diff(INSTANCE, "i-1", free, {}, {**free, "ami": "ami-2"}).delete_before_replace
    attached: Properties = {"deviceName": "/dev/sdf", "instanceId": "i-1", "volumeId": "vol-1"}
    assert aws.diff(ATTACHMENT, "vai-1", attached, {}, {**attached, "instanceId": UNKNOWN}).delete_before_replace
    assert not aws.diff(ROLE, "r", {"name": "a"}, {}, {"name": "b"}).delete_before_replace


def test_the_region_of_an_object_follows_its_provider(clouds: Clouds, aws: Cloud) -> None:
    id, outputs = make(aws, VPC, "main", cidrBlock="10.0.0.0/16")
    moved = clouds.provider("aws").configure({"region": "eu-west-1"})
    same: Properties = {"cidrBlock": "10.0.0.0/16"}
    assert not aws.diff(VPC, id, same, outputs, same).changed
    assert moved.diff(VPC, id, same, outputs, same).detail == {"region": Change.UPDATE_REPLACE}


def test_default_tags_apply_to_every_resource(clouds: Clouds) -> None:
    wide = clouds.provider("aws").configure({"defaultTags": '{"tags": {"Owner": "ops", "Tier": "any"}}'})
    inputs: Properties = {"cidrBlock": "10.0.0.0/16", "tags": {"Tier": "data"}}
    id, outputs = make(wide, VPC, "main", **inputs)
    assert outputs["tags"] == {"Tier": "data"}
    assert outputs["tagsAll"] == {"Owner": "ops", "Tier": "data"}
    later = clouds.provider("aws").configure({"defaultTags": '{"tags": {"Owner": "dev", "Tier": "any"}}'})
    assert later.diff(VPC, id, inputs, outputs, inputs).detail == {"tagsAll.Owner": Change.UPDATE}
    assert later.update(urn(VPC, "main"), VPC, id, outputs, inputs, False)["tagsAll"] == {
        "Owner": "dev",
        "Tier": "data",
    }


def test_provider_instances_have_separate_configurations_and_one_store(clouds: Clouds) -> None:
    near = clouds.provider("aws").configure({"region": REGION})
    far = clouds.provider("aws").configure(
        {"region": "eu-west-1", "assumeRoles": [{"roleArn": "arn:aws:iam::210987654321:role/offsite"}]}
    )
    _, here = make(near, LOGS, "here", name="/db")
    id, there = make(far, LOGS, "there", name="/db")
    assert here["arn"] == f"arn:aws:logs:{REGION}:123456789012:log-group:/db"
    assert there["arn"] == "arn:aws:logs:eu-west-1:210987654321:log-group:/db"
    near.delete(urn(LOGS, "here"), LOGS, "/db")
    assert far.read(urn(LOGS, "there"), LOGS, id, {}) is not None
    assert far.invoke("aws:index/getCallerIdentity:getCallerIdentity", {})["accountId"] == "210987654321"


@pytest.mark.parametrize(
    ("region", "partition"), [(REGION, "aws"), ("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")]
)
def test_arns_must_be_in_the_regions_partition(clouds: Clouds, region: str, partition: str) -> None:
    there = clouds.provider("aws").configure({"region": region})
    _, key = make(there, KEY, "key")
    _, bucket = make(there, BUCKET, "bucket", bucket="there")
    _, queue = make(there, PLAIN, "queue", name="there")
    assert [str(one["arn"]).split(":")[1] for one in (key, bucket, queue)] == [partition] * 3
    # IAM, KMS and S3 reject a policy document with an ARN of another partition as malformed.
    other = "aws" if partition != "aws" else "aws-cn"
    for place in (partition, other):
        statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:{place}:iam::123456789012:root"}, "Action": "kms:*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Resource": "*"}]})
        failures = there.check(urn(KEY, "other"), KEY, None, {"policy": document}, b"seed").failures
        assert [failure.path for failure in failures] == ([] if place == partition else ["policy"])
    attached = {"role": "machines", "policyArn": f"arn:{other}:iam::aws:policy/AmazonSSMManagedInstanceCore"}
    (failure,) = there.check(urn(ATTACHED, "a"), ATTACHED, None, attached, b"seed").failures
    assert failure.path == "policyArn"
    assert failure.reason.endswith(
        f"is in the partition {other}, but {region} is in {partition}; write arn:{partition}:…"
    )


# --- names ------------------------------------------------------------------------------------------------------------


def test_generated_names_are_stable_and_kept(aws: Cloud) -> None:
    first = aws.check(urn(SECRET, "db"), SECRET, None, {}, b"seed")
    assert re.fullmatch(r"db-[0-9a-f]{7}", str(first.inputs["name"]))
    assert aws.check(urn(SECRET, "db"), SECRET, None, {}, b"seed").inputs == first.inputs
    assert aws.check(urn(SECRET, "db"), SECRET, None, {}, b"other").inputs != first.inputs
    assert aws.check(urn(SECRET, "db"), SECRET, first.inputs, {}, b"other").inputs == first.inputs
    given = aws.check(urn(SECRET, "db"), SECRET, first.inputs, {"name": "mine"}, b"seed").inputs
    assert given == {"name": "mine"}
    assert aws.check(urn(SECRET, "db"), SECRET, given, {}, b"seed").inputs == first.inputs


def test_a_generated_name_does_not_collide(aws: Cloud) -> None:
    trust = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "a", "Principal": "*"}]}'
    olds = aws.check(urn(ROLE, "r"), ROLE, None, {"assumeRolePolicy": trust}, b"s").inputs
    assert not aws.diff(ROLE, "r", olds, {}, {**olds, "path": "/x/"}).delete_before_replace
    named: Properties = {"name": "r", "assumeRolePolicy": trust}
    assert aws.diff(ROLE, "r", named, {}, {**named, "path": "/x/"}).delete_before_replace


@pytest.mark.parametrize(
    ("package", "type", "inputs", "named"),
    [
        ("aws", BUCKET, {"bucket": "offsite-1"}, "offsite-1"),
        ("aws", LOGS, {"name": "/db"}, "/db"),
        ("cloudflare", R2, {"accountId": ACCOUNT_ID, "name": "backups"}, "backups"),
        (
            "cloudflare",
            RECORD,
            {"zoneId": ZONE_ID, "name": "a.example", "type": "A", "content": "192.0.2.1", "ttl": 1},
            "a.example",
        ),
    ],
)
def test_names_are_unique(clouds: Clouds, package: str, type: str, inputs: dict[str, Any], named: str) -> None:
    provider = clouds.provider(package).configure({})
    make(provider, type, "one", True, **inputs)
    make(provider, type, "one", True, **inputs)  # the same resource, planned again
    with pytest.raises(ProviderError, match=f"{named}.* is taken by an object in this plan"):
        make(provider, type, "two", True, **inputs)
    clouds.forget_plans()
    make(provider, type, "one", **inputs)
    for preview in (True, False):
        with pytest.raises(ProviderError, match=f"{named}.* is taken by .*::one"):
            make(provider, type, "two", preview, **inputs)
    make(provider, type, "one", True, **inputs)  # a replacement of it


def test_a_name_that_the_plan_releases_is_free_in_that_plan(aws: Cloud) -> None:
    make(aws, LOGS, "one", name="/a")
    make(aws, LOGS, "one", True, name="/b")
    make(aws, LOGS, "two", True, name="/a")


def test_each_jurisdiction_may_have_a_bucket_of_the_same_name(cloudflare: Cloud) -> None:
    make(cloudflare, R2, "eu", accountId=ACCOUNT_ID, name="backups", jurisdiction="eu")
    id, _ = make(cloudflare, R2, "default", accountId=ACCOUNT_ID, name="backups")
    rule = {"id": "k", "enabled": True, "condition": {"type": "Indefinite"}}
    lock = {"accountId": ACCOUNT_ID, "bucketName": "backups", "rules": [rule]}
    make(cloudflare, R2_LOCK, "eu", **lock, jurisdiction="eu")
    make(cloudflare, R2_LOCK, "default", **lock)
    with pytest.raises(ProviderError, match="jurisdiction 'us' has no bucket 'backups'; it is in eu, default"):
        make(cloudflare, R2_LOCK, "us", **lock, jurisdiction="us")
    cloudflare.delete(urn(R2, "default"), R2, id)
    kept = cloudflare.read(urn(R2, "eu"), R2, id, {})
    assert kept is not None
    assert kept.outputs["jurisdiction"] == "eu"


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize(
    ("cidr", "why"),
    [
        ("10.0.1.128/25", r"overlaps 10\.0\.1\.0/24 of .*::a\)"),
        ("10.0.0.0/22", r"overlaps 10\.0\.1\.0/24"),
        ("10.1.0.0/24", r"is not inside 10\.0\.0\.0/16 of its Vpc"),
    ],
)
def test_subnets_are_inside_their_vpc_and_do_not_overlap(aws: Cloud, preview: bool, cidr: str, why: str) -> None:
    id, _ = make(aws, VPC, "main", preview, cidrBlock="10.0.0.0/16")
    vpc = id or UNKNOWN
    make(aws, SUBNET, "a", preview, vpcId=vpc, cidrBlock="10.0.1.0/24")
    make(aws, SUBNET, "b", preview, vpcId=vpc, cidrBlock="10.0.2.0/24")
    with pytest.raises(ProviderError, match=why):
        make(aws, SUBNET, "c", preview, vpcId=vpc, cidrBlock=cidr)
    make(aws, SUBNET, "c", preview, vpcId=vpc, cidrBlock="10.0.0.0/24")


def test_two_vpcs_may_use_the_same_addresses(aws: Cloud) -> None:
    for name in ("one", "two"):
        id, _ = make(aws, VPC, name, cidrBlock="10.0.0.0/16")
        make(aws, SUBNET, name, vpcId=id, cidrBlock="10.0.1.0/24")
    for name in ("three", "four"):
        make(aws, VPC, name, True, cidrBlock="10.0.0.0/16")
        make(aws, SUBNET, name, True, vpcId=UNKNOWN, cidrBlock="10.0.1.0/24")


def _subnet(aws: Cloud) -> str:
    vpc, _ = make(aws, VPC, "main", cidrBlock="10.0.0.0/16")
    return make(aws, SUBNET, "a", vpcId=vpc, cidrBlock="10.0.1.0/24", availabilityZone="eu-central-1b")[0]


def _instance(aws: Cloud, name: str, **inputs: Any) -> tuple[str, Properties]:
    return make(aws, INSTANCE, name, ami="ami-0123456789abcdef0", instanceType="t3.micro", **inputs)


def test_an_instance_has_an_address_of_its_subnet_and_its_zone(aws: Cloud) -> None:
    subnet = _subnet(aws)
    _, outputs = _instance(aws, "n1", subnetId=subnet, privateIp="10.0.1.10")
    assert outputs["availabilityZone"] == "eu-central-1b"
    assert outputs["instanceState"] == "running"
    _, other = _instance(aws, "n2", subnetId=subnet)
    assert str(other["privateIp"]).startswith("10.0.1.")
    with pytest.raises(ProviderError, match=r"privateIp '10\.0\.1\.10' is taken"):
        _instance(aws, "n3", subnetId=subnet, privateIp="10.0.1.10")
    for address in ("10.0.2.10", "10.0.1.3", "10.0.1.255"):
        with pytest.raises(ProviderError, match=r"is not usable in 10\.0\.1\.0/24"):
            _instance(aws, "n3", subnetId=subnet, privateIp=address)


def test_a_volume_has_one_attachment_in_its_zone(aws: Cloud) -> None:
    subnet = _subnet(aws)
    first, _ = _instance(aws, "n1", subnetId=subnet)
    second, _ = _instance(aws, "n2", subnetId=subnet)
    near, _ = make(aws, VOLUME, "near", availabilityZone="eu-central-1b", size=1)
    far, _ = make(aws, VOLUME, "far", availabilityZone="eu-central-1c", size=1)
    make(aws, ATTACHMENT, "a", deviceName="/dev/sdf", instanceId=first, volumeId=near)
    with pytest.raises(ProviderError, match="is taken"):
        make(aws, ATTACHMENT, "b", deviceName="/dev/sdf", instanceId=second, volumeId=near)
    with pytest.raises(ProviderError, match="the volume is in eu-central-1c, the instance in eu-central-1b"):
        make(aws, ATTACHMENT, "b", deviceName="/dev/sdg", instanceId=second, volumeId=far)
    with pytest.raises(ProviderError, match="still uses it"):
        aws.delete(urn(VOLUME, "near"), VOLUME, near)


# --- references -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preview", [True, False])
def test_a_dangling_reference_is_rejected(aws: Cloud, preview: bool) -> None:
    with pytest.raises(ProviderError, match=r"vpcId 'vpc-0123456789abcdef0' does not exist"):
        make(aws, SUBNET, "a", preview, vpcId="vpc-0123456789abcdef0", cidrBlock="10.0.1.0/24")


def test_references_may_be_names_arns_or_objects_of_the_cloud(aws: Cloud) -> None:
    key, outputs = make(aws, KEY, "db")
    for name, handle in enumerate((key, outputs["arn"], "alias/aws/secretsmanager")):
        make(aws, SECRET, f"s{name}", kmsKeyId=handle)
    with pytest.raises(ProviderError, match="kmsKeyId"):
        make(aws, SECRET, "other", kmsKeyId="no-such-key")
    make(aws, SECRET, "planned", True, kmsKeyId="a-key-that-may-yet-be-planned")


def test_object_lock_needs_a_versioned_bucket(aws: Cloud) -> None:
    lock = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
    versioning = "aws:s3/bucketVersioning:BucketVersioning"
    rule = {"defaultRetention": {"mode": "COMPLIANCE", "days": 1}}
    bucket, _ = make(aws, BUCKET, "b", bucket="plain-bucket")
    with pytest.raises(ProviderError, match="object lock needs versioning"):
        make(aws, lock, "b", bucket=bucket, rule=rule)
    make(aws, versioning, "b", bucket=bucket, versioningConfiguration={"status": "Enabled"})
    make(aws, lock, "b", bucket=bucket, rule=rule)
    locked, _ = make(aws, BUCKET, "l", bucket="locked-bucket", objectLockEnabled=True)
    with pytest.raises(ProviderError, match="must be Enabled"):
        make(aws, versioning, "l", bucket=locked, versioningConfiguration={"status": "Suspended"})


# --- deletion ---------------------------------------------------------------------------------------------------------


def test_an_object_in_use_is_not_deleted(aws: Cloud) -> None:
    vpc, _ = make(aws, VPC, "main", cidrBlock="10.0.0.0/16")
    subnet, _ = make(aws, SUBNET, "a", vpcId=vpc, cidrBlock="10.0.1.0/24")
    with pytest.raises(ProviderError, match=f"{SUBNET} {subnet} still uses it; delete that first"):
        aws.delete(urn(VPC, "main"), VPC, vpc)
    aws.delete(urn(SUBNET, "a"), SUBNET, subnet)
    aws.delete(urn(VPC, "main"), VPC, vpc)


def test_a_protected_instance_is_deleted_only_with_force_destroy(aws: Cloud) -> None:
    subnet = _subnet(aws)
    kept: Properties = {"ami": "ami-0123456789abcdef0", "instanceType": "t3.micro", "subnetId": subnet}
    id, outputs = _instance(aws, "n1", subnetId=subnet, disableApiTermination=True)
    with pytest.raises(ProviderError, match="disableApiTermination is true"):
        aws.delete(urn(INSTANCE, "n1"), INSTANCE, id)
    forced: Properties = {**kept, "disableApiTermination": True, "forceDestroy": True}
    aws.update(urn(INSTANCE, "n1"), INSTANCE, id, outputs, forced, False)
    aws.delete(urn(INSTANCE, "n1"), INSTANCE, id)
    assert aws.find_by_urn(urn(INSTANCE, "n1"), INSTANCE) is None


def test_thousands_of_objects(aws: Cloud) -> None:
    vpc, _ = make(aws, VPC, "main", cidrBlock="10.0.0.0/16")
    made = {make(aws, SUBNET, f"s{n}", vpcId=vpc, cidrBlock=f"10.0.{n // 16}.{n % 16 * 16}/28")[0] for n in range(2000)}
    assert len(made) == 2000
    with pytest.raises(ProviderError, match=r"overlaps 10\.0\.62\.128/28"):
        make(aws, SUBNET, "late", vpcId=vpc, cidrBlock="10.0.62.128/27")


def test_deleting_a_worker_deletes_its_versions(cloudflare: Cloud) -> None:
    worker, version = "cloudflare:index/worker:Worker", "cloudflare:index/workerVersion:WorkerVersion"
    account = "0" * 32
    one, _ = make(cloudflare, worker, "one", accountId=account, name="one")
    other, _ = make(cloudflare, worker, "other", accountId=account, name="other")
    old, _ = make(cloudflare, version, "old", accountId=account, workerId=one)
    kept, _ = make(cloudflare, version, "kept", accountId=account, workerId=other)
    cloudflare.delete(urn(worker, "one"), worker, one)
    assert cloudflare.read(urn(version, "old"), version, old, {}) is None
    assert cloudflare.read(urn(version, "kept"), version, kept, {}) is not None
