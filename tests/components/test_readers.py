"""The read-only keys of the copies: what each may do, the secret that contains them, and when machines may read it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from components.vault import BUCKET_ITEM_READ
from harness.stacks import topology_of
from model.copies import AwsCopy, R2Copy, address_of
from tests.components.project import Deployed, Project, opened, short

ARCHIVE = {
    "name": "archive",
    "kind": "s3",
    "region": "nord-1",
    "endpoint": "https://s3.example.net",
    "bucket": "archive",
    "accessKeyId": "AKIDWRITER",
    "secretAccessKey": "the-writers",
}
READING = {"readAccessKeyId": "AKIDREADER", "readSecretAccessKey": "the-readers"}


@pytest.fixture(params=["prod", "staging"])
def stack(request: pytest.FixtureRequest) -> Deployed:
    """Either stack."""
    return request.getfixturevalue(request.param)


def revealed(stack: Deployed, name: str) -> dict[str, Any]:
    """Return the decrypted outputs of the resource with this type and name."""
    return opened(
        next(one["outputs"] for one in stack.revealed["deployment"]["resources"] if short(one["urn"]) == name)
    )


def copies_in(stack: Deployed) -> dict[str, dict[str, str]]:
    return json.loads(revealed(stack, "SecretVersion::access-backup-readers")["secretString"])["copies"]


def statements(document: str) -> list[dict[str, Any]]:
    return json.loads(document)["Statement"]


def test_the_secret_has_the_address_and_the_keys_of_every_copy(stack: Deployed):
    topology = topology_of(str(stack.resources[0]["urn"]).split(":")[2])
    found = copies_in(stack)
    assert list(found) == [copy.name for copy in topology.copies]
    for copy in topology.copies:
        kind = "AccountToken" if isinstance(copy, R2Copy) else "AccessKey"
        made = revealed(stack, f"{kind}::vault-{copy.name}-reader")
        secret = hashlib.sha256(made["value"].encode()).hexdigest() if isinstance(copy, R2Copy) else made["secret"]
        keys = {"accessKeyId": stack.of(kind)[f"vault-{copy.name}-reader"]["id"], "secretAccessKey": secret}
        assert found[copy.name] == address_of(copy) | keys
    name = stack.inputs("Secret")["access-backup-readers"]["name"]
    assert name == topology.secrets.backup_readers == f"{topology.prefix}/backups/readers"


def test_each_key_may_only_read_its_own_copy(stack: Deployed):
    topology = topology_of(str(stack.resources[0]["urn"]).split(":")[2])
    for copy in topology.copies:
        if isinstance(copy, R2Copy):
            (granted,) = stack.inputs("AccountToken")[f"vault-{copy.name}-reader"]["policies"]
            assert granted["permissionGroups"] == [{"id": BUCKET_ITEM_READ}]
            account = topology.settings.edge.account_id
            bucket = f"com.cloudflare.edge.r2.bucket.{account}_{copy.jurisdiction}_{copy.bucket}"
            assert json.loads(granted["resources"]) == {bucket: "*"}
        elif isinstance(copy, AwsCopy):
            name = f"vault-{copy.name}-reader"
            assert stack.inputs("User")[name]["name"] == copy.reader
            assert stack.inputs("UserPolicy")[name]["user"] == copy.reader
            bucket, key = (stack.of(kind)[f"vault-{copy.name}"]["outputs"]["arn"] for kind in ("Bucket", "Key"))
            rights = {
                (one["Effect"], one["Action"], one["Resource"])
                for one in statements(stack.inputs("UserPolicy")[name]["policy"])
            }
            assert rights == {
                ("Allow", "s3:GetObject", f"{bucket}/*"),
                ("Allow", "s3:ListBucket", bucket),
                ("Allow", "kms:Decrypt", key),
            }


def test_database_machines_may_read_the_secret_only_while_it_has_the_tag(stack: Deployed):
    arn = stack.of("Secret")["access-backup-readers"]["outputs"]["arn"]
    condition = {"StringEquals": {"secretsmanager:ResourceTag/Restoring": "true"}}
    for role in ("consensus", "coordinator", "worker", "gateway"):
        policy = statements(stack.inputs("RolePolicy")[f"access-{role}"]["policy"])
        about = [one for one in policy if arn in str(one["Resource"])]
        assert [one.get("Condition") for one in about] == ([condition] if role in {"coordinator", "worker"} else [])
        assert all((one["Action"], one["Resource"]) == ("secretsmanager:GetSecretValue", [arn]) for one in about)
        assert "*" not in {
            one["Resource"]
            for one in policy
            if "secretsmanager" in str(one["Action"]) and isinstance(one["Resource"], str)
        }
    assert "Restoring" not in json.dumps(stack.of("Secret")["access-backup-readers"])


@pytest.mark.parametrize("given", [{}, READING])
def test_a_copy_in_another_store_is_in_the_secret_if_the_settings_have_its_read_only_keys(
    project: Project, given: dict[str, str]
):
    name = "read" if given else "unread"
    project.configure(name, {"backups.copies.3": ARCHIVE | given}, like="staging")
    found = copies_in(project.deployed(name, project.up(name)))
    assert list(found) == ["primary", "replica", "offsite", *(["archive"] if given else [])]
    if given:
        assert found["archive"] == {
            "endpoint": "s3.example.net",
            "region": "nord-1",
            "bucket": "archive",
            "accessKeyId": "AKIDREADER",
            "secretAccessKey": "the-readers",
        }
