"""The backup vault: the buckets of all copies, their keys for writing and reading, and the event queue."""

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
# R2 permission groups, by the ids that Cloudflare's API documents for "Workers R2 Storage Bucket Item Write" and
# "Workers R2 Storage Bucket Item Read".
BUCKET_ITEM_WRITE = "2efd5506f9c8494dacb1fa10a3e7d5b6"
BUCKET_ITEM_READ = "6a018a9f2fc74eb6b293b0c548f38b39"
EVENT_DAYS = 4  # how long a message stays in the queue: longer than a weekend without an operator
DEAD_LETTER_DAYS = 14  # the maximum message retention of Cloudflare Queues


@dataclass(frozen=True)
class BackupVaultArgs:
    """The topology, and for each copy in AWS S3 the provider of its region and account, by the copy's name."""

    topology: Topology
    providers: Mapping[str, aws.Provider]


class BackupVault(ComponentResource):
    """`backbuild:index:BackupVault`: the copies of every backup, as `topology.copies` lists them.

    Makes: for each copy in R2 a bucket with lock and lifecycle rules from `topology.retention`; for each copy at AWS
    an `OffsiteCopy`; the queue of the primary bucket's object events and its dead-letter queue; S3-compatible keys
    with which machines write to the primary bucket and to no other; and for each copy in R2 keys that only read it. It
    does not create the buckets of copies at other S3-compatible providers: operators create those, and their keys.
    """

    queue: cloudflare.Queue
    """The queue with an event for every object created in the primary bucket."""
    dead_letters: cloudflare.Queue
    """The dead-letter queue: messages that failed after all retries."""
    machine_keys: StorageKeys
    """The keys with which machines write backups to the primary bucket."""
    writer_keys: dict[str, StorageKeys]
    """The keys with which the backup Workers write to each S3-compatible copy, by the copy's name."""
    reader_keys: dict[str, StorageKeys]
    """The keys with which machines restore, by the copy's name; a copy in another store may have none."""

    def __init__(self, name: str, args: BackupVaultArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:BackupVault", name, {}, opts)
        self._name: str = name
        self._topology: Topology = args.topology
        self._account: str = args.topology.settings.edge.account_id
        self._own: ResourceOptions = ResourceOptions(parent=self)

        copies = args.topology.copies
        r2 = {copy.name: self._r2(copy) for copy in copies if isinstance(copy, R2Copy)}
        primary = r2[args.topology.primary.name]
        offsite = {copy.name: self._offsite(copy, args.providers) for copy in copies if isinstance(copy, AwsCopy)}
        foreign = [copy for copy in copies if isinstance(copy, ForeignCopy)]
        self.writer_keys = {
            **{name: copy.writer_keys for name, copy in offsite.items()},
            **{copy.name: _given_keys(copy.access_key_id, copy.secret_access_key) for copy in foreign},
        }
        self.reader_keys = {
            **{
                copy.name: self._token(f"{copy.name}-reader", copy, r2[copy.name], BUCKET_ITEM_READ)
                for copy in copies
                if isinstance(copy, R2Copy)
            },
            **{name: copy.reader_keys for name, copy in offsite.items()},
            **{
                copy.name: _given_keys(copy.read_access_key_id, copy.read_secret_access_key)
                for copy in foreign
                if copy.read_access_key_id is not None and copy.read_secret_access_key is not None
            },
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
        self.machine_keys = self._token("machines", args.topology.primary, primary, BUCKET_ITEM_WRITE)
        self.register_outputs({name: bucket.name for name, bucket in r2.items()})

    def _offsite(self, copy: AwsCopy, providers: Mapping[str, aws.Provider]) -> OffsiteCopy:
        # This copy's own AWS provider has its region and account.
        options = ResourceOptions(parent=self, providers=[providers[copy.name]])
        return OffsiteCopy(f"{self._name}-{copy.name}", OffsiteCopyArgs(topology=self._topology, copy=copy), options)

    def _r2(self, copy: R2Copy) -> cloudflare.R2Bucket:
        label, jurisdiction = f"{self._name}-{copy.name}", copy.jurisdiction
        bucket = cloudflare.R2Bucket(
            label,
            account_id=self._account,
            name=copy.bucket,
            jurisdiction=jurisdiction,
            # Cloudflare chooses the location and reports it: the report must not make Pulumi replace the bucket.
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

    def _token(self, purpose: str, copy: R2Copy, bucket: cloudflare.R2Bucket, permission_group: str) -> StorageKeys:
        """Declare a token with one permission group on one bucket, and return it as S3-compatible keys."""
        scope = bucket.name.apply(
            lambda name: json.dumps({f"com.cloudflare.edge.r2.bucket.{self._account}_{copy.jurisdiction}_{name}": "*"})
        )
        token = cloudflare.AccountToken(
            f"{self._name}-{purpose}",
            account_id=self._account,
            name=f"{self._topology.prefix}-backup-{purpose}",
            policies=[{"effect": "allow", "permission_groups": [{"id": permission_group}], "resources": scope}],
            opts=self._own,
        )
        # R2's S3-compatible access key id is the token's id; the secret access key is the SHA-256 of the token's value.
        return StorageKeys(
            access_key_id=Output.secret(token.id),
            secret_access_key=token.value.apply(lambda value: hashlib.sha256(value.encode()).hexdigest()),
        )


def _given_keys(access_key_id: str, secret_access_key: str) -> StorageKeys:
    return StorageKeys(Output.secret(access_key_id), Output.secret(secret_access_key))


def r2_lock_rules(retention: Sequence[Retention]) -> list[cloudflare.R2BucketLockRuleArgsDict]:
    """Return the bucket's lock rules: objects below a prefix cannot be deleted or overwritten for some days."""
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
    """Return the bucket's lifecycle rules: R2 deletes objects that the age-out Worker has not deleted."""
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
