"""AWS partitions: groups of regions with accounts, ARNs and host names of their own. Pure."""

from __future__ import annotations

# First part of a region's name to its partition; every other region is in `aws`.
# https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
_BY_PREFIX = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "us-isof-": "aws-iso-f",
    "eu-isoe-": "aws-iso-e",
}
_ISOLATED = "has no internet access, but the machines need Cloudflare and Debian's mirrors"
# Partition to the reason why the platform cannot run there. The other partitions share the DNS suffix amazonaws.com,
# which is part of the platform's service principals, endpoints and bucket names.
_UNSUPPORTED = {
    "aws-cn": "has another DNS suffix (amazonaws.com.cn), and connections to the tunnel and to R2 are filtered",
    "aws-iso": _ISOLATED,
    "aws-iso-b": _ISOLATED,
    "aws-iso-e": _ISOLATED,
    "aws-iso-f": _ISOLATED,
}


def partition_of(region: str) -> str:
    """Return the partition of a region, which is the second field of its ARNs."""
    return next((name for prefix, name in _BY_PREFIX.items() if region.startswith(prefix)), "aws")


def unsupported_reason(region: str) -> str | None:
    """Return why the platform cannot run in a region; None if it can."""
    partition = partition_of(region)
    reason = _UNSUPPORTED.get(partition)
    return None if reason is None else f"{region} is in the partition {partition}, which {reason}"
