"""The schema that is extracted from the SDKs, and its cache."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.clouds.clouds import PACKAGES
from sandbox.clouds.extract import Source
from sandbox.clouds.facts import Facts
from sandbox.clouds.schema import Declared, Schema, Type

STRING = Type("string")


@pytest.fixture(scope="module")
def aws_schema(cache: Path) -> Schema:
    return Schema("aws", cache)


@pytest.fixture(scope="module")
def cloudflare_schema(cache: Path) -> Schema:
    return Schema("cloudflare", cache)


def test_inputs_have_wire_names_types_and_required_flags(cloudflare_schema: Schema) -> None:
    shape = cloudflare_schema.resource("cloudflare:index/r2Bucket:R2Bucket")
    assert shape is not None
    assert shape.required == ("accountId", "name")
    assert shape.inputs["storageClass"].type == STRING
    assert shape.inputs["location"].allowed == ("apac", "eeur", "enam", "weur", "wnam", "oc")


def test_nested_types_are_resolved(cloudflare_schema: Schema) -> None:
    shape = cloudflare_schema.resource("cloudflare:index/r2BucketLock:R2BucketLock")
    assert shape is not None
    listed = shape.inputs["rules"].type
    assert listed.kind == "list"
    rule = cloudflare_schema.object(listed.of[0].name)
    condition = cloudflare_schema.object(rule["condition"].type.name)
    assert condition["maxAgeSeconds"].type.kind == "integer"
    assert condition["type"].allowed == ("Age", "Date", "Indefinite")


def test_a_type_with_an_irregular_arguments_class_is_found(cloudflare_schema: Schema) -> None:
    """`QueueConsumerArgs` is a nested type; the resource's arguments class is `QueueConsumerInitArgs`."""
    shape = cloudflare_schema.resource("cloudflare:index/queueConsumer:QueueConsumer")
    assert shape is not None
    assert shape.required == ("accountId", "queueId", "type")


def test_unions_maps_and_values_with_mangled_underscores(aws_schema: Schema, cloudflare_schema: Schema) -> None:
    role = aws_schema.resource("aws:iam/role:Role")
    assert role is not None
    assert str(role.inputs["assumeRolePolicy"].type) == "string or object"
    assert str(role.inputs["tags"].type) == "map of string"
    policy = cloudflare_schema.resource("cloudflare:index/notificationPolicy:NotificationPolicy")
    assert policy is not None
    assert "tunnel_health_event" in policy.inputs["alertType"].allowed


def test_secret_and_computed_outputs(cache: Path) -> None:
    shape = Schema("random", cache).resource("random:index/randomPassword:RandomPassword")
    assert shape is not None
    assert set(shape.secrets) == {"result", "bcryptHash"}
    assert "result" in shape.computed
    assert "keepers" not in shape.computed


def test_functions_and_providers(aws_schema: Schema) -> None:
    image = aws_schema.function("aws:ec2/getAmi:getAmi")
    provider = aws_schema.resource("pulumi:providers:aws")
    assert image is not None
    assert provider is not None
    assert image.inputs["mostRecent"].type.kind == "boolean"
    assert image.required == ()
    assert "rootDeviceName" in image.outputs
    assert aws_schema.object(provider.inputs["defaultTags"].type.name)["tags"].type == Type("map", (STRING,))
    assert aws_schema.function("aws:ec2/getAmis:getAmis") is None
    assert aws_schema.resource("aws:ec2/vpc:Vcp") is None


