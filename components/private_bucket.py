"""The access settings of a private S3 bucket: no public access, one owner for all objects, TLS only."""

from __future__ import annotations

import pulumi_aws as aws
from pulumi import ResourceOptions

from components.policy_documents import policy


def make_private(name: str, bucket: aws.s3.Bucket, opts: ResourceOptions) -> aws.s3.BucketPolicy:
    """Declare the access settings of `bucket`, each with the resource name `name`. Return the bucket policy."""
    blocked = aws.s3.BucketPublicAccessBlock(
        name,
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=opts,
    )
    aws.s3.BucketOwnershipControls(name, bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=opts)
    return aws.s3.BucketPolicy(
        name,
        bucket=bucket.id,
        policy=bucket.arn.apply(_tls_only),
        opts=ResourceOptions.merge(opts, ResourceOptions(depends_on=[blocked])),
    )


def _tls_only(arn: str) -> str:
    return policy(
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [arn, f"{arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )
