"""One copy of the backups in AWS S3, in another region than the database and, if configured, in another account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from components.policy_documents import policy
from components.private_bucket import make_private
from model.copies import AwsCopy
from model.rotation import Retention, in_rule_order
from model.topology import ABANDONED_UPLOAD_DAYS, Topology


@dataclass(frozen=True)
class StorageKeys:
    """An S3-compatible access key. Both parts are secret."""

    access_key_id: Output[str]
    secret_access_key: Output[str]


@dataclass(frozen=True)
class OffsiteCopyArgs:
    """The topology, and the copy to declare."""

    topology: Topology
    copy: AwsCopy


class OffsiteCopy(ComponentResource):
    """`backbuild:index:OffsiteCopy`: an S3 bucket that the backup Workers (Cloudflare Workers) write to.

    Makes: a KMS key; the bucket with versioning, object lock, encryption with that key, no public access, TLS only,
    one owner, and lifecycle rules from `topology.retention`; an IAM user that may write objects there, and one that may
    only read them, each with its access key.
    """

    writer_keys: StorageKeys
    """The access key with which the backup Workers write."""
    reader_keys: StorageKeys
    """The access key with which machines restore."""

    def __init__(self, name: str, args: OffsiteCopyArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:OffsiteCopy", name, {}, opts)
        self._name: str = name
        self._topology: Topology = args.topology
        self._copy: AwsCopy = args.copy
        self._own: ResourceOptions = ResourceOptions(parent=self)
        self._data: ResourceOptions = ResourceOptions(parent=self, protect=args.topology.settings.protect)
        key = aws.kms.Key(
            name,
            description=f"{args.copy.bucket}: backups at rest",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            opts=self._data,
        )
        bucket = aws.s3.Bucket(name, bucket=args.copy.bucket, object_lock_enabled=True, opts=self._data)
        make_private(self._name, bucket, self._own)
        self._encrypt(bucket, key)
        self._retain(bucket)
        self.writer_keys = self._user("writer", args.copy.writer, _writer_policy, bucket, key)
        self.reader_keys = self._user("reader", args.copy.reader, _reader_policy, bucket, key)
        self.register_outputs({"bucketArn": bucket.arn})

    def _encrypt(self, bucket: aws.s3.Bucket, key: aws.kms.Key) -> None:
        aws.s3.BucketServerSideEncryptionConfiguration(
            self._name,
            bucket=bucket.id,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms",
                        "kms_master_key_id": key.arn,
                    },
                    "bucket_key_enabled": True,
                }
            ],
            opts=self._own,
        )

    def _retain(self, bucket: aws.s3.Bucket) -> None:
        """Declare object lock and lifecycle rules: the minimum and the maximum retention of an object."""
        versioning = aws.s3.BucketVersioning(
            self._name, bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=self._own
        )
        versioned = ResourceOptions(parent=self, depends_on=[versioning])
        aws.s3.BucketObjectLockConfiguration(
            self._name,
            bucket=bucket.id,
            rule={
                "default_retention": {
                    "mode": self._copy.lock_mode,
                    # The shortest lock of any class. The Workers set a later date on objects of the other classes.
                    "days": min(kept.lock_days for kept in self._topology.retention),
                }
            },
            opts=versioned,
        )
        aws.s3.BucketLifecycleConfiguration(
            self._name, bucket=bucket.id, rules=s3_lifecycle_rules(self._topology.retention), opts=versioned
        )

    def _user(
        self,
        purpose: str,
        user_name: str,
        permissions: Callable[[str, str], str],
        bucket: aws.s3.Bucket,
        key: aws.kms.Key,
    ) -> StorageKeys:
        """Declare a user with an access key; `permissions` makes its policy from the ARNs of the bucket and the key."""
        label = f"{self._name}-{purpose}"
        user = aws.iam.User(label, name=user_name, opts=self._own)
        aws.iam.UserPolicy(
            label,
            user=user.name,
            policy=Output.all(bucket.arn, key.arn).apply(lambda arns: permissions(*arns)),
            opts=self._own,
        )
        pair = aws.iam.AccessKey(label, user=user.name, opts=self._own)
        return StorageKeys(access_key_id=Output.secret(pair.id), secret_access_key=pair.secret)


def s3_lifecycle_rules(
    retention: Sequence[Retention],
) -> list[aws.s3.BucketLifecycleConfigurationRuleArgsDict]:
    """Return the bucket's lifecycle rules. A deletion keeps the old version, so each rule deletes old versions, too."""
    return [
        {
            "id": rule_id("expire", prefix),
            "status": "Enabled",
            "filter": {"prefix": prefix},
            "expiration": {"days": kept.expire_days},
            "noncurrent_version_expiration": {"noncurrent_days": 1},
            "abort_incomplete_multipart_upload": {"days_after_initiation": ABANDONED_UPLOAD_DAYS},
        }
        for kept, prefix in in_rule_order(retention, lambda kept: kept.expiring)
    ]


def rule_id(purpose: str, prefix: str) -> str:
    """Return the id of a lock or lifecycle rule: its purpose and its prefix."""
    return f"{purpose}-{prefix.strip('/-').replace('/', '-')}"


def _writer_policy(bucket_arn: str, key_arn: str) -> str:
    """Return the IAM policy for replication, verification and age-out.

    It allows to set an object's retention, but not to bypass a lock or to change the bucket's configuration.
    """
    return policy(
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject", "s3:PutObjectRetention", "s3:GetObject", "s3:DeleteObject"],
            "Resource": f"{bucket_arn}/*",
        },
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket_arn},
        {"Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": key_arn},
    )


def _reader_policy(bucket_arn: str, key_arn: str) -> str:
    """Return the IAM policy for restoring: it allows to list and read objects, and nothing else."""
    return policy(
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{bucket_arn}/*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket_arn},
        {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key_arn},
    )
