"""Every documented limit: the maximum is accepted; one more is rejected, with path, size and limit."""

from __future__ import annotations

import base64
import os
from typing import Any

import pytest

from sandbox.clouds.limits import LIMITS, Limit, against_limits
from sandbox.values import UNKNOWN, Properties


def holding(limit: Limit, count: int) -> Properties:
    """Return inputs with `count` of the limit's unit at the limit's path."""
    return _placed(limit.path.replace("[]", ".[]").split("."), _value(limit.unit, count))


def _placed(steps: list[str], value: Any) -> Any:
    if not steps:
        return value
    inner = _placed(steps[1:], value)
    return [inner] if steps[0] == "[]" else {steps[0]: inner}


def _value(unit: str, count: int) -> Any:
    match unit:
        case "items":
            return [{}] * count
        case "variables and secrets":
            kinds = ("plain_text", "secret_text", "json")
            return [{"type": kinds[index % 3]} for index in range(count)] + [{"type": "d1"}] * 9
        case "bytes of modules":
            return [{"contentBase64": base64.b64encode(b"x" * count).decode()}]
        case "bytes of compressed modules":
            # Random bytes do not compress: gzip adds a few dozen bytes for each 32 KiB, and 18 bytes of framing.
            size = count - 4096 if count % 2 == 0 else count
            return [{"contentBase64": base64.b64encode(os.urandom(size)).decode()}]
        case "characters without spaces":
            return "x " * count
        case _:
            return "x" * count


@pytest.mark.parametrize(
    "limit", LIMITS, ids=lambda limit: f"{limit.type.rpartition(':')[2]}.{limit.path}-{limit.unit}"
)
def test_a_limit(limit: Limit) -> None:
    assert list(against_limits(limit.type, holding(limit, limit.most))) == []
    (refused, *others) = against_limits(limit.type, holding(limit, limit.most + 1))
    assert not others
    assert refused.path == limit.path.replace("[]", "[0]")
    assert f"at most {limit.most} are allowed ({limit.source})" in refused.reason
    assert limit.source.startswith(("https://", "the provider's"))


def test_unknown_values_are_not_measured() -> None:
    inputs: Properties = {"bindings": [{"type": "plain_text", "text": UNKNOWN}] * 128}
    assert list(against_limits("cloudflare:index/workerVersion:WorkerVersion", inputs)) == []
