"""The backup vault: three copies that no single mistake, account or region can take away together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi_aws as aws
import pulumi_cloudflare as cloudflare
from pulumi import ComponentResource, Output, ResourceOptions

from components.offsite import OffsiteCopy, OffsiteCopyArgs, StorageKeys, rule_id
from model.rotation import Retention, in_rule_order
from model.topology import ABANDONED_UPLOAD_DAYS, Topology

SECONDS_A_DAY = 86_400
# R2 permission groups, by the ids that Cloudflare's API documents for "Workers R2 Storage Bucket Item Write".
BUCKET_ITEM_WRITE = "2efd5506f9c8494dacb1fa10a3e7d5b6"
EVENT_DAYS = 4  # how long a message waits in the queue: longer than a weekend without anybody looking
DEAD_LETTER_DAYS = 14  # the longest that Queues keep a message


@dataclass(frozen=True)
class BackupVaultArgs:
    """The shape to declare, and the provider of the off-site copy's region and account."""

    topology: Topology
    offsite: aws.Provider


class BackupVault(ComponentResource):
    """`backbuild:index:BackupVault`: a primary and a replica R2 bucket and an off-site copy.

    Makes: the R2 buckets in two jurisdictions, each with lock and lifecycle rules from `topology.retention`; the queue
    that hears of every object in the primary and its dead-letter queue; an `OffsiteCopy`; and S3-compatible keys with
    which the machines write to the primary, and to nothing else.
    """

    queue: cloudflare.Queue
    """Tells of every object created in the primary bucket."""
    dead_letters: cloudflare.Queue
    """Where a message goes that could not be handled."""
    machine_keys: StorageKeys
    """What machines write backups with."""
    offsite_keys: StorageKeys
    """What the replicating Worker writes the off-site copy with."""

    def __init__(self, name: str, args: BackupVaultArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:BackupVault", name, {}, opts)
        self._name: str = name
        self._topology: Topology = args.topology
        self._account: str = args.topology.settings.edge.account_id
        self._own: ResourceOptions = ResourceOptions(parent=self)

        buckets = args.topology.buckets
        primary = self._r2("primary", buckets.primary, buckets.primary_jurisdiction)
        replica = self._r2("replica", buckets.replica, buckets.replica_jurisdiction)
        offsite = OffsiteCopy(
            f"{name}-offsite",
            OffsiteCopyArgs(topology=args.topology),
            # The one component that lives elsewhere: in the region, and through it the account, of its own provider.
            ResourceOptions(parent=self, providers=[args.offsite]),
        )

        self.queue = self._queue("events", EVENT_DAYS)
        self.dead_letters = self._queue("dead-letters", DEAD_LETTER_DAYS)
        cloudflare.R2BucketEventNotification(
            f"{name}-events",
            account_id=self._account,
            bucket_name=primary.name,
            jurisdiction=buckets.primary_jurisdiction,
            queue_id=self.queue.queue_id,
            rules=[
                {
                    "actions": ["PutObject", "CompleteMultipartUpload", "CopyObject"],
                    "description": "every new object is replicated",
                }
            ],
            opts=self._own,
        )
        self.machine_keys = self._machine_keys(primary)
        self.offsite_keys = offsite.writer_keys
        self.register_outputs({"primary": primary.name, "replica": replica.name})

    def _r2(self, copy: str, bucket_name: str, jurisdiction: str) -> cloudflare.R2Bucket:
        label = f"{self._name}-{copy}"
        bucket = cloudflare.R2Bucket(
            label,
            account_id=self._account,
            name=bucket_name,
            jurisdiction=jurisdiction,
            # The API reports where it put the bucket, which is not ours to choose and no reason to replace it.
            opts=ResourceOptions(parent=self, protect=self._topology.settings.protect, ignore_changes=["location"]),
        )
        cloudflare.R2BucketLock(
            label,
            account_id=self._account,
            bucket_name=bucket.name,
            jurisdiction=jurisdiction,
            rules=r2_lock_rules(self._topology.retention),
            opts=self._own,
        )
        cloudflare.R2BucketLifecycle(
            label,
            account_id=self._account,
            bucket_name=bucket.name,
            jurisdiction=jurisdiction,
            rules=r2_lifecycle_rules(self._topology.retention),
            opts=self._own,
        )
        return bucket

    def _queue(self, purpose: str, days: int) -> cloudflare.Queue:
        return cloudflare.Queue(
            f"{self._name}-{purpose}",
            account_id=self._account,
            queue_name=f"{self._topology.prefix}-backup-{purpose}",
            settings={"message_retention_period": days * SECONDS_A_DAY},
            opts=self._own,
        )

    def _machine_keys(self, primary: cloudflare.R2Bucket) -> StorageKeys:
        jurisdiction = self._topology.buckets.primary_jurisdiction
        scope = primary.name.apply(
            lambda bucket: json.dumps({f"com.cloudflare.edge.r2.bucket.{self._account}_{jurisdiction}_{bucket}": "*"})
        )
        token = cloudflare.AccountToken(
            f"{self._name}-machines",
            account_id=self._account,
            name=f"{self._topology.prefix}-backup-machines",
            policies=[{"effect": "allow", "permission_groups": [{"id": BUCKET_ITEM_WRITE}], "resources": scope}],
            opts=self._own,
        )
        # R2's S3 keys derive from the token: its id, and the SHA-256 of its value.
        return StorageKeys(
            access_key_id=Output.secret(token.id),
            secret_access_key=token.value.apply(lambda value: hashlib.sha256(value.encode()).hexdigest()),
        )


def r2_lock_rules(retention: Sequence[Retention]) -> list[cloudflare.R2BucketLockRuleArgsDict]:
    """What nobody may delete or overwrite yet."""
    return [
        {
            "id": rule_id("lock", prefix),
            "enabled": True,
            "prefix": prefix,
            "condition": {"type": "Age", "max_age_seconds": kept.lock_days * SECONDS_A_DAY},
        }
        for kept, prefix in in_rule_order(retention, lambda kept: kept.locked)
    ]


def r2_lifecycle_rules(retention: Sequence[Retention]) -> list[cloudflare.R2BucketLifecycleRuleArgsDict]:
    """What R2 deletes by itself, behind the age-out Worker."""
    return [
        {
            "id": rule_id("expire", prefix),
            "enabled": True,
            "conditions": {"prefix": prefix},
            "delete_objects_transition": {"condition": {"type": "Age", "max_age": kept.expire_days * SECONDS_A_DAY}},
            "abort_multipart_uploads_transition": {
                "condition": {"type": "Age", "max_age": ABANDONED_UPLOAD_DAYS * SECONDS_A_DAY}
            },
        }
        for kept, prefix in in_rule_order(retention, lambda kept: kept.expiring)
    ]
