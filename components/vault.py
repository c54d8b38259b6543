"""The backup vault: copies that no single mistake, account or region can take away together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi_aws as aws
import pulumi_cloudflare as cloudflare
from pulumi import ComponentResource, Output, ResourceOptions

from components.offsite import OffsiteCopy, OffsiteCopyArgs, StorageKeys, rule_id
from model.copies import AwsCopy, ForeignCopy, R2Copy
from model.rotation import Retention, in_rule_order
from model.topology import ABANDONED_UPLOAD_DAYS, Topology

SECONDS_A_DAY = 86_400
# R2 permission groups, by the ids that Cloudflare's API documents for "Workers R2 Storage Bucket Item Write".
BUCKET_ITEM_WRITE = "2efd5506f9c8494dacb1fa10a3e7d5b6"
EVENT_DAYS = 4  # how long a message waits in the queue: longer than a weekend without anybody looking
DEAD_LETTER_DAYS = 14  # the longest that Queues keep a message


@dataclass(frozen=True)
class BackupVaultArgs:
    """The shape to declare, and the provider of each S3 copy's region and account, by the copy's name."""

    topology: Topology
    providers: Mapping[str, aws.Provider]


class BackupVault(ComponentResource):
    """`backbuild:index:BackupVault`: the copies of every backup, as `topology.copies` lists them.

    Makes: for each copy in R2 a bucket with lock and lifecycle rules from `topology.retention`, for each one at AWS an
    `OffsiteCopy`, and nothing for one in another store, whose bucket is the operator's; the queue that hears of every
    object in the primary and its dead-letter queue; and S3-compatible keys with which the machines write to the
    primary, and to nothing else.
    """

    queue: cloudflare.Queue
    """Tells of every object created in the primary bucket."""
    dead_letters: cloudflare.Queue
    """Where a message goes that could not be handled."""
    machine_keys: StorageKeys
    """What machines write backups with."""
    writer_keys: dict[str, StorageKeys]
    """Copy to what the Workers write it with, of those in S3 and stores like it."""

    def __init__(self, name: str, args: BackupVaultArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:BackupVault", name, {}, opts)
        self._name: str = name
        self._topology: Topology = args.topology
        self._account: str = args.topology.settings.edge.account_id
        self._own: ResourceOptions = ResourceOptions(parent=self)

        copies = args.topology.copies
        r2 = {copy.name: self._r2(copy) for copy in copies if isinstance(copy, R2Copy)}
        primary = r2[args.topology.primary.name]
        self.writer_keys = {
            copy.name: self._writer_keys(copy, args.providers) for copy in copies if not isinstance(copy, R2Copy)
        }

        self.queue = self._queue("events", EVENT_DAYS)
        self.dead_letters = self._queue("dead-letters", DEAD_LETTER_DAYS)
        cloudflare.R2BucketEventNotification(
            f"{name}-events",
            account_id=self._account,
            bucket_name=primary.name,
            jurisdiction=args.topology.primary.jurisdiction,
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
        self.register_outputs({name: bucket.name for name, bucket in r2.items()})

    def _writer_keys(self, copy: AwsCopy | ForeignCopy, providers: Mapping[str, aws.Provider]) -> StorageKeys:
        if isinstance(copy, ForeignCopy):
            return StorageKeys(Output.secret(copy.access_key_id), Output.secret(copy.secret_access_key))
        # The one component that lives elsewhere: in the region, and through it the account, of its own provider.
        elsewhere = ResourceOptions(parent=self, providers=[providers[copy.name]])
        args = OffsiteCopyArgs(topology=self._topology, copy=copy)
        return OffsiteCopy(f"{self._name}-{copy.name}", args, elsewhere).writer_keys

    def _r2(self, copy: R2Copy) -> cloudflare.R2Bucket:
        label, jurisdiction = f"{self._name}-{copy.name}", copy.jurisdiction
        bucket = cloudflare.R2Bucket(
            label,
            account_id=self._account,
            name=copy.bucket,
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
        jurisdiction = self._topology.primary.jurisdiction
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
