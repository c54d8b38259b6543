"""The plan for a changed setting contains exactly the resources that depend on it, and replaces none with data."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.stacks import REMOVED, topology_of
from model.topology import Role
from tests.components.project import Deployed, Project, changes

COPIES = ("vault-primary", "vault-replica")
RULES = {f"{kind}::{copy}" for kind in ("R2BucketLock", "R2BucketLifecycle") for copy in COPIES} | {
    "BucketLifecycleConfiguration::vault-offsite"
}
"""The lock and lifecycle rules of the three copies."""
API = {"WorkerVersion::api", "WorkersDeployment::api"}
"""A new version of the API, and its rollout."""
BACKUP_WORKERS = {
    f"{kind}::backups-{purpose}"
    for kind in ("WorkerVersion", "WorkersDeployment")
    for purpose in ("replicate", "verify", "age-out", "watch", "report")
}
"""A new version of each backup Worker (a Cloudflare Worker), and its rollout."""
METRICS = ("Healthy", "DataDiskUsedPercent", "ReplicationLagBytes", "WalWaitingSeconds")


@pytest.fixture(autouse=True)
def restored(project: Project) -> Iterator[None]:
    """Restore the committed configuration after each test."""
    yield
    for stack in ("prod", "staging"):
        project.configure(stack)


def everything_of(group: str, members: int) -> set[str]:
    """Return the resources of one Citus worker group."""
    names = [f"{group}-{index}" for index in range(members)]
    own = {f"NodeGroup::{group}", f"MetricAlarm::alarms-{group}-backup", f"MetricAlarm::alarms-{group}-restore"}
    for name in names:
        own |= {f"Instance::{name}", f"BucketObjectv2::{name}-files", f"Association::{name}-healthy"}
        own |= {f"Volume::{name}-data", f"VolumeAttachment::{name}-data"}
        own |= {f"MetricAlarm::alarms-{name}-{metric}" for metric in METRICS}
    return own


def test_a_second_up_changes_nothing(project: Project, staging: Deployed):
    again = project.up("staging")
    assert again["summary"] == {"same": len(staging.printed["steps"])} | dict.fromkeys(
        ("create", "update", "replace", "delete"), 0
    )
    assert again["outputs"] == staging.printed["outputs"]


def test_a_preview_after_a_refresh_plans_no_change(project: Project, staging: Deployed):
    """A refresh reads values that the clouds fill in, sort or default. These must not appear as changes."""
    refreshed = project.run("refresh", "staging", "--json")["summary"]
    assert (refreshed["delete"], refreshed["create"]) == (0, 0)
    assert refreshed["same"] + refreshed["update"] == len(staging.printed["steps"])
    assert project.planned("staging", {}) == {}


@pytest.mark.long
@pytest.mark.usefixtures("prod")
def test_a_changed_threshold_updates_only_its_alarms(project: Project):
    members = [one for group in topology_of("prod").groups[:-1] for one in group.members]
    assert project.planned("prod", {"alarms.diskUsedPercent": 85}) == {
        "update": {f"MetricAlarm::alarms-{member.name}-DataDiskUsedPercent" for member in members}
    }


@pytest.mark.usefixtures("prod")
def test_a_changed_rotation_updates_the_rules_of_all_copies_and_the_backup_workers(project: Project):
    planned = project.planned("prod", {"backups.rotation.dailyDays": 40})
    assert planned == {"update": RULES, "replace": BACKUP_WORKERS}


@pytest.mark.usefixtures("prod")
@pytest.mark.parametrize(
    "change",
    [{"backups.pointInTimeDays": 6}, pytest.param({"backups.rotation.minimumFulls": 7}, marks=pytest.mark.long)],
)
def test_a_setting_of_the_workers_alone_changes_no_bucket_rule(project: Project, change: dict[str, int]):
    assert project.planned("prod", change) == {"replace": BACKUP_WORKERS}


@pytest.mark.usefixtures("prod")
def test_the_keys_of_earlier_releases_plan_no_change(project: Project):
    old = {"jurisdiction": "eu", "replica": {"jurisdiction": "us"}, "offsite": {"region": "eu-north-1"}}
    changes = {"backups.copies": REMOVED, **{f"backups.{key}": value for key, value in old.items()}}
    assert project.planned("prod", changes) == {}


HOLDING_DATA = {
    "Platform$BackupVault$R2Bucket::vault-primary": "backbuild-prod-backups",
    "Platform$BackupVault$R2Bucket::vault-replica": "backbuild-prod-backups-replica",
    "Platform$BackupVault$OffsiteCopy$Bucket::vault-offsite": "backbuild-prod-backups-offsite",
    "Platform$BackupVault$OffsiteCopy$User::vault-offsite-reader": "backbuild-prod-offsite-reader",
    "Platform$BackupVault$OffsiteCopy$User::vault-offsite-writer": "backbuild-prod-backup-writer",
    "Platform$BackupWorkers$D1Database::backups": "backbuild-prod-backups",
    "Platform$StatusPage$D1Database::status": "backbuild-prod-status",
}
"""A changed name, or a moved resource without an alias, would delete the data of a deployed stack."""


def test_resources_with_data_keep_their_names(prod: Deployed):
    found: dict[str, str] = {}
    for one in prod.resources:
        types, name = one["urn"].split("::")[2:4]
        short = "$".join(type.rsplit(":", 1)[-1] for type in types.split("$"))
        if short.rsplit("$", 1)[-1] in {"R2Bucket", "Bucket", "User", "D1Database"} and "MachineFiles" not in short:
            found[f"{short}::{name}"] = one["inputs"].get("bucket") or one["inputs"]["name"]
    assert found == HOLDING_DATA


ARCHIVE = {
    "name": "archive",
    "kind": "s3",
    "region": "nord-1",
    "endpoint": "https://s3.example.net",
    "bucket": "backbuild-backups",
    "accessKeyId": "AKIDEXAMPLE",
    "secretAccessKey": "a-secret-of-another-store",
}


@pytest.mark.usefixtures("prod")
@pytest.mark.parametrize(
    ("copy", "created"),
    [
        pytest.param(ARCHIVE, set[str](), marks=pytest.mark.long),
        pytest.param(
            {"name": "fourth", "kind": "r2", "jurisdiction": "fedramp"},
            {
                *(f"{kind}::vault-fourth" for kind in ("R2Bucket", "R2BucketLock", "R2BucketLifecycle")),
                "AccountToken::vault-fourth-reader",
            },
            marks=pytest.mark.long,
        ),
        (
            {"name": "fourth", "kind": "s3", "region": "us-east-1"},
            {
                "aws::fourth",
                "OffsiteCopy::vault-fourth",
                "Key::vault-fourth",
                "Bucket::vault-fourth",
                *(
                    f"Bucket{kind}::vault-fourth"
                    for kind in (
                        "LifecycleConfiguration",
                        "ObjectLockConfiguration",
                        "OwnershipControls",
                        "Policy",
                        "PublicAccessBlock",
                        "ServerSideEncryptionConfiguration",
                        "Versioning",
                    )
                ),
                *(
                    f"{kind}::vault-fourth-{purpose}"
                    for kind in ("User", "UserPolicy", "AccessKey")
                    for purpose in ("writer", "reader")
                ),
            },
        ),
    ],
    ids=["another store", "R2", "AWS"],
)
def test_a_fourth_copy_adds_only_its_own_resources(project: Project, copy: dict[str, str], created: set[str]):
    """The backup Workers get new versions with the new binding, and the secret gets the copy's read-only keys."""
    planned = project.planned("prod", {"backups.copies.3": copy})
    readers = {"SecretVersion::access-backup-readers"} if created else set[str]()
    assert planned == {"replace": BACKUP_WORKERS | readers} | ({"create": created} if created else {})


