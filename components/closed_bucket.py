"""Closes an S3 bucket: no public access, no object of another owner, no request without TLS."""

from __future__ import annotations

import pulumi_aws as aws
from pulumi import ResourceOptions

from components.policy_documents import policy


def close(name: str, bucket: aws.s3.Bucket, opts: ResourceOptions) -> aws.s3.BucketPolicy:
    """Make the settings of `bucket` under the resource name `name`; returns the last one made."""
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
