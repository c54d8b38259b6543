"""ARNs and conditions as texts, with the names of the stack's resources in place of their ARNs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

from policies.graph import Graph
from policies.views.rights.attachments import ENDPOINT, TOPIC_POLICY
from policies.views.shared import once
from policies.views.vault import S3


def without_partition(arn: str) -> str:
    """Return an ARN with the partition `aws` in place of `aws-us-gov` or `aws-cn`, so that ARNs can be compared."""
    return re.sub(r"^arn:aws-[a-z-]+:", "arn:aws:", arn)


@once
def _labels(graph: Graph) -> Mapping[str, str]:
    """Return ARN to label, for each resource that may be named in a policy; endpoints are also named by their id."""
    found: dict[str, str] = {}
    count = Counter(one.label for one in (*graph.resources, *graph.beside))
    for one in (*graph.resources, *graph.beside):
        label = one.label if count[one.label] == 1 else f"{one.label} ({one.urn})"
        arn = one.properties.get("arn")
        if isinstance(arn, str) and one.type != TOPIC_POLICY:  # has the topic's ARN
            found.setdefault(without_partition(arn), label)
        name = one.properties.get("bucket")
        if one.type == S3 and isinstance(name, str):
            found.setdefault(f"arn:aws:s3:::{name}", label)
        endpoint = one.properties.get("id")
        if one.type == ENDPOINT and isinstance(endpoint, str):
            found.setdefault(endpoint, label)
    return found


def label_of(graph: Graph, value: str) -> str:
    """Return the label of the resource that an ARN means, with the rest of the ARN; else the ARN itself."""
    labels, text = _labels(graph), without_partition(value)
    for suffix in ("", "/*", ":*"):
        base = text.removesuffix(suffix) if suffix else text
        if base in labels and text == base + suffix:
            return labels[base] + suffix
    return text


def condition_of(graph: Graph, condition: Mapping[str, Any]) -> str:
    """Return a condition as a text: `StringEquals kms:ViaService secretsmanager.eu-central-1.amazonaws.com`."""
    found: list[str] = []
    for operator, keys in sorted(condition.items()):
        pairs = cast("dict[str, Any]", keys) if isinstance(keys, dict) else {"": keys}
        for key, value in sorted(pairs.items()):
            values = cast("list[object]", value) if isinstance(value, list) else [value]
            found.append(f"{operator} {key} {' or '.join(label_of(graph, str(one)) for one in values)}")
    return " and ".join(found)