def test_a_machines_tag_is_the_id_of_its_attached_volume(prod: Deployed):
    volumes = {name: volume["id"] for name, volume in prod.of("Volume").items()}
    attached = {name: one["inputs"]["volumeId"] for name, one in prod.of("VolumeAttachment").items()}
    tags = {
        f"{name}-data": one["tags"]["DataVolume"]
        for name, one in prod.inputs("Instance").items()
        if "DataVolume" in one["tags"]
    }
    assert tags == attached == volumes


@pytest.mark.usefixtures("prod")
def test_production_refuses_to_delete_a_volume(project: Project, prod: Deployed):
    project.configure("prod", {"database.workers.groups": 1})
    refused = project.run("up", "prod", "--json", code=1)
    (error,) = refused["errors"]
    assert "protected" in error["message"]
    assert all(f"Volume::worker-2-{index}-data" in error["message"] for index in range(3))
    assert project.state("prod")["deployment"]["resources"] == prod.resources


CERTIFICATE = {
    "CertRequest::certificates-worker",
    "LocallySignedCert::certificates-worker",
    "SecretVersion::access-worker-certificate",
}
DEPENDENTS = {"update": RULES, "replace": API | BACKUP_WORKERS | CERTIFICATE}
"""The changes that a new Citus worker group causes elsewhere: bucket rules, backup Workers, the API and a certificate.

The certificate of Citus workers is valid for the addresses of all of them.
"""


@pytest.mark.long
@pytest.mark.usefixtures("staging")
def test_a_worker_group_adds_only_its_own_resources(project: Project):
    planned = project.planned("staging", {"database.workers.groups": 2})
    assert planned == DEPENDENTS | {"create": everything_of("worker-2", 2)}


@pytest.mark.usefixtures("staging")
def test_another_authority_signs_new_keys_only(project: Project):
    """A key that was stolen from a machine is worthless once its authority is replaced."""
    planned = project.planned("staging", {"database.certificateAuthorities": ["second", "first"]})
    own = {f"{kind}::certificates-authority-second" for kind in ("PrivateKey", "SelfSignedCert")}
    assert planned["create"] == own | {f"PrivateKey::certificates-{role}-second" for role in Role}
    assert planned["delete"] == {f"PrivateKey::certificates-{role}-first" for role in Role}


@pytest.mark.long
@pytest.mark.usefixtures("staging")
def test_a_worker_group_is_added_and_removed_without_other_changes(project: Project):
    project.configure("staging", {"database.workers.groups": 2})
    assert changes(project.up("staging")) == DEPENDENTS | {"create": everything_of("worker-2", 2)}
    project.configure("staging")
    assert changes(project.up("staging")) == DEPENDENTS | {"delete": everything_of("worker-2", 2)}
