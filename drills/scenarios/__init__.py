"""The scenarios, one in each file. A file reads as a runbook: the situation, then the steps."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from drills.running.scenario import Scenario


def all_scenarios() -> dict[str, Scenario]:
    """Return every scenario by its name."""
    modules = (import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    return {module.SCENARIO.name: module.SCENARIO for module in modules}