@pytest.mark.parametrize("package", PACKAGES)
def test_a_sample_of_every_package_can_be_read(package: str) -> None:
    source = Source(package)
    tokens = source.tokens()
    for token in tokens[:: max(1, len(tokens) // 25)]:
        shape = source.resource(token)
        assert shape is not None
        assert shape["outputs"], token


def _names(schema: Schema, declared: Declared, pattern: str) -> bool:
    """Whether a property pattern matches a declared property."""
    first, _, rest = pattern.partition(".")
    found = declared.get(first.removesuffix("[]"))
    if found is None:
        return False
    kind = found.type
    if first.endswith("[]"):
        if kind.kind != "list":
            return False
        kind = kind.of[0]
    return not rest or (kind.kind == "object" and _names(schema, schema.object(kind.name), rest))


def _patterns(facts: Facts) -> set[str]:
    groups = {name for group in facts.unique for name in group}
    named = {name for name in (facts.autoname, *facts.replaces_when.values()) if name}
    return {*facts.rules, *facts.references, *facts.replaces_when, *groups, *named}


@pytest.mark.parametrize("package", PACKAGES)
def test_facts_name_only_declared_properties(package: str, cache: Path) -> None:
    schema = Schema(package, cache)
    for token, facts in PACKAGES[package].types.items():
        shape = schema.resource(token)
        assert shape is not None, token
        wrong = [pattern for pattern in _patterns(facts) if not _names(schema, shape.inputs, pattern)]
        assert wrong == [], token
    assert [token for token in PACKAGES[package].functions if schema.function(token) is None] == []


def test_the_cache_keeps_types_and_grows(tmp_path: Path) -> None:
    first = Schema("random", tmp_path)
    first.resource("random:index/randomId:RandomId")
    first.save()
    second = Schema("random", tmp_path)
    second.resource("random:index/randomPet:RandomPet")
    second.save()
    (kept,) = tmp_path.iterdir()
    assert kept.name == f"random-{first.version}.json"
    assert set(json.loads(kept.read_text())["resources"]) == {
        "random:index/randomId:RandomId",
        "random:index/randomPet:RandomPet",
    }


@pytest.mark.parametrize("content", ["", "{", "[]", '{"form": 0}', '{"form": 1, "resources": 3}'])
def test_an_unreadable_cache_is_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / f"random-{Schema('random', tmp_path).version}.json"
    path.write_text(content)
    schema = Schema("random", tmp_path)
    shape = schema.resource("random:index/randomId:RandomId")
    assert shape is not None
    assert shape.required == ("byteLength",)
    schema.save()
    assert "random:index/randomId:RandomId" in json.loads(path.read_text())["resources"]


def test_concurrent_writers_leave_a_complete_file(tmp_path: Path) -> None:
    def learn(token: str) -> None:
        schema = Schema("random", tmp_path)
        schema.resource(token)
        schema.save()

    tokens = Source("random").tokens()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(learn, tokens * 4))
    (kept,) = tmp_path.iterdir()
    assert set(json.loads(kept.read_text())["resources"]) <= set(tokens)


PROBE = """
import sys
from pathlib import Path
from sandbox.clouds import open_clouds
with open_clouds(Path(sys.argv[1]) / "clouds.json", cache=Path(sys.argv[2])) as clouds:
    aws = clouds.provider("aws").configure({"region": "eu-central-1"})
    urn = "urn:pulumi:s::p::aws:ec2/vpc:Vpc::main"
    checked = aws.check(urn, "aws:ec2/vpc:Vpc", None, {"cidrBlock": "10.0.0.0/16"}, b"")
    assert not checked.failures
    print(aws.create(urn, "aws:ec2/vpc:Vpc", checked.inputs, False)[0])
loaded = [name for name in sys.modules if name.startswith(("pulumi_", "sandbox.clouds.extract", "pulumi."))]
print(sorted(set(loaded) - {"sandbox.clouds.extract"}))
"""


def test_the_sdks_are_never_imported(tmp_path: Path) -> None:
    for store in ("cold", "warm"):  # two empty stores, one cache
        words = [sys.executable, "-c", PROBE, str(tmp_path / store), str(tmp_path)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        made, loaded = done.stdout.splitlines()
        assert made.startswith("vpc-")
        assert loaded == "[]"
