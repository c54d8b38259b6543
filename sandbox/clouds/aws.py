"""AWS."""

from __future__ import annotations

from sandbox.clouds.facts import Package
from sandbox.values import Properties


def _settings(config: Properties) -> dict[str, str]:
    return {"region": str(config.get("region", "us-east-1")), "account": "123456789012"}


PACKAGE = Package(name="aws", types={}, functions={}, settings=_settings)
