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
_ISOLATED = "has no way to the Internet, and the machines need Cloudflare and Debian's mirrors"
# Partition to why the platform cannot run there. The others share the DNS suffix amazonaws.com, in which every service
# principal, endpoint and bucket of the platform is named.
_UNSUPPORTED = {
    "aws-cn": "has other host names (amazonaws.com.cn), and the tunnel and R2 lie behind the border's filters",
    "aws-iso": _ISOLATED,
    "aws-iso-b": _ISOLATED,
    "aws-iso-e": _ISOLATED,
    "aws-iso-f": _ISOLATED,
}


def partition_of(region: str) -> str:
    """The partition of a region: the second field of the ARNs there."""
    return next((name for prefix, name in _BY_PREFIX.items() if region.startswith(prefix)), "aws")


def refusal_of(region: str) -> str | None:
    """Why the platform cannot run in a region; None where it can."""
    partition = partition_of(region)
    reason = _UNSUPPORTED.get(partition)
    return None if reason is None else f"{region} is in the partition {partition}, which {reason}"
