"""random."""

from __future__ import annotations

from sandbox.clouds.facts import Package
from sandbox.values import Properties


def _settings(_: Properties) -> dict[str, str]:
    return {}


PACKAGE = Package(name="random", types={}, functions={}, settings=_settings)
