"""AWS partitions: the partition of a region, and a check for ARNs of other partitions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sandbox.clouds.facts import join
from sandbox.provider import CheckFailure
from sandbox.values import Properties, Value

_OTHERS = {"cn-": ("aws-cn", "amazonaws.com.cn"), "us-gov-": ("aws-us-gov", "amazonaws.com")}
_ARN = re.compile(r"""(?:^|")(?P<arn>arn:(?P<partition>aws[a-z-]*):[^"]*)""")


def partition_of(region: str) -> tuple[str, str]:
    """Return the partition of a region, and its DNS suffix."""
    return next((found for prefix, found in _OTHERS.items() if region.startswith(prefix)), ("aws", "amazonaws.com"))


def arns_of_other_partitions(inputs: Properties, settings: Mapping[str, str]) -> Iterator[CheckFailure]:
    """Yield ARNs that are not in the provider's partition, in any input or policy document."""
    for path, text in _texts({name: value for name, value in inputs.items() if name != "tags"}, ""):
        own = settings["partition"]
        for found in _ARN.finditer(text):
            if found["partition"] != own:
                why = f"is in the partition {found['partition']}, but {settings['region']} is in {own}"
                yield CheckFailure(path, f"{found['arn']} {why}; write arn:{own}:…")


def _texts(value: Value, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, join(path, name))
